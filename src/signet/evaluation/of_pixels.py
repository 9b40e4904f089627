"""Semantic segmenters: how well the labels of pixels agree."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from signet.arrays import Integers
from signet.errors import BadInput
from signet.evaluation.labels import Matched
from signet.evaluation.question import Question, Walk
from signet.evaluation.tallies import PackedMap, PixelTally
from signet.metrics.boundaries import boundary_f1
from signet.metrics.classification import mean_where_defined
from signet.metrics.segmentation import PixelCounts, count_pixels, pixel_figures
from signet.records import ImageReport, Report
from signet.segments import UNLABELLED, SegmentMap
from signet.statistics import Resampling
from signet.summaries import summarise_pixels

MOST_WORST = 12
OTHER = "none of these"


def measure_pixels(question: Question) -> Report:
    """Measure a semantic segmenter, holding the counts of each image and the maps of the worst ones only.

    Labels are those that dataset and model share. Pixels whose truth is another label are left out; an answer
    with another label is wrong.

    Raises:
        WrongTask: the model knows none of the dataset's labels.
        BadDataset: the split has no image, or none that can be read; a label name is ambiguous.
    """
    matched = question.matched()
    names = matched.shared(question.model.card.labels or ()).names
    begin = time.monotonic()
    walk, counts = Walk.through(question), _Counts(len(names))
    for answer, truth, source in _asked(walk, matched):
        try:
            counts.take(answer, truth, source)
        except BadInput as error:
            walk.drop(source, error)
    walk.check(len(counts.sums))
    seconds = time.monotonic() - begin
    summary = summarise_pixels(
        np.stack(counts.sums),
        np.array(counts.boundaries),
        names,
        resampling=Resampling(seed=question.seed),
    )
    confusion, labels = _square(counts.table, names)
    return Report(
        metrics=summary.metrics,
        per_class=summary.per_class,
        confusion=confusion,
        labels=labels,
        calibration=None,
        count=len(counts.sums),
        seconds=seconds,
        unreadable=tuple(walk.unreadable),
        provenance=question.provenance(len(counts.sums)),
        notes=walk.notes(matched),
        task="segment",
        worst=counts.worst(),
    )


def tally_pixels(question: Question) -> PixelTally:
    """The counts of each image, and its maps as far as they can be packed.

    Raises:
        WrongTask, BadDataset: as `measure_pixels`.
    """
    matched, walk = question.matched(), Walk.through(question)
    names = matched.shared(question.model.card.labels or ()).names
    counts = _Counts(len(names))
    places, maps = [], []
    for answer, truth, source in _asked(walk, matched):
        try:
            counts.take(answer, truth, source)
        except BadInput as error:
            walk.drop(source, error)
            continue
        places.append(walk.done - 1)
        maps.append((PackedMap.of(answer), PackedMap.of(truth)))
    walk.check(len(places))
    return PixelTally(
        places=np.array(places, np.int64),
        unreadable=tuple(walk.left),
        notes=matched.notes,
        sums=np.stack(counts.sums),
        boundaries=np.array(counts.boundaries),
        maps=tuple(maps),
        labels=names,
    )


def _asked(walk: Walk, matched: Matched) -> Iterator[tuple[SegmentMap, SegmentMap, str]]:
    """Answer and truth by the same indices, and the source, of each image."""
    shared = matched.shared(walk.question.model.card.labels or ())
    for answered, truth in walk.pairs(lambda truth: truth.size):
        answer = cast("SegmentMap", answered.answer)
        yield (
            _relabelled(answer, shared.from_model, shared.names),
            _relabelled(truth, shared.from_dataset, shared.names),
            answered.source,
        )


class _Counts:
    """What is kept of the images so far."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.sums: list[Integers] = []
        self.boundaries: list[float] = []
        self.table = np.zeros((classes, classes + 1), np.int64)
        self._heap: list[tuple[float, int, ImageReport]] = []

    def take(self, answer: SegmentMap, truth: SegmentMap, source: str) -> None:
        """Count one image."""
        pixels = count_pixels(answer.indices, truth.indices, self.classes)
        self.boundaries.append(boundary_f1(answer.indices, truth.indices))
        self.sums.append(pixels.sums)
        self.table += pixels.table
        figure = _mean_iou(pixels)
        if not np.isnan(figure) and figure < 1:
            # A heap whose least entry is the best of the worst, and goes first.
            entry = (-figure, -len(self.sums), ImageReport(source, figure, truth, answer))
            (heapq.heappushpop if len(self._heap) >= MOST_WORST else heapq.heappush)(self._heap, entry)

    def worst(self) -> tuple[ImageReport, ...]:
        """The worst images, the worst first."""
        return tuple(report for _, _, report in sorted(self._heap, key=lambda entry: entry[:2], reverse=True))


def _mean_iou(pixels: PixelCounts) -> float:
    return float(mean_where_defined(pixel_figures(pixels.sums[None]).iou)[0])


def _relabelled(pixels: SegmentMap, table: Integers, names: tuple[str, ...]) -> SegmentMap:
    """With the indices of the table; what has none is -1."""
    places = np.where(pixels.indices < 0, len(table) - 1, np.minimum(pixels.indices, len(table) - 1))
    background = None if pixels.background is None else int(table[min(pixels.background, len(table) - 1)])
    return SegmentMap(
        table[places].astype(np.int32),
        names,
        background=None if background == UNLABELLED else background,
        source=pixels.source,
    )


def _square(table: Integers, names: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """The table with a row for answers that are none of the labels, where there are any."""
    if not table[:, -1].any():
        return table[:, :-1], names
    return np.vstack([table, np.zeros_like(table[:1])]), (*names, OTHER)
