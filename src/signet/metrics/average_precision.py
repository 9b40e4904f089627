"""Average precision and recall of found objects, for the images as they are and for draws of them.

A draw is a row of weights: how often each image counts. An image that counts twice gives its answers and its
truths twice, which for every figure here is the same as a list in which it stands twice in a row.

Source: COCO (Lin et al., arXiv:1405.0312; cocodataset.org/#detection-eval); Pascal VOC: Everingham et al.,
    The Pascal Visual Object Classes Challenge, IJCV 88 (2010) 303-338, section 4.2 (eleven points, 2007), and
    its development kit of 2010 (all points).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from signet.arrays import Array, Integers
from signet.metrics.classification import mean_where_defined
from signet.metrics.matching import IGNORED, MOST, OVERLAPS, RIGHT, SIZES, Matches
from signet.metrics.overlaps import Doubles

RECALLS = np.linspace(0.0, 1.0, 101)
"""The recalls at which COCO reads the precision."""

ELEVEN = np.linspace(0.0, 1.0, 11)
"""Those of Pascal VOC 2007."""

LIMITS = (1, 10, MOST)
"""Answers of each label and image that a recall is of."""

_RANGES = tuple(SIZES)
_CELLS = 500_000  # weights gathered at once: 4 MB


@dataclass(frozen=True, slots=True, eq=False)
class LabelFigures:
    """The figures of each label in each of R draws: float64 (R, C), NaN where a draw has no such truth.

    Attributes:
        precision: for each range of size: the mean over the least overlaps.
        precision50: all sizes, overlap at least 0.5.
        precision75: all sizes, overlap at least 0.75.
        recall: for 1, 10 and 100 answers of all sizes, then for 100 in each other range.
    """

    precision: dict[str, Doubles]
    precision50: Doubles
    precision75: Doubles
    recall: dict[str, Doubles]

    def means(self) -> dict[str, Doubles]:
        """COCO's twelve figures, each (R,): the mean over the labels that have truths."""
        sizes = _RANGES[1:]
        named = {
            "ap": self.precision["all"],
            "ap50": self.precision50,
            "ap75": self.precision75,
            **{f"ap_{size}": self.precision[size] for size in sizes},
            **{f"ar{limit}": self.recall[str(limit)] for limit in LIMITS},
            **{f"ar_{size}": self.recall[size] for size in sizes},
        }
        return {name: mean_where_defined(values) for name, values in named.items()}


def label_figures(matches: Matches, weights: Array | None = None) -> LabelFigures:
    """The figures of each label.

    Args:
        matches: what was found.
        weights: float (R, N), how often each image counts, in each of R draws; once when None.
    """
    drawn = _drawn(matches, weights)
    shape = (drawn.shape[1], matches.classes)
    precision = {size: np.full(shape, np.nan) for size in _RANGES}
    recall = {name: np.full(shape, np.nan) for name in (*map(str, LIMITS), *_RANGES[1:])}
    halves, quarters = np.full(shape, np.nan), np.full(shape, np.nan)
    for place, size in enumerate(_RANGES):
        for label, total in _totals(matches, drawn, place):
            known = total > 0
            curves = [_curve(matches, drawn, label, (place, least)) for least in range(len(OVERLAPS))]
            areas = [np.where(known, _at_recalls(curve, total, RECALLS), np.nan) for curve in curves]
            precision[size][:, label] = np.mean(areas, axis=0)
            if place == 0:
                halves[:, label], quarters[:, label] = areas[0], areas[5]
            for limit in LIMITS if place == 0 else LIMITS[-1:]:
                found = np.mean([_found(curve, drawn, limit) for curve in curves], axis=0)
                name = str(limit) if place == 0 else size
                recall[name][:, label] = np.divide(found, total, out=np.full(len(total), np.nan), where=known)
    return LabelFigures(precision, halves, quarters, recall)


def precision_curves(matches: Matches, least: int = 0) -> Doubles:
    """Precision at each of `RECALLS`, made falling: float64 (C, 101); NaN for a label without truth.

    Args:
        matches: what was found.
        least: position in `OVERLAPS`: 0 for an overlap of at least 0.5.
    """
    drawn = _drawn(matches, None)
    curves = np.full((matches.classes, len(RECALLS)), np.nan)
    for label, total in _totals(matches, drawn, 0):
        curve = _curve(matches, drawn, label, (0, least))
        recall = (curve.right / total)[:, 0]
        padded = np.append(curve.precision[:, 0], 0.0)
        curves[label] = padded[np.searchsorted(recall, RECALLS, side="left")]
    return curves


class Curve(NamedTuple):
    """Precision against what was found, at each right answer, in R draws.

    Attributes:
        right: float64 (E, R), truths found up to and including each.
        precision: float64 (E, R), the greatest precision from there on.
        image: int64 (E,).
        rank: int64 (E,).
    """

    right: Doubles
    precision: Doubles
    image: Integers
    rank: Integers


def steps(right: Array, image: Integers, drawn: Doubles, rank: Integers | None = None) -> Curve:
    """The curve of answers that stand in the order of their scores.

    Only right answers make steps: the precision between two of them falls, and is read nowhere.

    Args:
        right: bool (K,); all others are false alarms.
        image: int64 (K,).
        drawn: float64 (N, R), weights.
        rank: int64 (K,), kept for the right ones.
    """
    events = np.flatnonzero(right)
    ranks = np.zeros(len(events), np.int64) if rank is None else rank[events]
    if not len(events):
        nothing = np.zeros((0, drawn.shape[1]))
        return Curve(nothing, nothing, events, ranks)
    seen = np.cumsum(_since_last(image, events, drawn), axis=0)
    found = np.cumsum(drawn[image[events]], axis=0)
    precision = found / (seen + np.spacing(1))
    falling = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    return Curve(found, falling, image[events], ranks)


def _since_last(image: Integers, events: Integers, drawn: Doubles) -> Doubles:
    """Answers after one event up to and including the next, float64 (E, R), in bounded memory."""
    firsts = np.append(0, events[:-1] + 1)
    sums = np.zeros((len(events), drawn.shape[1]))
    rows = max(1, _CELLS // drawn.shape[1])
    for first in range(0, int(events[-1]) + 1, rows):
        last = min(first + rows, int(events[-1]) + 1)
        begin, end = np.searchsorted(events, [first, last - 1])
        parts = slice(int(begin), int(end) + 1)
        starts = np.maximum(firsts[parts], first) - first
        sums[parts] += np.add.reduceat(drawn[image[first:last]], starts, axis=0)
    return sums


def _curve(matches: Matches, drawn: Doubles, label: int, place: tuple[int, int]) -> Curve:
    rows = matches.answers_of(label)
    outcome = matches.outcome[place[0], place[1], rows]
    kept = outcome != IGNORED
    return steps(outcome[kept] == RIGHT, matches.image[rows][kept], drawn, matches.rank[rows][kept])


def _at_recalls(curve: Curve, total: Doubles, recalls: Doubles) -> Doubles:
    """The mean precision at some recalls, (R,): 0 at those that are not reached."""
    if not len(curve.right):
        return np.zeros(len(total))
    share = np.divide(curve.right, total, out=np.zeros_like(curve.right), where=total > 0)
    reached = levels_reached(share, recalls)
    return np.asarray((curve.precision * np.diff(reached, axis=0, prepend=0)).sum(axis=0) / len(recalls))


def levels_reached(shares: Doubles, levels: Doubles) -> Integers:
    """How many levels are at most each share, int64 (...): as `searchsorted`, in a tenth of its time.

    Args:
        shares: float64 (...), 0 to 1.
        levels: float64 (L,), evenly from 0 to 1, whose rounding decides.
    """
    sure = (shares * (len(levels) - 1)).astype(np.int64)  # right, or off by one
    beyond = np.append(levels, (np.inf, np.inf))
    return sure + (beyond[sure] <= shares) + (beyond[sure + 1] <= shares)


def _found(curve: Curve, drawn: Doubles, limit: int) -> Doubles:
    """Truths found by the best `limit` answers of each image, (R,)."""
    return np.asarray(drawn[curve.image[curve.rank < limit]].sum(axis=0))


def _drawn(matches: Matches, weights: Array | None) -> Doubles:
    """float64 (N, R): a row for each image, so that draws lie side by side."""
    given = np.ones((1, matches.images)) if weights is None else np.asarray(weights, np.float64)
    return np.ascontiguousarray(given.T)


def _totals(matches: Matches, drawn: Doubles, place: int) -> Iterator[tuple[int, Doubles]]:
    """Each label that has truths in a range of size, with how many in each draw."""
    kept = matches.counted[place]
    labels, images = matches.truth_label[kept], matches.truth_image[kept]
    for label in np.unique(labels).tolist():
        yield label, drawn[images[labels == label]].sum(axis=0)
