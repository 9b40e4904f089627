"""Which answer found which truth: once for each image, label, size range and least overlap.

All figures of detection are counted from these matches, for the images as they are and for every draw of
a bootstrap, so that nothing is matched twice.

Source: the COCO evaluation (cocodataset.org/#detection-eval): answers in the order of their scores, each
takes the free truth that it overlaps most, one that counts before one that is only not to be held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Array, Integers
from signet.boxes import Boxes
from signet.errors import BadInput
from signet.instances import Instances
from signet.metrics.overlaps import Doubles, box_overlaps, mask_overlaps

Objects = Boxes | Instances
Flags = NDArray[np.bool_]
Outcomes = NDArray[np.uint8]

WRONG, RIGHT, IGNORED = 0, 1, 2
"""What became of an answer: a false alarm; a truth was found; neither, it is in no figure."""

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""The least overlaps whose mean is COCO's average precision."""

SIZES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas in pixels, from and to, both included."""

MOST = 100
"""Answers of one label in one image that are looked at, the best ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What was found in N images, with C labels, A ranges of size and T least overlaps.

    Answers (D) stand in the order in which a figure takes them: by label, then by score, the best first, and
    equal scores in the order of the images. Truths (G) stand in the order of the images.

    Attributes:
        images: N.
        classes: C.
        image: int64 (D,).
        label: int64 (D,).
        score: float64 (D,).
        rank: int64 (D,): place among the answers of its image and label, 0 for the best.
        place: int64 (D,): place in its image's answer.
        outcome: uint8 (A, T, D): WRONG, RIGHT or IGNORED.
        partner: int64 (D,): row of the truth that it found among all sizes at the first overlap, or -1.
        truth_image: int64 (G,).
        truth_label: int64 (G,).
        truth_place: int64 (G,): place in its image's truth.
        counted: bool (A, G): to be found, in this range of size.
    """

    images: int
    classes: int
    image: Integers
    label: Integers
    score: Doubles
    rank: Integers
    place: Integers
    outcome: Outcomes
    partner: Integers
    truth_image: Integers
    truth_label: Integers
    truth_place: Integers
    counted: Flags

    def answers_of(self, label: int) -> slice:
        """Where the answers with a label stand."""
        first, last = np.searchsorted(self.label, [label, label + 1])
        return slice(int(first), int(last))


def match(pairs: Iterable[tuple[Objects, Objects]], classes: int, *, masks: bool = False) -> Matches:
    """Match answers with truths by the label's index.

    Args:
        pairs: for each image its answer and its truth; indices from 0 to `classes` - 1 in both.
        classes: C.
        masks: compare by masks (both sides are `Instances`), else by boxes. The size of an answer is then its
            mask's, else its box's; that of a truth is what `areas` states, in both.

    Raises:
        BadInput: an index that no label has, or boxes where masks are needed.
    """
    return joined([_one_image(place, *pair, classes, masks) for place, pair in enumerate(pairs)], classes)


def joined(parts: Sequence[Matches], classes: int) -> Matches:
    """The matches of several sets of images as those of one, in the order of the sets.

    Args:
        parts: each with C labels.
        classes: C.
    """
    truths = np.cumsum([0, *(len(part.truth_label) for part in parts)])
    images = np.cumsum([0, *(part.images for part in parts)])
    image = _joined([part.image + first for part, first in zip(parts, images[:-1], strict=True)])
    label, score = (
        _joined([part.label for part in parts]),
        _joined([part.score for part in parts], np.float64),
    )
    order = np.lexsort((-score, label))
    partners = [
        np.where(part.partner >= 0, part.partner + first, -1)
        for part, first in zip(parts, truths[:-1], strict=True)
    ]
    empty = np.zeros((len(SIZES), len(OVERLAPS), 0), np.uint8)
    return Matches(
        images=int(images[-1]),
        classes=classes,
        image=image[order],
        label=label[order],
        score=score[order],
        rank=_joined([part.rank for part in parts])[order],
        place=_joined([part.place for part in parts])[order],
        outcome=np.concatenate([empty, *(part.outcome for part in parts)], axis=2)[:, :, order],
        partner=_joined(partners)[order],
        truth_image=_joined(
            [part.truth_image + first for part, first in zip(parts, images[:-1], strict=True)]
        ),
        truth_label=_joined([part.truth_label for part in parts]),
        truth_place=_joined([part.truth_place for part in parts]),
        counted=np.concatenate(
            [np.zeros((len(SIZES), 0), np.bool_), *(part.counted for part in parts)], axis=1
        ),
    )


def _one_image(image: int, answer: Objects, truth: Objects, classes: int, masks: bool) -> Matches:
    """The matches of one image, whose place is for words; its answers in the order of label and score."""
    given, there = _boxes(answer), _boxes(truth)
    for words, boxes in (("an answer", given), ("a truth", there)):
        if len(boxes) and not 0 <= boxes.indices.min() <= boxes.indices.max() < classes:
            raise BadInput(
                f"{words} of image {image}: expected label indices from 0 to {classes - 1}, "
                f"got {sorted(set(boxes.indices.tolist()))[:8]}."
            )
    order = np.lexsort((-given.scores, given.indices))
    label = given.indices[order]
    rank = np.arange(len(label)) - np.searchsorted(label, label)
    order, label, rank = order[rank < MOST], label[rank < MOST], rank[rank < MOST]
    counted = ~np.asarray(there.crowd) & _within(np.asarray(there.areas))
    outside = ~_within(_areas(answer, given, masks)[order])
    outcome = np.where(outside[:, None], IGNORED, WRONG).astype(np.uint8).repeat(len(OVERLAPS), axis=1)
    partner = np.full(len(order), -1, np.int64)
    for one in np.intersect1d(label, there.indices):
        rows, columns = np.flatnonzero(label == one), np.flatnonzero(there.indices == one)
        overlaps = _overlaps(answer, truth, order[rows], columns, masks)
        crowd = np.asarray(there.crowd)[columns]
        _take(overlaps, crowd, counted[:, columns], (outcome, partner), (rows, columns))
    return Matches(
        images=1,
        classes=classes,
        image=np.zeros(len(order), np.int64),
        label=label,
        score=given.scores[order],
        rank=rank,
        place=order.astype(np.int64),
        outcome=outcome,
        partner=partner,
        truth_image=np.zeros(len(there), np.int64),
        truth_label=there.indices,
        truth_place=np.arange(len(there)),
        counted=counted,
    )


def _take(
    overlaps: Doubles,
    crowd: Array,
    counted: Flags,
    found: tuple[Outcomes, Integers],
    places: tuple[Integers, Integers],
) -> None:
    """Let the answers of one label take truths, the best first; writes into outcome and partner.

    Args:
        overlaps: float64 (D, G), answers in the order of their scores.
        crowd: bool (G,).
        counted: bool (A, G).
        found: outcome and partner of the whole image.
        places: rows of these answers, and columns of these truths.
    """
    outcome, partner = found
    rows, columns = places
    ranges, least = np.arange(len(SIZES))[:, None], np.arange(len(OVERLAPS))[None]
    free = np.ones((len(SIZES), len(OVERLAPS), len(columns)), np.bool_)
    limits = np.minimum(OVERLAPS, 1 - 1e-10)[:, None]
    # Most answers come near no truth, and there is nothing to decide about them.
    for row in np.flatnonzero((overlaps >= limits[0]).any(axis=1)):
        near = overlaps[row]
        allowed = (free | crowd) & (near >= limits)
        first = np.where(allowed & counted[:, None], near, -1.0)
        second = np.where(allowed, near, -1.0)
        chosen = np.where(first.max(axis=2) >= 0, _last_best(first), _last_best(second))
        taken = second.max(axis=2) >= 0
        right = counted[ranges, chosen]
        place = rows[row]
        outcome[:, :, place] = np.where(taken, np.where(right, RIGHT, IGNORED), outcome[:, :, place])
        free[ranges, least, chosen] &= ~taken
        if taken[0, 0]:
            partner[place] = columns[chosen[0, 0]]


def _last_best(values: Doubles) -> Integers:
    """The last place of the greatest value along the last axis."""
    return np.asarray(values.shape[-1] - 1 - values[..., ::-1].argmax(axis=-1), np.int64)


def _overlaps(answer: Objects, truth: Objects, rows: Integers, columns: Integers, masks: bool) -> Doubles:
    crowd = np.asarray(_boxes(truth).crowd)[columns]
    if not masks:
        return box_overlaps(_boxes(answer).xyxy[rows], _boxes(truth).xyxy[columns], crowd)
    if not isinstance(answer, Instances) or not isinstance(truth, Instances):
        raise BadInput("matching by masks: expected instances on both sides, got boxes without masks.")
    return mask_overlaps([answer.masks[row] for row in rows], [truth.masks[row] for row in columns], crowd)


def _areas(answer: Objects, boxes: Boxes, masks: bool) -> Doubles:
    if masks and isinstance(answer, Instances):
        return np.array([mask.area for mask in answer.masks], np.float64)
    return np.asarray((boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).prod(axis=1), np.float64)


def _within(areas: Array) -> Flags:
    """Bool (A, K): which areas lie in each range of size."""
    return np.stack([(areas >= low) & (areas <= high) for low, high in SIZES.values()])


def _boxes(objects: Objects) -> Boxes:
    return objects.boxes if isinstance(objects, Instances) else objects


def _joined(parts: list[Array], dtype: type = np.int64) -> Array:
    return np.concatenate([np.zeros(0, dtype), *parts])
