"""Transferability scores of one candidate on one dataset, as columns beside its probe."""

from __future__ import annotations

import numpy as np

from signet.arrays import Array, Integers
from signet.metrics import neighbours, transferability
from signet.metrics.calibration import log_softmax

NAMES = ("knn", "logme", "h_score", "h_score_shrunk", "leep", "nce")
"""The columns, in the order of `scores_of`."""


def scores_of(
    features: Array, logits: Array | None, targets: Integers, folds: Integers
) -> dict[str, float | None]:
    """What needs no training: nearest neighbours, and the four scores of the literature.

    Args:
        features: float (N, D), from the frozen network.
        logits: float (N, Z), what the network answers in its own labels, before the softmax; None where it
            has no classifier of labels that exclude each other.
        targets: int (N,), 0 or more, at least 2 classes.
        folds: int (N,), at least two; what belongs together is in one fold. For nearest neighbours.

    Returns:
        `knn`: accuracy, 0 to 1, each image by its 20 nearest in the other folds; `logme`, `h_score`,
        `h_score_shrunk`, `leep`, `nce`: see `metrics.transferability`; the last two None without logits.
        All are higher for better, and only `knn` is an accuracy.

    Raises:
        BadInput: shapes that do not fit, fewer than 2 classes, values that are not finite.
    """
    own: dict[str, float | None] = {"leep": None, "nce": None}
    if logits is not None:
        table = np.exp(log_softmax(logits))
        own = {
            "leep": transferability.leep(table, targets),
            "nce": transferability.nce(np.asarray(logits).argmax(axis=1), targets),
        }
    return {
        "knn": neighbours.out_of_fold_accuracy(features, targets, folds),
        "logme": transferability.logme(features, targets),
        "h_score": transferability.h_score(features, targets),
        "h_score_shrunk": transferability.h_score(features, targets, shrunk=True),
        **own,
    }
