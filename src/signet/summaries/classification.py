"""From scores and truth to every figure of a classifier's report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from signet.arrays import Array, Integers
from signet.errors import BadInput
from signet.metrics import calibration, classification, multilabel
from signet.metrics.inputs import several_labels, single_label
from signet.records import Calibration, ClassReport, Interval
from signet.statistics import Resampling, Weights, bootstrap, f1_proportion, proportion

ALMOST_ALL = 5
"""Top-5 says something only where there are more classes than that."""


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """The measured part of a `Report`.

    Attributes:
        metrics: name to figure with interval.
        per_class: in label order.
        confusion: int64 (C, C), rows truth, columns answer.
        calibration: reliability by score.
    """

    metrics: Mapping[str, Interval]
    per_class: tuple[ClassReport, ...]
    confusion: Integers
    calibration: Calibration


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """What a classifier's figures rest on: a few numbers for each of N images, whatever the classes are.

    Attributes:
        place: int64 (N,), where the right label stands in the answer, 0 for first.
        answers: int64 (N,), the label with the highest score.
        confidence: float (N,), its score.
        right_score: float (N,), the score of the right label.
        truth: int64 (N,), the right label.
        classes: C.
    """

    place: Integers
    answers: Integers
    confidence: Array
    right_score: Array
    truth: Integers
    classes: int

    @classmethod
    def of(cls, scores: Array, truth: Array) -> Decided:
        """From scores float (N, C) and truth int (N,).

        Raises:
            BadInput: as `metrics.inputs.single_label`.
        """
        table, right = single_label(scores, truth)
        answers = table.argmax(axis=1).astype(np.int64)
        rows = np.arange(len(table))
        place = classification.ranks(table, right)
        return cls(place, answers, table[rows, answers], table[rows, right], right, table.shape[1])

    def only(self, rows: Integers) -> Decided:
        """Some of the images, by position."""
        place, answers, truth = (part[rows] for part in (self.place, self.answers, self.truth))
        return Decided(place, answers, self.confidence[rows], self.right_score[rows], truth, self.classes)

    @property
    def hits(self) -> tuple[Array, Array]:
        """Bool (N,) twice: right, and right among the best five."""
        return self.place == 0, self.place < ALMOST_ALL

    def shares(self, drawn: Weights) -> Array:
        """Accuracy at one and at five of each draw: (R, 2)."""
        return np.asarray(drawn @ np.stack(self.hits, axis=1).astype(np.float64) / len(self.place))

    def by_class(self, drawn: Weights) -> classification.ClassFigures:
        """Precision, recall and F1 of each class in each draw: (R, C) each."""
        right = self.place == 0
        good = class_sums(drawn[:, right], self.truth[right], self.classes)
        called = class_sums(drawn, self.answers, self.classes)
        return classification.class_figures(good, called, class_sums(drawn, self.truth, self.classes))

    def macro(self, drawn: Weights) -> Array:
        """The mean F1 of the classes in each draw: (R, 1)."""
        return classification.mean_where_defined(self.by_class(drawn).f1)[:, None]

    def error(self, drawn: Weights) -> Array:
        """The calibration error of each draw: (R, 1)."""
        found = calibration.expected_calibration_error(self.confidence, self.place == 0, drawn)
        return np.asarray(found[:, None])


def summarise(
    scores: Array,
    truth: Array,
    labels: tuple[str, ...],
    *,
    resampling: Resampling | None = None,
    strata: Array | None = None,
) -> Summary:
    """Every figure of a classifier whose images have one right label each.

    Args:
        scores: float (N, C), 0 to 1, each row summing to 1.
        truth: int (N,), 0 to C - 1.
        labels: C names.
        resampling: draws, seed and level of the intervals.
        strata: int (N,), groups whose sizes each draw keeps; pass `truth` when the number of test images
            of each class was fixed by hand.

    Returns:
        Metrics `top1`, `top5` (with more than 5 classes), `f1_macro`, `ece`. Intervals are percentiles of
        the bootstrap, except that the calibration error's is mirrored about its value (resampling adds
        noise, and noise raises that error) and that proportions with fewer than 10 right or 10 wrong use
        a score interval. A class without images has recall 0 with interval 0 to 1.

    Raises:
        BadInput: shapes that do not fit, no image, scores outside 0 to 1.
    """
    decided = Decided.of(scores, truth)
    _check_labels(labels, decided.classes)
    return summarise_decided(decided, labels, resampling=resampling, strata=strata)


def summarise_decided(
    decided: Decided,
    labels: tuple[str, ...],
    *,
    resampling: Resampling | None = None,
    strata: Array | None = None,
) -> Summary:
    """As `summarise`, from what it rests on."""
    settings = resampling or Resampling()
    count, classes = len(decided.place), decided.classes

    def figures(drawn: Weights) -> Array:
        each = decided.by_class(drawn)
        macro = classification.mean_where_defined(each.f1)[:, None]
        return np.concatenate([decided.shares(drawn), macro, *each], axis=1)

    top1, top5, macro, *rest = bootstrap(figures, count, settings, strata=strata)
    (miscalibration,) = bootstrap(decided.error, count, settings, strata=strata, method="basic")
    top1, top5 = (
        proportion(int(hits.sum()), count, figure, settings.level)
        for hits, figure in zip(decided.hits, (top1, top5), strict=True)
    )
    metrics = {"top1": top1, "top5": top5, "f1_macro": macro, "ece": _within(miscalibration)}
    if classes <= ALMOST_ALL:
        del metrics["top5"]
    confusion = classification.confusion_matrix(decided.truth, decided.answers, classes)
    rows = _class_reports(
        labels,
        (np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)),
        (rest[:classes], rest[classes : 2 * classes], rest[2 * classes :]),
        settings.level,
    )
    return Summary(metrics, rows, confusion, calibration.reliability(decided.confidence, decided.place == 0))


def summarise_multilabel(
    scores: Array,
    truth: Array,
    labels: tuple[str, ...],
    *,
    threshold: float = 0.5,
    resampling: Resampling | None = None,
) -> Summary:
    """Every figure of a classifier whose images can have several right labels, or none.

    Args:
        scores: float (N, C), 0 to 1, each on its own.
        truth: bool (N, C).
        labels: C names.
        threshold: from this score on a label counts as given.
        resampling: draws, seed and level of the intervals.

    Returns:
        Metrics `ap` (mean average precision over the classes that occur), `f1_macro`, `f1_micro` and `ece`
        (the last two over all pairs of image and label); of each class its average precision, too. The
        confusion is that of `multilabel.label_confusion`.

    Raises:
        BadInput: shapes that do not fit, no image, scores outside 0 to 1.
    """
    table, right = several_labels(scores, truth)
    _check_labels(labels, table.shape[1])
    if not right.any():
        raise BadInput("truth of several labels: expected at least one image with a label, got none.")
    settings = resampling or Resampling()
    count, classes = table.shape
    given = table >= threshold
    sums = np.concatenate([given & right, given, right], axis=1).astype(np.float64)
    gaps = calibration.label_gaps(table, right)

    def figures(drawn: Weights) -> Array:
        parts = np.split(drawn @ sums, 3, axis=1)
        each = classification.class_figures(*parts)
        all_pairs = classification.class_figures(*(part.sum(axis=1, keepdims=True) for part in parts))
        # Of a class that no image has there is none: NaN.
        areas = np.stack(
            [
                multilabel.average_precision(table[:, one], right[:, one], drawn)
                if right[:, one].any()
                else np.full(len(drawn), np.nan)
                for one in range(classes)
            ],
            axis=1,
        )
        means = [classification.mean_where_defined(part)[:, None] for part in (areas, each.f1)]
        return np.concatenate([*means, all_pairs.f1, areas, *each], axis=1)

    def error(drawn: Weights) -> Array:
        return np.asarray(np.abs(drawn @ gaps).sum(axis=1, keepdims=True) / count)

    precision, macro, micro, *each = bootstrap(figures, count, settings)
    areas, each = each[:classes], each[classes:]
    (miscalibration,) = bootstrap(error, count, settings, method="basic")
    rows = _class_reports(
        labels,
        ((given & right).sum(axis=0), given.sum(axis=0), right.sum(axis=0)),
        (each[:classes], each[classes : 2 * classes], each[2 * classes :]),
        settings.level,
    )
    return Summary(
        {"ap": precision, "f1_macro": macro, "f1_micro": micro, "ece": _within(miscalibration)},
        tuple(replace(row, ap=area) for row, area in zip(rows, areas, strict=True)),
        multilabel.label_confusion(given, right),
        calibration.reliability(table.ravel(), right.ravel()),
    )


def _check_labels(labels: tuple[str, ...], classes: int) -> None:
    if len(labels) != classes:
        raise BadInput(f"labels: expected {classes} names, one for each column of scores, got {len(labels)}.")


def class_sums(drawn: Weights, members: Integers, classes: int) -> Array:
    """Sums of (R, N) weights over the images of each class: (R, C)."""
    sums = np.zeros((len(drawn), classes))
    order = np.argsort(members, kind="stable")
    present, starts = np.unique(members[order], return_index=True)
    if len(present):
        sums[:, present] = np.add.reduceat(drawn[:, order], starts, axis=1)
    return sums


def _class_reports(
    labels: tuple[str, ...],
    counts: tuple[Array, Array, Array],
    resampled: tuple[list[Interval], list[Interval], list[Interval]],
    level: float,
) -> tuple[ClassReport, ...]:
    rows = []
    columns = zip(labels, *(part.tolist() for part in counts), *resampled, strict=True)
    for label, right, called, present, precision, recall, f1 in columns:
        rows.append(
            ClassReport(
                label,
                present,
                proportion(right, called, precision, level),
                proportion(right, present, recall, level),
                f1_proportion(right, called + present - right, f1, level),
            )
        )
    return tuple(rows)


def _within(figure: Interval) -> Interval:
    """The interval cut to what an error between 0 and 1 can be."""
    return Interval(
        figure.value, min(max(figure.low, 0.0), figure.value), max(min(figure.high, 1.0), figure.value)
    )
