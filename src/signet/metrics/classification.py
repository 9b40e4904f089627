"""How often the answer is right, over all and for each class. One right label for each image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from signet.arrays import Array, Integers
from signet.errors import BadInput
from signet.metrics.inputs import single_label


class ClassFigures(NamedTuple):
    """Figures of each class.

    Attributes:
        precision: float64 (..., C): of those called so, the fraction that is. NaN when none was.
        recall: float64 (..., C): of those that are, the fraction called so. NaN when there are none.
        f1: float64 (..., C): their harmonic mean. NaN when the class neither is nor was called.
    """

    precision: Array
    recall: Array
    f1: Array


def ranks(scores: Array, truth: Array) -> Integers:
    """Where the right label stands in each image's answer: int64 (N,), 0 for first.

    Of equal scores the lower label comes first, as in `Classes.top`.

    Raises:
        BadInput: as `inputs.single_label`.
    """
    table, right = single_label(scores, truth)
    own = np.take_along_axis(table, right[:, None], axis=1)
    ahead = (table > own).sum(axis=1)
    tied = (table == own) & (np.arange(table.shape[1]) < right[:, None])
    return np.asarray(ahead + tied.sum(axis=1), dtype=np.int64)


def top_k_accuracy(scores: Array, truth: Array, k: int = 1) -> float:
    """The fraction of images whose right label is among the `k` highest scores.

    Raises:
        BadInput: as `inputs.single_label`.
    """
    return float((ranks(scores, truth) < k).mean())


def confusion_matrix(truth: Integers, answers: Integers, classes: int) -> Integers:
    """How many images of each class were called what.

    Args:
        truth: int (N,), 0 to classes - 1.
        answers: int (N,), the same.
        classes: C.

    Returns:
        int64 (C, C): rows truth, columns answer.

    Raises:
        BadInput: a label out of range, or different lengths.
    """
    both = np.stack([np.asarray(truth), np.asarray(answers)]) if len(truth) == len(answers) else None
    if both is None or (both.size and (both.min() < 0 or both.max() >= classes)):
        raise BadInput(f"confusion: expected two rows of one length with labels from 0 to {classes - 1}.")
    counts = np.bincount(both[0] * classes + both[1], minlength=classes * classes)
    return np.asarray(counts.reshape(classes, classes), dtype=np.int64)


def class_figures(right: Array, called: Array, present: Array) -> ClassFigures:
    """Precision, recall and F1 from three sums.

    Args:
        right: (..., C), images of the class that were called so (the confusion matrix's diagonal).
        called: (..., C), images called so (its column sums).
        present: (..., C), images of the class (its row sums).
    """
    return ClassFigures(
        _ratio(right, called), _ratio(right, present), _ratio(2 * np.asarray(right), called + present)
    )


def mean_where_defined(figures: Array) -> Array:
    """The mean over the classes that have a figure: float64 (...); NaN when none has.

    Of F1 this is scikit-learn's macro average, which counts the classes that occur in truth or answers.

    Args:
        figures: float (..., C), NaN for a class without one.
    """
    known = ~np.isnan(figures)
    return np.asarray(_ratio(np.where(known, figures, 0).sum(axis=-1), known.sum(axis=-1)))


def _ratio(part: Array, whole: Array) -> Array:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0))
