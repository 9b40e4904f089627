"""When several labels of an image can be right: average precision, and F1 at a threshold."""

from __future__ import annotations

import numpy as np

from signet.arrays import Array, Integers
from signet.metrics.inputs import several_labels


def average_precision(scores: Array, truth: Array, weights: Array | None = None) -> Array:
    """Area under the precision-recall steps, not interpolated.

    Args:
        scores: float (N,), of one class.
        truth: bool (N,), whether each image has it.
        weights: float (R, N), how often each image counts, in each of R draws; once when None.

    Returns:
        float64 (R,); NaN where no image has the class. Equal scores count as one step.

    Source: Zhu, Recall, Precision and Average Precision, University of Waterloo (2004); the sum of
        (R_k - R_{k-1}) P_k as in scikit-learn's average_precision_score.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    drawn = np.ones((1, order.size)) if weights is None else np.asarray(weights)
    drawn = drawn[:, order]
    last_of_tie = np.append(np.diff(np.asarray(scores)[order]) != 0, True)
    found = np.cumsum(drawn * np.asarray(truth)[order], axis=1)[:, last_of_tie]
    seen = np.cumsum(drawn, axis=1)[:, last_of_tie]
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    steps = np.diff(found, axis=1, prepend=0)
    total = found[:, -1]
    area = (precision * steps).sum(axis=1)
    return np.asarray(np.divide(area, total, out=np.full_like(area, np.nan), where=total > 0))


def mean_average_precision(scores: Array, truth: Array) -> float:
    """The mean over the classes that at least one image has; NaN when none has any.

    Raises:
        BadInput: as `inputs.several_labels`.
    """
    table, right = several_labels(scores, truth)
    areas = [
        average_precision(table[:, column], right[:, column])[0]
        for column in np.flatnonzero(right.any(axis=0))
    ]
    return float(np.mean(areas)) if areas else float("nan")


def label_confusion(answers: Array, truth: Array) -> Integers:
    """Which label was given in place of, or beside, which: int64 (C, C).

    On the diagonal: images that have the label and were given it. Off it, at row i and column j: images
    that have label i and were given label j, which they do not have.

    Args:
        answers: bool (N, C).
        truth: bool (N, C).
    """
    given, have = np.asarray(answers, np.float64), np.asarray(truth, np.float64)
    counts = have.T @ (given * (1 - have))
    np.fill_diagonal(counts, (given * have).sum(axis=0))
    return counts.round().astype(np.int64)
