"""From logits to a report: the figures of a candidate, with intervals, and what it got wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from signet.answers import logistic, softmax
from signet.arrays import Array, Floats, Integers
from signet.finetuning import label_scores
from signet.finetuning.partition import Part
from signet.finetuning.proofs import Calibrated
from signet.metrics.calibration import label_log_loss, log_softmax
from signet.metrics.multilabel import mean_average_precision
from signet.records import Interval, Mistake, Report
from signet.statistics import Resampling, paired_difference
from signet.summaries import Summary, summarise, summarise_multilabel

MOST_MISTAKES = 200


class Judged(NamedTuple):
    """How a candidate did on the images that decide: fraction right, and mean log loss.

    Where several labels of an image can be right, the mean average precision stands for the fraction.
    """

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
        exclusive: whether one label of an image is right.
    """

    logits: Floats
    temperature: float
    exclusive: bool = True

    @property
    def scores(self) -> Floats:
        """Float32 (N, C): rows summing to 1, or where several labels can be right each on its own."""
        if self.exclusive:
            return softmax(self.logits / np.float32(self.temperature))
        return logistic(self.logits, self.temperature)

    @property
    def right(self) -> Integers:
        """int64 (N,), the answers."""
        answers: Integers = self.logits.argmax(axis=1).astype(np.int64)
        return answers


def judged(logits: Array, targets: Array) -> Judged:
    """Accuracy, or of several labels mean average precision, and mean log loss of logits."""
    if targets.ndim == 2:
        return Judged(mean_average_precision(logits, targets), label_log_loss(logits, targets))
    loss = float(-log_softmax(logits)[np.arange(len(targets)), targets].mean())
    return Judged(float((logits.argmax(axis=1) == targets).mean()), loss)


def metrics_of(measured: Measured, targets: Array, labels: tuple[str, ...], seed: int) -> dict[str, Interval]:
    """The figures alone: top1, top5 (of more than 5 classes), f1_macro, ece; or of several labels ap, too."""
    return dict(_summary(measured, targets, labels, seed).metrics)


def _summary(measured: Measured, targets: Array, labels: tuple[str, ...], seed: int) -> Summary:
    summary = summarise if measured.exclusive else summarise_multilabel
    return summary(measured.scores, targets, labels, resampling=Resampling(seed=seed))


def gain_of(first: Measured, second: Measured, targets: Array, seed: int) -> Interval:
    """How much more of the images the first gets right than the second, paired; of several labels, its AP."""
    if targets.ndim == 2:
        return label_scores.gain(first.scores, second.scores, targets, seed)
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
    summary = _summary(measured, part.targets, labels, seed)
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


def calibrated(measured: Measured, targets: Array, labels: tuple[str, ...], seed: int) -> Calibrated | None:
    """What the temperature did to the scores; None where nothing is told of their calibration.

    Args:
        measured: the sealed candidate's logits, and the temperature that was found on other images.
        targets: what is right.
        labels: C names.
        seed: of the bootstrap.
    """
    raw = _summary(measured._replace(temperature=1.0), targets, labels, seed)
    scaled = _summary(measured, targets, labels, seed)
    if raw.calibration is None or "ece" not in raw.metrics:
        return None
    before, after = raw.metrics["ece"], scaled.metrics["ece"]
    return Calibrated(measured.temperature, before, after, raw.calibration)


def _mistakes(scores: Floats, part: Part, labels: Sequence[str]) -> tuple[Mistake, ...]:
    if part.targets.ndim == 2:
        return _worst(label_scores.mistakes(scores, part.targets, part.paths, labels))
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
    return _worst(wrong)


def _worst(wrong: list[Mistake]) -> tuple[Mistake, ...]:
    """The most confident first."""
    wrong.sort(key=lambda mistake: (-mistake.score, mistake.source))
    return tuple(wrong[:MOST_MISTAKES])
