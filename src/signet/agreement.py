"""Do two answers for one image decide alike? Boxes and masks matched one to one, maps pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from signet.arrays import Array
from signet.boxes import Boxes
from signet.errors import MissingExtra
from signet.instances import Instances
from signet.metrics.overlaps import box_overlaps
from signet.naming import shown
from signet.predictions import Classes, Prediction
from signet.segments import SegmentMap

DOOR_SCORE = 0.25
"""Boxes from this score on are decisions: they are written where no other least score is asked for."""


_LEAST = float(np.finfo(np.float32).tiny)
"""Score below which softmax may say 0."""
TIE = 1e-3
"""Scores this close are in no order between two engines."""
TIE_INT8 = 0.06
"""Share of the greatest logit. Engines round the values of a quantized graph otherwise: logits differed by up
to 0.032 of the greatest between ONNX Runtime and OpenVINO on MobileNetV2, 0.014 on SqueezeNet (250 images);
two of them may move apart by twice that."""
CORNER = 0.1
"""Pixels. Corners are rounded to thousandths: of a box a tenth of a pixel wide that alone costs an overlap of
0.01."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What two answers must have in common.

    Attributes:
        iou: least overlap of two boxes that are one; boxes whose corners are within `CORNER` are one, too.
        mask_iou: least overlap of their masks.
        score: by how much the scores of one box may differ.
        pixels: least share of equal pixels of two maps.
    """

    iou: float
    mask_iou: float
    score: float
    pixels: float


FINE = Bounds(iou=0.99, mask_iou=0.99, score=0.02, pixels=0.999)
"""Of one network in fp32 on two engines."""
COARSE = Bounds(iou=0.9, mask_iou=0.9, score=0.1, pixels=0.99)
"""Of one network in two precisions. Measured: docs/decisions/0025-when-two-answers-are-one.md."""


class Matched(NamedTuple):
    """Two sets of boxes, laid side by side.

    Attributes:
        pairs: boxes that both have.
        alone: boxes that only one has, in words, the best first.
        score: greatest difference of a pair's scores.
    """

    pairs: int
    alone: tuple[str, ...]
    score: float


def alike(one: Prediction, two: Prediction, bounds: Bounds = COARSE) -> bool:
    """Whether two answers for one image are the same decision.

    Labels: the same first one. Boxes and instances: all from `DOOR_SCORE` on are matched one to one. Maps:
    the share of equal pixels. Two answers of different kinds, or vectors, are no decisions and not alike.
    """
    match (one, two):
        case (Classes(), Classes()):
            return bool(one.top(1).indices[0] == two.top(1).indices[0])
        case Boxes(), Boxes():
            return not matched(one, two, bounds, DOOR_SCORE).alone
        case Instances(), Instances():
            return not matched(one, two, bounds, DOOR_SCORE).alone
        case SegmentMap(), SegmentMap():
            return equal_pixels(one, two) >= bounds.pixels
        case _:
            return False


def alike_unseen(one: Prediction, two: Prediction, unseen: Array, temperature: float) -> bool:
    """Whether two answers are the same decision for a head that had not learned from the image.

    A head is surer of the images that it was fitted to than of others, and its decision is less easily
    changed by a coarser precision. What one answer has of the other's logits is therefore put on those that a
    head fitted without this image gives, and their first label is asked.

    Args:
        one: labels with softmax scores, in the reference's precision.
        two: of the same image, in another.
        unseen: float (C,), logits of the head that was fitted without it.
        temperature: that the scores' logits were divided by.
    """
    if not (isinstance(one, Classes) and isinstance(two, Classes)):
        return False
    first, second = (np.log(np.maximum(np.asarray(each.scores, np.float64), _LEAST)) for each in (one, two))
    # Logarithms of softmax scores are logits but for a number common to all, which changes no order.
    return bool(np.argmax(unseen) == np.argmax(unseen + temperature * (second - first)))


def matched(
    one: Boxes | Instances,
    two: Boxes | Instances,
    bounds: Bounds,
    least: float = -np.inf,
    suppressed: float | None = None,
) -> Matched:
    """Match the boxes of two answers one to one: same label, overlap and score within the bounds.

    As many pairs as can be are made, and of those matchings the one that overlaps most.

    Args:
        one: an answer.
        two: another one for the same image.
        bounds: what a pair must have in common; masks count where both answers have them.
        least: boxes below it are not compared, and one that is within `bounds.score` of it may be in one
            answer only: a score that close to a threshold is on no side of it.
        suppressed: the overlap from which on one box suppresses another. Where it is given, a box may be
            missing for the sake of one of the same label that has its score to `TIE` and overlaps it by half
            of that (clipping to the image changes overlaps): which of the two goes is in nobody's hand.
    """
    near = [answer[_boxes(answer).scores >= least - bounds.score] for answer in (one, two)]
    first, second = _boxes(near[0]), _boxes(near[1])
    overlaps = box_overlaps(first.xyxy, second.xyxy, np.zeros(len(second), np.bool_))
    apart = np.abs(first.scores[:, None] - second.scores)
    one_place = np.abs(first.xyxy[:, None] - second.xyxy).max(axis=2) <= CORNER
    fit = (overlaps >= bounds.iou) | one_place
    fit &= (first.indices[:, None] == second.indices) & (apart <= bounds.score)
    _hold_masks(fit, near[0], near[1], bounds.mask_iou)
    # A pair weighs more than any sum of overlaps, so that none is given up for a better fit of others.
    weights = np.where(fit, len(first) + 1 + overlaps, 0.0)
    rows, columns = assigned(weights)
    paired = fit[rows, columns]
    rows, columns = rows[paired], columns[paired]
    tied = np.zeros_like(fit)
    if suppressed is not None:
        tied = (first.indices[:, None] == second.indices) & (overlaps > suppressed / 2) & (apart <= TIE)
    sides = ((first, rows, tied.any(axis=1)), (second, columns, tied.any(axis=0)))
    alone = [
        (float(answer.scores[place]), words)
        for answer, places, excused in sides
        for place, words in _left(answer, places)
        if answer.scores[place] >= least + bounds.score and not excused[place]
    ]
    ordered = tuple(words for _, words in sorted(alone, key=lambda row: -row[0]))
    return Matched(len(rows), ordered, float(apart[rows, columns].max(initial=0.0)))


def equal_pixels(one: SegmentMap, two: SegmentMap) -> float:
    """The share of pixels with the same label index; 0 for maps of different sizes."""
    return float((one.indices == two.indices).mean()) if one.size == two.size else 0.0


def _hold_masks(fit: Array, one: Boxes | Instances, two: Boxes | Instances, least: float) -> None:
    """Of the pairs that fit so far, keep those whose masks overlap enough; two empty masks are one."""
    if not (isinstance(one, Instances) and isinstance(two, Instances)):
        return
    for row, column in zip(*np.nonzero(fit), strict=True):
        first, second = one.masks[row], two.masks[column]
        fit[row, column] = first == second or first.iou(second) >= least


def _boxes(answer: Boxes | Instances) -> Boxes:
    return answer.boxes if isinstance(answer, Instances) else answer


def _left(answer: Boxes, paired: Array) -> list[tuple[int, str]]:
    """(place, words) of the boxes that have no partner."""
    places = np.setdiff1d(np.arange(len(answer)), paired)
    return [
        (
            int(place),
            f"{shown(answer.labels[place])} {answer.scores[place]:.3f} at "
            + ", ".join(f"{side:.1f}" for side in answer.xyxy[place]),
        )
        for place in places
    ]


def assigned(weights: Array) -> tuple[Array, Array]:
    """The rows and columns of the pairs whose weights sum to the most, each taken once.

    Args:
        weights: float64 (R, C).

    Raises:
        MissingExtra: scipy is not installed; classes need none, so that it is imported here only.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise MissingExtra("comparing boxes", "fit", "scipy") from error
    rows, columns = linear_sum_assignment(weights, maximize=True)
    return rows, columns


def tied(sealed: Mapping[str, Array], index: int, other: int, share: float) -> bool:
    """Whether two classes were so close when they were sealed that a coarse engine may swap them.

    Args:
        sealed: the evidence of an image, with its "head" (logits) and "answer" (scores).
        index: of the one class among the scores.
        other: of the other.
        share: of the greatest logit, by which the two may differ; 0 for never.
    """
    if not share or "head" not in sealed or "answer" not in sealed:
        return False
    head = np.asarray(sealed["head"], np.float64)
    shift = len(head) - len(sealed["answer"])  # a background, which the answer has no more
    if head.ndim != 1 or shift < 0 or max(index, other) + shift >= len(head):
        return False
    return bool(abs(head[index + shift] - head[other + shift]) <= share * np.abs(head).max())
