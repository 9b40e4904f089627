"""What every figure asks of scores and truth before it counts them."""

from __future__ import annotations

import numpy as np

from signet.arrays import Array, Integers
from signet.errors import BadInput


def single_label(scores: Array, truth: Array) -> tuple[Array, Integers]:
    """Scores and truth as arrays that fit each other.

    Args:
        scores: float (N, C).
        truth: int (N,), 0 to C - 1.

    Raises:
        BadInput: shapes that do not fit, no image, a score that is not a number, a label out of range.
    """
    table, right = np.asarray(scores), np.asarray(truth)
    if table.ndim != 2 or right.shape != table.shape[:1] or not table.size:
        raise BadInput(
            f"scores and truth: expected shapes (images, classes) and (images,), "
            f"got {table.shape} and {right.shape}."
        )
    if not np.issubdtype(right.dtype, np.integer):
        raise BadInput(f"truth: expected whole numbers, got {right.dtype}.")
    if right.min() < 0 or right.max() >= table.shape[1]:
        raise BadInput(
            f"truth: expected labels from 0 to {table.shape[1] - 1}, got {right.min()} to {right.max()}."
        )
    if not np.isfinite(table).all():
        raise BadInput("scores: expected finite numbers, got NaN or infinity.")
    return table, right.astype(np.int64, copy=False)


def several_labels(scores: Array, truth: Array) -> tuple[Array, Array]:
    """Scores (N, C) and bool truth (N, C) that fit each other.

    Raises:
        BadInput: shapes that differ, no image, a score that is not a number, a truth not 0 or 1.
    """
    table, right = np.asarray(scores), np.asarray(truth)
    if table.ndim != 2 or table.shape != right.shape or not table.size:
        raise BadInput(
            "scores and truth of several labels: expected one shape (images, classes) for both, "
            f"got {table.shape} and {right.shape}."
        )
    if not np.isfinite(table).all():
        raise BadInput("scores: expected finite numbers, got NaN or infinity.")
    if not np.isin(right, (0, 1)).all():
        raise BadInput("truth of several labels: expected 0 and 1 (or False and True) only.")
    return table, right.astype(bool, copy=False)
