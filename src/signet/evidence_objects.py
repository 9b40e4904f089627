"""What the network, head, answer and decision stages of a detector or segmenter give, as evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from signet import answers
from signet.agreement import DOOR_SCORE
from signet.answers.classes import chosen, softmax
from signet.answers.layouts import candidates
from signet.arrays import Array
from signet.batches import Batch, Outputs
from signet.boxes import Boxes
from signet.cards import Card
from signet.errors import BadInput
from signet.geometry import Geometry
from signet.heads import HEADS, Head
from signet.images import Image
from signet.instances import Instances
from signet.models import Model
from signet.predictions import Prediction
from signet.seals.answered import to_tensors
from signet.seals.sampling import kept
from signet.segments import SegmentMap

MOST_PREPARED = 65_536
"""Values of a stage of the program that are kept whole; of a larger one a digest and a sample. It can be made
again from the golden image at any time."""
MOST_RAW = 1 << 20
"""Values of an output of the network that are kept whole: head and answer are computed from it again."""

LISTED = frozenset({"yolov10", "ssd", "boxes", "mask_rcnn", "rtdetr"})
"""Heads whose network sorts its boxes by score: two that are nearly equal may change places."""


class Seen(NamedTuple):
    """What a network made of one image.

    Attributes:
        arrays: the outputs that the head reads, by role, without an axis of images.
        geometry: from the original to the prepared image.
    """

    arrays: Mapping[str, Array]
    geometry: Geometry


class Answered(NamedTuple):
    """What the card makes of that.

    Attributes:
        head: tensors of the stage "head".
        answer: in original pixels.
    """

    head: Mapping[str, Array]
    answer: Prediction


def sees(card: Card) -> bool:
    """Whether a model of this card is a detector or segmenter."""
    return card.task in ("detect", "instances", "segment")


def outputs_of(model: Model[Prediction], image: Image) -> Seen:
    """Run a model's engine on a decoded image.

    Raises:
        BadCard: the card's head is not one of its task.
        BadInput: an output is missing, or has no axis of images.
        EngineError: the network refuses the image.
    """
    batch = model.prepare([image])
    return rows_of(model.run(batch), model.card, batch)[0]


def rows_of(outputs: Outputs, card: Card, batch: Batch) -> list[Seen]:
    """What a network made of each image of a batch.

    Raises:
        BadCard: the card's head is not one of its task.
        BadInput: an output is missing, or its first axis is not the images.
    """
    head = answers.head_of(card)
    arrays = {role: chosen(outputs, place) for role, place in _places(head, card).items()}
    for role, array in arrays.items():
        if array.ndim < 1 or len(array) != len(batch):
            raise BadInput(
                f"the network's output ({role}): expected one row for each of {len(batch)} images, (N, ...); "
                f"got an array of shape {array.shape}."
            )
    return [
        Seen({role: _storable(np.atleast_1d(array[place])) for role, array in arrays.items()}, geometry)
        for place, geometry in enumerate(batch.geometry)
    ]


def answered(seen: Seen, card: Card) -> Answered:
    """Head and answer from the raw outputs of one image.

    Raises:
        BadInput: the outputs are not what the card says.
        BadCard: the card's head is not one of its task.
    """
    found = head_of_image(seen, card)
    # The outputs lie here by role, whatever the network calls them.
    extra = {**card.output.extra, "outputs": {role: role for role in seen.arrays}}
    by_role = dataclasses.replace(card, output=dataclasses.replace(card.output, extra=extra))
    outputs = Outputs({role: array[None] for role, array in seen.arrays.items()})
    batch = Batch(np.zeros((1, 1), np.float32), (seen.geometry,), ("",))
    return Answered(found, answers.answer(outputs, by_role, batch)[0])


def head_of_image(seen: Seen, card: Card) -> dict[str, Array]:
    """What the layout makes of the outputs, in the prepared frame, before anything is suppressed or enlarged.

    Returns:
        Of boxes "head" (float32 (K, 4)), "head.scores" (float32), "head.classes" and "head.rows" (int64, the
        network's own number of the box), by row and class; of queries with a map each "head" (float32
        (Q, C + 1), the softmax of their labels); of pixels "head" (uint8, or int64 where there are indices
        above 255, (h, w): the index of each cell).
    """
    head = answers.head_of(card)
    arrays = seen.arrays
    if head.name == "class_map":
        return {"head": _narrow(np.squeeze(arrays["map"]))}
    if head.name == "pixel_logits":
        maps = np.asarray(arrays["logits"])
        axis = maps.ndim - 1 if head.channels == "last" else 0
        return {"head": _narrow(maps.argmax(axis=axis).astype(np.int64))}
    if head.name == "mask2former":
        return {"head": softmax(np.asarray(arrays["logits"], np.float32))}
    found = candidates(arrays, head, seen.geometry.prepared, card.output.classes)
    order = np.lexsort((found.classes, found.rows))
    return {
        "head": found.xyxy[order].astype(np.float32),
        "head.scores": found.scores[order].astype(np.float32),
        "head.classes": found.classes[order].astype(np.int64),
        "head.rows": found.rows[order].astype(np.int64),
    }


def tensors_of(seen: Seen, card: Card) -> dict[str, Array]:
    """The evidence of one image, from "network" to "decision".

    "network.ROLE" is each output. "decision" (int64) holds the indices of the boxes from `DOOR_SCORE` on,
    best first, or of the labels that the map has; "label" the UTF-8 of their names, each followed by a line
    feed.
    "answer.least" (float32 (1,)) is the score that a box had to reach.

    Raises:
        BadInput: the outputs are not what the card says, or hold numbers that are none.
    """
    for role, array in seen.arrays.items():
        if not array.size or not np.isfinite(array).all():
            raise BadInput(
                f"the network's output ({role}): expected numbers, got none, a NaN or an infinity."
            )
    made = answered(seen, card)
    tensors: dict[str, Array] = {}
    for role, array in seen.arrays.items():
        tensors |= kept(f"network.{role}", array, MOST_RAW)
    for name, array in made.head.items():
        tensors |= kept(name, array, MOST_RAW)
    tensors |= to_tensors(made.answer)
    indices, names = decided(made.answer)
    if not isinstance(made.answer, SegmentMap):
        tensors["answer.least"] = np.array([least_score(made, answers.head_of(card))], np.float32)
    tensors["decision"], tensors["label"] = indices, names_bytes(names)
    return tensors


def decided(answer: Prediction) -> tuple[Array, tuple[str, ...]]:
    """(int64 indices, names) of what an answer decides."""
    if isinstance(answer, SegmentMap):
        present = answer.present
        return np.array(present, np.int64), tuple(answer.labels[index] for index in present)
    boxes = answer.boxes if isinstance(answer, Instances) else answer
    if not isinstance(boxes, Boxes):
        raise TypeError(f"expected boxes, instances or a map, got {type(answer).__name__}")
    shown = boxes[boxes.chosen(min_score=DOOR_SCORE)]
    return shown.indices, shown.labels


def names_bytes(names: tuple[str, ...]) -> Array:
    """uint8: UTF-8 of names, each followed by a line feed."""
    return np.frombuffer("".join(f"{name}\n" for name in names).encode(), np.uint8)


def least_score(made: Answered, head: Head) -> float:
    """The score that a box has to reach to be in an answer.

    It is the contract's floor, or that of the last one where the contract or the network itself takes no more
    than a number.
    """
    how = head.suppression
    least = how.score_floor if how is not None else 0.0
    boxes = made.answer.boxes if isinstance(made.answer, Instances) else made.answer
    scores = made.head.get("head.scores")
    if how is not None and isinstance(boxes, Boxes) and how.after is not None and len(boxes) >= how.after:
        least = max(least, float(boxes.scores.min()))
    if how is None or scores is None or not len(scores):
        return least
    if head.name in LISTED or (how.before is not None and len(scores) >= how.before):
        least = max(least, float(scores.min()))
    return least


def _places(head: Head, card: Card) -> dict[str, str | int]:
    """Role to place of the outputs that the head reads for this task."""
    more = HEADS[head.name].more
    return {
        role: place for role, place in head.places.items() if role not in more or card.task == "instances"
    }


def _storable(array: Array) -> Array:
    """In a type that the evidence has; whole numbers in one byte where they fit."""
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return _narrow(array)


def _narrow(array: Array) -> Array:
    if array.dtype.kind not in "iu":
        return array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.uint8)
    fits = array.size == 0 or (array.min() >= 0 and array.max() <= 255)
    return array.astype(np.uint8 if fits else np.int64)
