"""Transferability scores of one candidate on one dataset, as columns beside its probe."""

from __future__ import annotations

import numpy as np

from signet.arrays import Array, Integers
from signet.errors import BadInput
from signet.metrics import neighbours, transferability

NAMES = ("knn", "logme", "h_score", "h_score_shrunk", "leep", "nce")
"""The columns, in the order of `scores_of`."""


_MOST_SUM = 1.25
"""Quantised scores are rounded one by one, so that a row may sum to a little more than 1."""


def scores_of(
    features: Array, scores: Array | None, targets: Integers, folds: Integers
) -> dict[str, float | None]:
    """What needs no training: nearest neighbours, and the four scores of the literature.

    Args:
        features: float (N, D), from the frozen network.
        scores: float (N, Z), what the network answers in its own labels, as `answers.probabilities` gives
            them: rows sum to 1, or to less where a background is left out; None where it has no classifier of
            labels that exclude each other.
        targets: int (N,), 0 or more, at least 2 classes.
        folds: int (N,), at least two; what belongs together is in one fold. For nearest neighbours.

    Returns:
        `knn`: accuracy, 0 to 1, each image by its 20 nearest in the other folds; `logme`, `h_score`,
        `h_score_shrunk`, `leep`, `nce`: see `metrics.transferability`; the last two None without scores.
        All are higher for better, and only `knn` is an accuracy.

    Raises:
        BadInput: shapes that do not fit, fewer than 2 classes, values that are not finite.
    """
    own: dict[str, float | None] = {"leep": None, "nce": None}
    if scores is not None:
        table = _whole(scores, len(targets))
        own = {
            "leep": transferability.leep(table, targets),
            "nce": transferability.nce(table.argmax(axis=1), targets),
        }
    return {
        "knn": neighbours.out_of_fold_accuracy(features, targets, folds),
        "logme": transferability.logme(features, targets),
        "h_score": transferability.h_score(features, targets),
        "h_score_shrunk": transferability.h_score(features, targets, shrunk=True),
        **own,
    }


def _whole(scores: Array, count: int) -> Array:
    """Float64 rows that sum to 1; what is left of a row is a label of its own, as a background is."""
    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or len(table) != count:
        raise BadInput(f"scores: expected a row for each of {count} images, got shape {table.shape}.")
    sums = table.sum(axis=1, keepdims=True)
    if not np.isfinite(table).all() or (table < 0).any() or not (sums < _MOST_SUM).all():
        raise BadInput(
            "scores: expected probabilities, at least 0 and summing to 1 at most in each row, got values "
            f"from {table.min():.4g} and sums up to {sums.max():.4g}. Give what `answers.probabilities` "
            "makes of the logits."
        )
    return np.asarray(np.hstack([table, np.maximum(1 - sums, 0)]) / np.maximum(sums, 1))
