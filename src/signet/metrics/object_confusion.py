"""Which objects were taken for which, which were missed, and what was seen where nothing is.

It rests on a score from which an answer counts. Unless one is given, it is the score at which F1 over all
labels is best on these images: a figure of the model's best behaviour, not a threshold to be quoted as found
without looking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signet.arrays import Integers
from signet.boxes import Boxes
from signet.metrics.matching import IGNORED, RIGHT, Matches, Objects
from signet.metrics.overlaps import Doubles, box_overlaps

LEAST = 0.5
"""Overlap from which an answer with another label stands for a truth."""


@dataclass(frozen=True, slots=True, eq=False)
class ObjectConfusion:
    """What answers from a score on were, with an overlap of at least 0.5.

    Attributes:
        score: from which an answer counts.
        counts: int64 (C + 1, C + 1): rows truth, columns answer; the last row is what was seen where nothing
            is, the last column what was missed.
        taken: int64 (G,): for each truth the label that it was given; -1 where it was missed, -2 where it is
            not asked for (a crowd).
        wrong: int64 (F,): rows of `matches` that found nothing of their label, the surest first.
        showed: int64 (F,): for each of them the label of the truth that it was put on; -1 where nothing is.
    """

    score: float
    counts: Integers
    taken: Integers
    wrong: Integers
    showed: Integers


def best_score(matches: Matches) -> float:
    """The score from which an answer must count for the greatest F1 over all labels; 0 without a right one.

    F1 is 2 TP / (answers + truths), with an overlap of at least 0.5; of equal ones the highest score.
    """
    outcome = matches.outcome[0, 0]
    kept = np.flatnonzero(outcome != IGNORED)
    order = kept[np.argsort(-matches.score[kept], kind="stable")]
    right = np.cumsum(outcome[order] == RIGHT)
    if not len(right) or not right[-1]:
        return 0.0
    f1 = 2 * right / (np.arange(1, len(right) + 1) + matches.counted[0].sum())
    scores = matches.score[order]
    last_of_tie = np.append(np.diff(scores) != 0, True)
    return float(scores[np.argmax(np.where(last_of_tie, f1, -1.0))])


def confusion(
    matches: Matches, pairs: Sequence[tuple[Objects, Objects]], score: float | None = None
) -> ObjectConfusion:
    """Count what answers were taken for.

    A truth and an answer of one label belong together as in the figures. What is left is put together across
    labels by their boxes, the greatest overlap first, each once.

    Args:
        matches: what was found.
        pairs: the answers and truths that were matched.
        score: from which an answer counts; the best one when None.
    """
    from_score = best_score(matches) if score is None else score
    outcome = matches.outcome[0, 0]
    used = (matches.score >= from_score) & (outcome != IGNORED)
    counts = np.zeros((matches.classes + 1, matches.classes + 1), np.int64)
    taken = np.where(matches.counted[0], -1, -2)
    hits = np.flatnonzero(used & (outcome == RIGHT))
    taken[matches.partner[hits]] = matches.label[hits]
    showed = np.full(len(matches.label), -1, np.int64)
    wrong = np.flatnonzero(used & (outcome != RIGHT))
    missed = np.flatnonzero(taken == -1)
    for image in np.intersect1d(matches.image[wrong], matches.truth_image[missed]):
        rows, truths = wrong[matches.image[wrong] == image], missed[matches.truth_image[missed] == image]
        answer, truth = (_boxes(part) for part in pairs[image])
        overlaps = box_overlaps(
            answer.xyxy[matches.place[rows]],
            truth.xyxy[matches.truth_place[truths]],
            np.zeros(len(truths), np.bool_),
        )
        for row, column in _greatest_first(overlaps):
            taken[truths[column]] = matches.label[rows[row]]
            showed[rows[row]] = matches.truth_label[truths[column]]
    asked = np.flatnonzero(taken != -2)
    np.add.at(counts, (matches.truth_label[asked], taken[asked]), 1)  # -1 is the last column
    alarms = wrong[showed[wrong] == -1]
    np.add.at(counts, (np.full(len(alarms), matches.classes), matches.label[alarms]), 1)
    surest = wrong[np.argsort(-matches.score[wrong], kind="stable")]
    return ObjectConfusion(from_score, counts, taken, surest, showed[surest])


def _greatest_first(overlaps: Doubles) -> list[tuple[int, int]]:
    """Pairs of row and column from the greatest overlap down, each row and column once."""
    pairs: list[tuple[int, int]] = []
    rows, columns = set(), set()
    for flat in np.argsort(-overlaps, axis=None, kind="stable").tolist():
        row, column = divmod(flat, overlaps.shape[1])
        if overlaps[row, column] < LEAST:
            break
        if row not in rows and column not in columns:
            pairs.append((row, column))
            rows.add(row)
            columns.add(column)
    return pairs


def _boxes(objects: Objects) -> Boxes:
    return objects if isinstance(objects, Boxes) else objects.boxes
