"""From a network's outputs to answers in original pixels with label names. Pure numpy.

`answer` picks the way by the card: labels (`classes`); boxes and instances (`layouts`, `suppression`,
`boxes`, `masks`); a label for each pixel (`segments`, `maps`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from signet.answers.boxes import SCORE_DECIMALS, Reading, boxes, instances
from signet.answers.classes import (
    chosen,
    classes,
    embeddings,
    features,
    logistic,
    logits,
    probabilities,
    softmax,
)
from signet.answers.segments import class_map, pixel_logits
from signet.arrays import Array
from signet.batches import Batch, Outputs
from signet.boxes import Boxes
from signet.cards import Card, Task
from signet.errors import BadCard, BadInput
from signet.geometry import Geometry
from signet.heads import HEADS, Head
from signet.instances import Instances
from signet.predictions import Classes, Embedding, Prediction
from signet.segments import SegmentMap

__all__ = [
    "answer",
    "chosen",
    "classes",
    "embeddings",
    "features",
    "head_of",
    "kind_of",
    "logistic",
    "logits",
    "probabilities",
    "softmax",
]

KINDS: Mapping[Task, type[Prediction]] = {
    "classify": Classes,
    "detect": Boxes,
    "instances": Instances,
    "segment": SegmentMap,
    "embed": Embedding,
}
"""What a model of each task answers with."""


def kind_of(card: Card) -> type[Prediction]:
    """The kind of answer that a model of this card gives."""
    return KINDS[card.task]


def head_of(card: Card) -> Head:
    """The typed constants of the head of a detector or segmenter.

    Raises:
        BadCard: the card's head is not one of its task, or a field of it cannot be.
    """
    output = card.output
    fitting = [name for name, row in HEADS.items() if card.task in row.tasks]
    if output.head not in fitting:
        raise BadCard(
            f"card {card.name!r}: a model of the task {card.task!r} has one of the heads "
            f"{', '.join(fitting)}; got {output.head!r}."
        )
    if card.task == "segment" and output.drop_first:
        raise BadCard(
            f"card {card.name!r}: each pixel of a segmenter has a label; name the background too, and say "
            "which one it is with `background_index`."
        )
    if output.head != "pixel_logits" and (output.already_activated or output.temperature != 1):
        raise BadCard(
            f"card {card.name!r}: `already_activated` and `temperature` are for labels and `pixel_logits`; "
            f"the head {output.head!r} has no use for them. Where it takes `activation`, that says "
            "what is left to do."
        )
    return Head.of(output.head, output.extra, output.tensor)


def answer(outputs: Outputs, card: Card, batch: Batch, *, min_score: float = 0.0) -> list[Prediction]:
    """One answer for each image.

    Args:
        outputs: from the engine.
        card: what the outputs are, and the labels.
        batch: what went in: sources, and the way back to original pixels.
        min_score: boxes and instances below it are not wanted, which saves comparing them and drawing their
            masks; other answers are whole.

    Raises:
        BadCard: the card's output contract is not one of its task.
        BadInput: the outputs are not what the card says.
    """
    if card.task == "classify":
        return [*classes(outputs, card.output, card.labels, batch.sources)]
    if card.task == "embed":
        return [*embeddings(outputs, card.output, batch.sources)]
    head = head_of(card)
    if card.task != "segment" and min_score > 0:
        # Scores are rounded: one that is written as the least may be less by half a step.
        head = head.from_score(min_score - 0.5 * 10.0**-SCORE_DECIMALS)
    arrays = _by_role(outputs, card, head, len(batch))
    images = zip(batch.geometry, batch.sources, strict=True)
    # What overflows becomes an infinity or a NaN, which is looked for where it counts.
    with np.errstate(over="ignore", invalid="ignore"):
        return [
            _one({role: array[place] for role, array in arrays.items()}, geometry, card, head, source)
            for place, (geometry, source) in enumerate(images)
        ]


def _one(arrays: Mapping[str, Array], geometry: Geometry, card: Card, head: Head, source: str) -> Prediction:
    match card.task:
        case "detect":
            return boxes(arrays, geometry, Reading(head, card.output, card.labels), source)
        case "instances":
            return instances(arrays, geometry, Reading(head, card.output, card.labels), source)
        case _ if head.name == "class_map":
            return class_map(arrays["map"], geometry, card.labels, card.output, source)
        case _:
            return pixel_logits(arrays["logits"], geometry, card.labels, card.output, head, source)


def _by_role(outputs: Outputs, card: Card, head: Head, count: int) -> dict[str, Array]:
    """The outputs that the head reads, by role.

    Raises:
        BadInput: one is not there, or its first axis is not the images.
    """
    row = HEADS[head.name]
    roles = [role for role in head.places if role not in row.more or card.task == "instances"]
    arrays = {role: chosen(outputs, head.places[role]) for role in roles}
    for role, array in arrays.items():
        if array.ndim < 1 or len(array) != count:
            raise BadInput(
                f"the network's output {head.places[role]!r} ({role}): expected one entry for each of "
                f"{count} images, got shape {array.shape}."
            )
    return arrays
