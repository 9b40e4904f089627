"""How well labelled pixels agree: intersection over union, Dice, accuracy; one image at a time.

Pixels whose truth is unlabelled (-1) are in no figure, whatever the answer there. What is kept of an image
are three counts for each label, so that any number of images and any number of draws need little memory.

Source: intersection over union: Everingham et al., The Pascal Visual Object Classes Challenge: A
    Retrospective, IJCV 111 (2015) 98-136, section 3.3; Dice, Ecology 26 (1945) 297-302.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signet.arrays import Array, Integers
from signet.errors import BadInput
from signet.metrics.overlaps import Doubles


@dataclass(frozen=True, slots=True, eq=False)
class PixelCounts:
    """Pixels of one image.

    Attributes:
        table: int64 (C, C + 1), rows truth, columns answer; the last column is an answer that is none of the
            C labels.
    """

    table: Integers

    @property
    def sums(self) -> Integers:
        """int64 (3, C): right, answered, true."""
        own = self.table[:, :-1]
        return np.stack([np.diag(own), own.sum(axis=0), self.table.sum(axis=1)])


def count_pixels(answer: Array, truth: Array, classes: int) -> PixelCounts:
    """Count each pair of truth and answer.

    Args:
        answer: int (H, W), 0 to C - 1; any other value is "none of these".
        truth: int (H, W), 0 to C - 1, and -1 where nobody said.
        classes: C.

    Raises:
        BadInput: shapes that differ, or a truth that no label has.
    """
    given, right = np.asarray(answer), np.asarray(truth)
    if given.shape != right.shape or given.ndim != 2:
        raise BadInput(
            f"labelled pixels: expected answer and truth of one size, got {given.shape} and {right.shape}."
        )
    if right.size and not -1 <= right.min() <= right.max() < classes:
        raise BadInput(
            f"labelled pixels: expected a truth from -1 to {classes - 1}, got {right.min()} to {right.max()}."
        )
    known = right >= 0
    column = np.where((given >= 0) & (given < classes), given, classes)[known].astype(np.int64)
    flat = right[known].astype(np.int64) * (classes + 1) + column
    counts = np.bincount(flat, minlength=classes * (classes + 1))
    return PixelCounts(counts.reshape(classes, classes + 1).astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class PixelFigures:
    """Figures of R draws; NaN where a draw leaves one undefined.

    Attributes:
        iou: float64 (R, C); NaN for a label that the truth does not have. One that answers have all the same
            costs the labels in whose place it stands; as a nought of its own, a single pixel would cost a
            small set points, and the draws of a set more than the set itself.
        dice: float64 (R, C), the same as F1 of pixels; NaN where `iou` is.
        precision: float64 (R, C).
        recall: float64 (R, C).
        accuracy: float64 (R,), pixels that are right.
    """

    iou: Doubles
    dice: Doubles
    precision: Doubles
    recall: Doubles
    accuracy: Doubles


def pixel_figures(sums: Array, weights: Array | None = None) -> PixelFigures:
    """From the counts of N images.

    Args:
        sums: (N, 3, C), `PixelCounts.sums` of each image.
        weights: float (R, N), how often each image counts; once when None.
    """
    counts = np.asarray(sums, np.float64)
    drawn = np.ones((1, len(counts))) if weights is None else np.asarray(weights, np.float64)
    flat = drawn @ counts.reshape(len(counts), -1)
    right, answered, true = flat.reshape(len(drawn), 3, -1).transpose(1, 0, 2)
    return PixelFigures(
        iou=_ratio(right, np.where(true > 0, answered + true - right, 0)),
        dice=_ratio(2 * right, np.where(true > 0, answered + true, 0)),
        precision=_ratio(right, answered),
        recall=_ratio(right, true),
        accuracy=_ratio(right.sum(axis=1), true.sum(axis=1)),
    )


def _ratio(part: Doubles, whole: Doubles) -> Doubles:
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))
