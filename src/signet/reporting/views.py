"""What of a section is shown when there is too much of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from signet.arrays import Integers
from signet.records import ClassReport, Interval, LabelReport
from signet.reporting.page import ClassBars, Confusion
from signet.reporting.words import counted

MOST_CELLS = 30
"""Classes up to which a confusion matrix can be read as a picture."""

MOST_CONFUSED = 12
"""Classes in the picture when there are more than that: those of the worst pairs."""

_PAIRS = 10
_SHORT_NAME = 3
_LONG_NAME = 14
_ALL_BARS, _WORST, _BEST = 30, 16, 6
_WORDS = {
    "recall": "images of the class that were called so",
    "precision": "images called so that are of the class",
    "f1": "F1, the harmonic mean of both",
    "ap": "average precision of the label's boxes",
    "mask_ap": "average precision of the label's masks",
    "iou": "intersection over union of the label's pixels",
}


class Pair(NamedTuple):
    """One confusion: `images` of the `of` images of `truth` were called `answer`."""

    truth: str
    answer: str
    images: int
    of: int


class ConfusionView(NamedTuple):
    """The matrix as far as it can be read, and the worst pairs.

    Attributes:
        labels: classes of the picture; none when there is nothing to show.
        counts: int64 (len(labels), len(labels)).
        images: int64 (len(labels),), images of each class, its answers outside of the picture included.
        pairs: the pairs most confused of all classes.
        left_out: a sentence on what the picture does not show, or "".
        wide: names too long for the pairs to stand beside the matrix.
        upright: names too long to stand below their columns, unless they are turned.
    """

    labels: tuple[str, ...]
    counts: Integers
    images: Integers
    pairs: tuple[Pair, ...]
    left_out: str
    wide: bool
    upright: bool


class ClassView(NamedTuple):
    """Classes, worst first; `middle` is folded away."""

    worst: tuple[ClassReport | LabelReport, ...]
    middle: tuple[ClassReport | LabelReport, ...]
    best: tuple[ClassReport | LabelReport, ...]
    words: str


def confusion_view(section: Confusion) -> ConfusionView:
    """The matrix without classes that neither occur nor were called, and the pairs most confused.

    Of more than 30 classes the picture has the 12 that the worst pairs are made of.
    """
    counts = np.asarray(section.counts, np.int64)
    totals = counts.sum(axis=1)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[: MOST_CONFUSED**2]
    places = [
        (int(row), int(column))
        for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[row, column]
    ]
    pairs = tuple(
        Pair(section.labels[row], section.labels[column], int(wrong[row, column]), int(totals[row]))
        for row, column in places[:_PAIRS]
    )
    occurs = np.flatnonzero(totals + counts.sum(axis=0))
    absent = len(section.labels) - len(occurs)
    left_out = f"{counted(absent, 'class', 'classes')} without images or answers left out." if absent else ""
    if len(occurs) > MOST_CELLS:
        # A dict keeps the order in which the classes come up, the worst pair's first.
        worst = list(dict.fromkeys(place for pair in places for place in pair))[:MOST_CONFUSED]
        left_out = f"Of {counted(len(occurs), 'class', 'classes')}, the {len(worst)} most often confused."
        occurs = np.array(sorted(worst), np.int64)
    labels = tuple(section.labels[place] for place in occurs)
    longest = max((len(label) for label in labels), default=0)
    return ConfusionView(
        labels=labels,
        counts=counts[np.ix_(occurs, occurs)],
        images=totals[occurs],
        pairs=pairs,
        left_out=left_out,
        wide=longest > _LONG_NAME or not labels,
        upright=longest > _SHORT_NAME,
    )


def class_view(section: ClassBars) -> ClassView:
    """Classes that have images, worst first; of more than 30 the two ends, the rest between."""
    rows = sorted(
        (row for row in section.rows if row.count), key=lambda row: figure_of(row, section.measure).value
    )
    words = _WORDS[section.measure]
    if len(rows) <= _ALL_BARS:
        return ClassView(tuple(rows), (), (), words)
    return ClassView(tuple(rows[:_WORST]), tuple(rows[_WORST:-_BEST]), tuple(rows[-_BEST:]), words)


def figure_of(row: ClassReport | LabelReport, measure: str) -> Interval:
    """One figure of a class or label."""
    figure: Interval = row.figures[measure] if isinstance(row, LabelReport) else getattr(row, measure)
    return figure


def fact_groups(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, list[str]]]:
    """Names with their values; values that follow each other under one name are put together."""
    return [(name, [row[1] for row in group]) for name, group in groupby(rows, key=lambda row: row[0])]
