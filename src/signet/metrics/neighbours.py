"""Classification by nearest neighbours in a space of features: nothing is learned."""

from __future__ import annotations

import numpy as np

from signet.arrays import Array, Integers
from signet.errors import BadInput

NEIGHBOURS = 20
TEMPERATURE = 0.07

_CELLS = 4_000_000  # similarities held at once: 32 MB


def votes(
    known: Array,
    targets: Integers,
    asked: Array,
    classes: int,
    *,
    neighbours: int = NEIGHBOURS,
) -> Array:
    """How the nearest known images vote on other images.

    Args:
        known: float (N, D), features of images whose class is known.
        targets: int (N,), 0 to classes - 1.
        asked: float (M, D).
        classes: C.
        neighbours: how many vote; all where there are fewer.

    Returns:
        float64 (M, C), 0 to 1, rows summing to 1: the votes weigh exp(cosine / 0.07). Of equally near images
        the first known ones vote.

    Raises:
        BadInput: shapes that do not fit, no known image, features that are not finite, less than 1 neighbour.

    Source: Z. Wu et al., "Unsupervised feature learning via non-parametric instance discrimination", CVPR
        2018, arXiv:1805.01978, section 3.4, with the 20 neighbours of M. Caron et al., ICCV 2021,
        arXiv:2104.14294.
    """
    rows, truth, queries = np.asarray(known), np.asarray(targets), np.asarray(asked)
    _check(rows, truth, queries, classes)
    if neighbours < 1:
        raise BadInput(f"neighbours: expected at least 1, got {neighbours}.")
    space = _directions(rows)
    some = min(neighbours, len(rows))
    table = np.zeros((len(queries), classes))
    step = max(1, _CELLS // len(rows))
    for start in range(0, len(queries), step):
        alike = _directions(queries[start : start + step]) @ space.T
        nearest = np.argsort(-alike, axis=1, kind="stable")[:, :some]
        near = np.take_along_axis(alike, nearest, axis=1)
        weight = np.exp((near - near.max(axis=1, keepdims=True)) / TEMPERATURE)
        places = np.repeat(np.arange(start, start + len(alike)), some)
        np.add.at(table, (places, truth[nearest].ravel()), weight.ravel())
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def out_of_fold_accuracy(
    features: Array, targets: Integers, folds: Integers, *, neighbours: int = NEIGHBOURS
) -> float:
    """The fraction of images whose neighbours *in the other folds* name their class.

    Args:
        features: float (N, D).
        targets: int (N,), 0 or more.
        folds: int (N,), at least two different; what belongs together is in one fold.
        neighbours: how many vote.

    Raises:
        BadInput: as `votes`; only one fold.
    """
    rows, truth, parts = np.asarray(features), np.asarray(targets), np.asarray(folds)
    names = np.unique(parts).tolist()
    if parts.shape != truth.shape or len(names) < 2:
        raise BadInput(
            f"folds: expected one for each image and at least two different, got shape {parts.shape} and "
            f"{len(names)}."
        )
    right = 0
    for name in names:
        inside, outside = parts != name, parts == name
        given = votes(rows[inside], truth[inside], rows[outside], int(truth.max()) + 1, neighbours=neighbours)
        right += int((given.argmax(axis=1) == truth[outside]).sum())
    return right / len(truth)


def _directions(rows: Array) -> Array:
    """Float64 rows of length 1; a row of zeros stays one."""
    table = rows.astype(np.float64)
    most = np.abs(table).max(axis=1, keepdims=True, initial=0)
    table = np.divide(table, most, out=np.zeros_like(table), where=most > 0)
    length = np.linalg.norm(table, axis=1, keepdims=True)
    return np.asarray(np.divide(table, length, out=np.zeros_like(table), where=length > 0))


def _check(rows: Array, truth: Array, queries: Array, classes: int) -> None:
    fits = rows.ndim == 2 and queries.ndim == 2 and rows.shape[1:] == queries.shape[1:] and len(rows)
    if not fits or truth.shape != rows.shape[:1]:
        raise BadInput(
            "neighbours: expected features (N, D), targets (N,) and features (M, D), "
            f"got {rows.shape}, {truth.shape} and {queries.shape}."
        )
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= classes:
        raise BadInput(f"targets: expected whole numbers from 0 to {classes - 1}.")
    if not (np.isfinite(rows).all() and np.isfinite(queries).all()):
        raise BadInput("features: expected finite numbers, got NaN or infinity.")
