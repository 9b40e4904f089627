"""From logits to a report: the figures of a candidate, with intervals, and what it got wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from signet.answers import softmax
from signet.arrays import Array, Floats, Integers
from signet.finetuning.partition import Part
from signet.metrics.calibration import log_softmax
from signet.records import Interval, Mistake, Report
from signet.statistics import Resampling, paired_difference
from signet.summaries import summarise

MOST_MISTAKES = 200


class Judged(NamedTuple):
    """How a candidate did on the images that decide: fraction right, and mean log loss."""

    accuracy: float
    loss: float

    def beats(self, other: Judged) -> bool:
        """More right; of equal ones the lower loss."""
        return (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


class Measured(NamedTuple):
    """A candidate on the images that no decision used.

    Attributes:
        logits: float32 (N, C).
        temperature: that its scores are divided by.
    """

    logits: Floats
    temperature: float

    @property
    def scores(self) -> Floats:
        """Float32 (N, C), rows summing to 1."""
        return softmax(self.logits / np.float32(self.temperature))

    @property
    def right(self) -> Integers:
        """int64 (N,), the answers."""
        answers: Integers = self.logits.argmax(axis=1).astype(np.int64)
        return answers


def judged(logits: Array, targets: Integers) -> Judged:
    """Accuracy and mean log loss of logits."""
    loss = float(-log_softmax(logits)[np.arange(len(targets)), targets].mean())
    return Judged(float((logits.argmax(axis=1) == targets).mean()), loss)


def metrics_of(
    measured: Measured, targets: Integers, labels: tuple[str, ...], seed: int
) -> dict[str, Interval]:
    """The figures alone: top1, top5 (with more than 5 classes), f1_macro, ece."""
    summary = summarise(measured.scores, targets, labels, resampling=Resampling(seed=seed))
    return dict(summary.metrics)


def gain_of(first: Measured, second: Measured, targets: Integers, seed: int) -> Interval:
    """How much more of the images the first gets right than the second, paired."""
    return paired_difference(first.right == targets, second.right == targets, Resampling(seed=seed))


def report_of(
    measured: Measured,
    part: Part,
    labels: tuple[str, ...],
    *,
    seed: int,
    about: Mapping[str, Any],
) -> Report:
    """The whole report of a candidate.

    Args:
        measured: its answers.
        part: the images, in the same order.
        labels: C names.
        seed: of the bootstrap.
        about: fields of the report that the answers do not give: seconds, unreadable, provenance, notes.
    """
    summary = summarise(measured.scores, part.targets, labels, resampling=Resampling(seed=seed))
    return Report(
        metrics=summary.metrics,
        per_class=summary.per_class,
        confusion=summary.confusion,
        labels=labels,
        calibration=summary.calibration,
        count=len(part),
        mistakes=_mistakes(measured.scores, part, labels),
        **about,
    )


def _mistakes(scores: Floats, part: Part, labels: Sequence[str]) -> tuple[Mistake, ...]:
    wrong = []
    for row, path, target in zip(scores, part.paths, part.targets.tolist(), strict=True):
        order = np.argsort(-row, kind="stable")[:3].tolist()
        if order[0] != target:
            wrong.append(
                Mistake(
                    source=str(path),
                    truth=labels[target],
                    answer=labels[order[0]],
                    score=float(row[order[0]]),
                    truth_score=float(row[target]),
                    top=tuple((labels[place], float(row[place])) for place in order),
                )
            )
    wrong.sort(key=lambda mistake: (-mistake.score, mistake.source))
    return tuple(wrong[:MOST_MISTAKES])
