"""Figures of a candidate where several labels of an image can be right; see `scoring`, which calls them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from signet.arrays import Array, Floats
from signet.metrics.classification import mean_where_defined
from signet.metrics.multilabel import average_precision
from signet.records import Interval, Mistake
from signet.statistics import Resampling, Weights, bootstrap


def gain(first: Floats, second: Floats, truth: Array, seed: int) -> Interval:
    """How much higher the mean average precision of one candidate's scores is, on the same images.

    Args:
        first: float (N, C), of which more is surer.
        second: of the other candidate.
        truth: bool (N, C).
        seed: of the bootstrap.
    """
    columns = np.flatnonzero(truth.any(axis=0)).tolist()

    def mean(scores: Floats, drawn: Weights) -> Array:
        areas = [average_precision(scores[:, one], truth[:, one], drawn) for one in columns]
        return mean_where_defined(np.stack(areas, axis=1))

    (found,) = bootstrap(
        lambda drawn: (mean(first, drawn) - mean(second, drawn))[:, None],
        len(truth),
        Resampling(seed=seed),
    )
    return found


def mistakes(scores: Floats, truth: Array, paths: Sequence[Path], labels: Sequence[str]) -> list[Mistake]:
    """Images whose surest label is none of theirs; `truth_score` is that of their least sure one.

    Args:
        scores: float32 (N, C).
        truth: bool (N, C).
        paths: N files.
        labels: C names.
    """
    wrong = []
    for row, right, path in zip(scores, truth, paths, strict=True):
        order = np.argsort(-row, kind="stable")[:3].tolist()
        if right[order[0]] or not right.any():
            continue
        own = np.flatnonzero(right).tolist()
        least = min(own, key=lambda place: float(row[place]))
        wrong.append(
            Mistake(
                source=str(path),
                truth=", ".join(labels[place] for place in own),
                answer=labels[order[0]],
                score=float(row[order[0]]),
                truth_score=float(row[least]),
                top=tuple((labels[place], float(row[place])) for place in order),
            )
        )
    return wrong
