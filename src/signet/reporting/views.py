"""What of a section is shown when there is too much of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from signet.arrays import Integers
from signet.records import ClassReport
from signet.reporting.page import ClassBars, Confusion
from signet.reporting.words import counted

MOST_CELLS = 30
"""Classes up to which a confusion matrix can be read as a picture."""

_PAIRS = 10
_LONG_NAME = 14
_ALL_BARS, _WORST, _BEST = 30, 16, 6
_WORDS = {
    "recall": "images of the class that were called so",
    "precision": "images called so that are of the class",
    "f1": "F1, the harmonic mean of both",
}


class Pair(NamedTuple):
    """One confusion: `images` of the `of` images of `truth` were called `answer`."""

    truth: str
    answer: str
    images: int
    of: int


class ConfusionView(NamedTuple):
    """The matrix of the classes that occur (no labels: too many for a picture), and the worst pairs.

    `wide`: names too long for the pairs to stand beside the matrix.
    """

    labels: tuple[str, ...]
    counts: Integers
    pairs: tuple[Pair, ...]
    left_out: str
    wide: bool


class ClassView(NamedTuple):
    """Classes, worst first; `middle` is folded away."""

    worst: tuple[ClassReport, ...]
    middle: tuple[ClassReport, ...]
    best: tuple[ClassReport, ...]
    words: str


def confusion_view(section: Confusion) -> ConfusionView:
    """The matrix without classes that neither occur nor were called, and the pairs most confused."""
    counts = np.asarray(section.counts, np.int64)
    totals = counts.sum(axis=1)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    pairs = []
    for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[row, column]:
            pairs.append(
                Pair(section.labels[row], section.labels[column], int(wrong[row, column]), int(totals[row]))
            )
    occurs = np.flatnonzero(totals + counts.sum(axis=0))
    if not 0 < len(occurs) <= MOST_CELLS:
        return ConfusionView((), counts[:0, :0], tuple(pairs), "", True)
    labels = tuple(section.labels[place] for place in occurs)
    wide = max(len(label) for label in labels) > _LONG_NAME
    absent = len(section.labels) - len(occurs)
    left_out = f"{counted(absent, 'class', 'classes')} without images or answers" if absent else ""
    return ConfusionView(labels, counts[np.ix_(occurs, occurs)], tuple(pairs), left_out, wide)


def class_view(section: ClassBars) -> ClassView:
    """Classes that have images, worst first; of more than 30 the two ends, the rest between."""
    rows = sorted(
        (row for row in section.rows if row.count), key=lambda row: getattr(row, section.measure).value
    )
    words = _WORDS[section.measure]
    if len(rows) <= _ALL_BARS:
        return ClassView(tuple(rows), (), (), words)
    return ClassView(tuple(rows[:_WORST]), tuple(rows[_WORST:-_BEST]), tuple(rows[-_BEST:]), words)
