"""What is kept of one model's answers: every figure can be had on any of the images, and on draws of them.

A tally is made once; models are then compared on the images that all of them answered, without asking again.
"""

from __future__ import annotations

import dataclasses
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from signet.agreement import alike
from signet.arrays import Array, Integers
from signet.boxes import Boxes
from signet.errors import WrongTask
from signet.instances import Instances
from signet.metrics.average_precision import label_figures
from signet.metrics.calibration import label_calibration_error
from signet.metrics.classification import class_figures, mean_where_defined
from signet.metrics.matching import IGNORED, Matches, Objects, match
from signet.metrics.multilabel import average_precision
from signet.metrics.object_confusion import ObjectConfusion, confusion
from signet.metrics.pascal_voc import VocMatches, match_voc, voc_precision
from signet.metrics.segmentation import pixel_figures
from signet.predictions import Prediction
from signet.records import Interval
from signet.segments import SegmentMap
from signet.statistics import Resampling, Weights
from signet.summaries import (
    Decided,
    summarise_decided,
    summarise_multilabel,
    summarise_objects,
    summarise_pixels,
)
from signet.summaries.classification import ALMOST_ALL


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally(ABC):
    """What is kept of one model's answers.

    Attributes:
        places: int64 (N,), the images' places in the part of the dataset, rising.
        unreadable: places of images that could not be answered, or whose truth could not be read.
        notes: what a reader must know of labels and scores.
        labels: the model's names.
    """

    places: Integers
    unreadable: tuple[int, ...]
    notes: tuple[str, ...]
    labels: tuple[str, ...]

    @abstractmethod
    def only(self, rows: Integers) -> Tally:
        """Some of the images, by their row here."""

    @abstractmethod
    def metrics(self, resampling: Resampling) -> Mapping[str, Interval]:
        """The figures as `evaluate` reports them."""

    @abstractmethod
    def figures(self, drawn: Weights) -> Mapping[str, Array]:
        """The same figures on draws of the images, (R,) each; NaN where one is not defined."""

    @abstractmethod
    def each(self) -> Array:
        """How each image fared: float64 (N,), 0 to 1; NaN where nothing can be said."""

    @abstractmethod
    def decided_as(self, other: Tally) -> Array:
        """Bool (N,): the images that another model, asked about the same ones, decided alike, right or wrong.

        Raises:
            WrongTask: the other one answers with something else.
        """

    def hits(self) -> Mapping[str, Array]:
        """Of the figures that are shares of right answers: bool (N,), right or not."""
        return {}

    def _other_kind(self, other: Tally) -> WrongTask:
        return WrongTask(
            f"expected answers of one kind, to be laid side by side; got a {type(self).__name__} and a "
            f"{type(other).__name__}."
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassTally(Tally):
    """Of a classifier where each image has one right label."""

    decided: Decided

    def only(self, rows: Integers) -> ClassTally:
        """Some of the images."""
        return dataclasses.replace(self, places=self.places[rows], decided=self.decided.only(rows))

    def metrics(self, resampling: Resampling) -> Mapping[str, Interval]:
        """`top1`, `top5`, `f1_macro`, `ece`."""
        return summarise_decided(self.decided, self.labels, resampling=resampling).metrics

    def figures(self, drawn: Weights) -> Mapping[str, Array]:
        """The same on draws."""
        shares = self.decided.shares(drawn)
        found = {
            "top1": shares[:, 0],
            "top5": shares[:, 1],
            "f1_macro": self.decided.macro(drawn)[:, 0],
            "ece": self.decided.error(drawn)[:, 0],
        }
        return {name: values for name, values in found.items() if name in self._names()}

    def each(self) -> Array:
        """1 where it was right."""
        return self.decided.hits[0].astype(np.float64)

    def decided_as(self, other: Tally) -> Array:
        """The same first label."""
        if not isinstance(other, ClassTally):
            raise self._other_kind(other)
        return np.asarray(self.decided.answers == other.decided.answers)

    def hits(self) -> Mapping[str, Array]:
        """Right, and right among the best five."""
        pairs = zip(("top1", "top5"), self.decided.hits, strict=True)
        return {name: values for name, values in pairs if name in self._names()}

    def _names(self) -> tuple[str, ...]:
        few = self.decided.classes <= ALMOST_ALL
        return ("top1", "f1_macro", "ece") if few else ("top1", "top5", "f1_macro", "ece")


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelTally(Tally):
    """Of a classifier where images have several labels: scores and truth, (N, C) each."""

    scores: Array
    truth: Integers

    def only(self, rows: Integers) -> LabelTally:
        """Some of the images."""
        return dataclasses.replace(
            self, places=self.places[rows], scores=self.scores[rows], truth=self.truth[rows]
        )

    def metrics(self, resampling: Resampling) -> Mapping[str, Interval]:
        """`ap`, `f1_macro`, `f1_micro`, `ece`."""
        return summarise_multilabel(self.scores, self.truth, self.labels, resampling=resampling).metrics

    def figures(self, drawn: Weights) -> Mapping[str, Array]:
        """The same on draws."""
        given, right = self.scores >= 0.5, self.truth > 0
        occurs = np.flatnonzero(right.any(axis=0))
        areas = [average_precision(self.scores[:, one], right[:, one], drawn) for one in occurs]
        sums = [drawn @ part.astype(np.float64) for part in (given & right, given, right)]
        pairs = [part.sum(axis=1) for part in sums]
        return {
            "ap": mean_where_defined(np.stack(areas, axis=1)),
            "f1_macro": mean_where_defined(class_figures(*sums).f1),
            "f1_micro": class_figures(*pairs).f1,
            "ece": label_calibration_error(self.scores, right, drawn),
        }

    def each(self) -> Array:
        """F1 of the labels that are given from a score of 0.5 on."""
        given, right = self.scores >= 0.5, self.truth > 0
        whole = given.sum(axis=1) + right.sum(axis=1)
        both = 2.0 * (given & right).sum(axis=1)
        return np.asarray(np.divide(both, whole, out=np.full(len(whole), np.nan), where=whole > 0))

    def decided_as(self, other: Tally) -> Array:
        """The same labels from a score of 0.5 on."""
        if not isinstance(other, LabelTally):
            raise self._other_kind(other)
        return np.asarray(((self.scores >= 0.5) == (other.scores >= 0.5)).all(axis=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectTally(Tally):
    """Of a detector or instance segmenter: for each image its answer and its truth, by the same indices.

    Attributes:
        pairs: (answer, truth) of each image.
        voc: Pascal VOC's figures are asked for, too.
    """

    pairs: tuple[tuple[Objects, Objects], ...]
    voc: bool = False

    def only(self, rows: Integers) -> ObjectTally:
        """Some of the images."""
        pairs = tuple(self.pairs[row] for row in rows.tolist())
        return dataclasses.replace(self, places=self.places[rows], pairs=pairs)

    def metrics(self, resampling: Resampling) -> Mapping[str, Interval]:
        """COCO's figures, by boxes and where there are masks by masks too."""
        return summarise_objects(self.pairs, self.labels, voc=self.voc, resampling=resampling).metrics

    def figures(self, drawn: Weights) -> Mapping[str, Array]:
        """The same on draws."""
        found = {
            f"{prefix}{name}": values
            for prefix, matches in self._kinds.items()
            for name, values in label_figures(matches, drawn).means().items()
        }
        if self.voc:
            each = voc_precision(self._voc_matches, drawn)
            found |= {
                name: mean_where_defined(part)
                for name, part in zip(("voc_ap", "voc07_ap"), each, strict=True)
            }
        return found

    def each(self) -> Array:
        """F1 of the boxes, from the score on where F1 over all is best; NaN where nothing is and was seen."""
        f1, errors = f1_of_images(self._kinds[""], self._confused)
        return np.where((f1 > 0) | (errors > 0), f1, np.nan)

    def decided_as(self, other: Tally) -> Array:
        """The same boxes and masks, as `agreement.alike` says."""
        if not isinstance(other, ObjectTally):
            raise self._other_kind(other)
        rows = zip(self.pairs, other.pairs, strict=True)
        return np.array([alike(own[0], theirs[0]) for own, theirs in rows], bool)

    def seen(self, row: int) -> tuple[Prediction, Prediction]:
        """(the answers that count, the truth) of an image."""
        answer, truth = self.pairs[row]
        return answer[boxes_of(answer).scores >= self._confused.score], truth

    @cached_property
    def _kinds(self) -> dict[str, Matches]:
        masks = all(isinstance(side, Instances) for pair in self.pairs for side in pair)
        found = {"": match(self.pairs, len(self.labels))}
        return found | ({"mask_": match(self.pairs, len(self.labels), masks=True)} if masks else {})

    @cached_property
    def _voc_matches(self) -> VocMatches:
        pairs = ((boxes_of(answer), boxes_of(truth)) for answer, truth in self.pairs)
        return match_voc(pairs, len(self.labels))

    @cached_property
    def _confused(self) -> ObjectConfusion:
        return confusion(self._kinds[""], self.pairs)


def boxes_of(objects: Objects) -> Boxes:
    """The boxes of objects with masks or without."""
    return objects.boxes if isinstance(objects, Instances) else objects


@dataclass(frozen=True, slots=True)
class PackedMap:
    """A map of labels in a few kilobytes."""

    data: bytes
    size: tuple[int, int]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, pixels: SegmentMap) -> PackedMap:
        """Pack indices; scores are let go."""
        return cls(zlib.compress(pixels.indices.astype(np.int32).tobytes(), 1), pixels.size, pixels.labels)

    def unpacked(self) -> SegmentMap:
        """The map again."""
        indices = np.frombuffer(zlib.decompress(self.data), np.int32).reshape(self.size)
        return SegmentMap(indices, self.labels)


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelTally(Tally):
    """Of a semantic segmenter: counts (N, 3, C), boundary F1 (N,), and (answer, truth) of each image."""

    sums: Array
    boundaries: Array
    maps: tuple[tuple[PackedMap, PackedMap], ...]

    def only(self, rows: Integers) -> PixelTally:
        """Some of the images."""
        return dataclasses.replace(
            self,
            places=self.places[rows],
            sums=self.sums[rows],
            boundaries=self.boundaries[rows],
            maps=tuple(self.maps[row] for row in rows.tolist()),
        )

    def metrics(self, resampling: Resampling) -> Mapping[str, Interval]:
        """`miou`, `pixel_accuracy`, `dice`, `boundary_f1`."""
        return summarise_pixels(self.sums, self.boundaries, self.labels, resampling=resampling).metrics

    def figures(self, drawn: Weights) -> Mapping[str, Array]:
        """The same on draws."""
        found = pixel_figures(np.asarray(self.sums, np.float64), drawn)
        known = ~np.isnan(self.boundaries)
        images = drawn @ known
        edge = drawn @ np.nan_to_num(self.boundaries)
        return {
            "miou": mean_where_defined(found.iou),
            "pixel_accuracy": found.accuracy,
            "dice": mean_where_defined(found.dice),
            "boundary_f1": np.divide(edge, images, out=np.full(len(drawn), np.nan), where=images > 0),
        }

    def each(self) -> Array:
        """Mean intersection over union of the labels that the image's truth has."""
        counts = np.asarray(self.sums, np.float64)
        return np.array([float(mean_where_defined(pixel_figures(one[None]).iou)[0]) for one in counts])

    def decided_as(self, other: Tally) -> Array:
        """The same label for nearly all pixels, as `agreement.alike` says."""
        if not isinstance(other, PixelTally):
            raise self._other_kind(other)
        rows = zip(self.maps, other.maps, strict=True)
        return np.array([alike(own[0].unpacked(), theirs[0].unpacked()) for own, theirs in rows], bool)

    def seen(self, row: int) -> tuple[Prediction, Prediction]:
        """(answer, truth) of an image."""
        answer, truth = self.maps[row]
        return answer.unpacked(), truth.unpacked()


def f1_of_images(matches: Matches, found: ObjectConfusion) -> tuple[Array, Integers]:
    """(F1, number of errors) of the boxes of each image, from the score on where F1 over all is best."""
    used = (matches.score >= found.score) & (matches.outcome[0, 0] != IGNORED)
    truths = np.bincount(matches.truth_image[matches.counted[0]], minlength=matches.images)
    said = np.bincount(matches.image[used], minlength=matches.images)
    wrong = np.bincount(matches.image[found.wrong], minlength=matches.images)
    right = said - wrong
    return 2 * right / np.maximum(said + truths, 1), wrong + truths - right
