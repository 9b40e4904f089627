"""Images with a label for each pixel, to learn from and to decide by.

Shape suffixes: N images, C labels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage

from signet.arrays import Bytes, Floats, Integers, frozen
from signet.batches import Batch
from signet.datasets import Dataset
from signet.decoding import read
from signet.errors import BadDataset, BadGraph, WrongTask
from signet.geometry import Geometry, Size
from signet.images import Image
from signet.naming import shown
from signet.preprocessing import numeric, prepare
from signet.programs import Program
from signet.segments import UNLABELLED, SegmentMap
from signet.steps import GEOMETRIC, Read
from signet.training.augmentation import generator_of
from signet.training.pictures import AUGMENTATION, KEPT_SIDE, as_network_input
from signet.training.room import Room
from signet.training.settings import TrainSettings
from signet.training.tasks import Examples
from signet.training.views import VIEW_STRENGTHS, ViewStrength, drawn, recoloured

Labels = NDArray[np.int32]
_MOST_WEIGHT = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class PixelData:
    """The images to learn from, those to decide by, and how they are prepared.

    Attributes:
        train: rows with a label image each; at least 2.
        validation: rows that are never learned from, with the same labels.
        program: the evaluation preprocessing that the result will be used with; it ends with one size.
        weights: float32 (C,), how much the pixels of each label count in the cross-entropy; None for alike.
        digest: what else identifies the data (the caller's own fingerprint); part of what a resume compares.
    """

    train: Dataset[SegmentMap]
    validation: Dataset[SegmentMap]
    program: Program
    weights: Floats | None = field(default=None, kw_only=True)
    digest: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        for name, part, least in (("train", self.train, 2), ("validation", self.validation, 1)):
            if part.task != "segment":
                raise WrongTask(
                    f"training: expected images with a label for each pixel in the {name} part, got a "
                    f"dataset of the task {part.task!r}."
                )
            if len(part) < least:
                raise BadDataset(f"training: expected at least {least} images to {name}, got {len(part)}.")
        if self.train.labels != self.validation.labels or len(self.train.labels) < 2:
            raise BadDataset(
                "training: expected at least 2 labels, the same ones in both parts; got "
                f"{len(self.train.labels)} and {len(self.validation.labels)}."
            )
        if self.program.input_size() is None:
            raise BadGraph(
                "training: expected a program that gives every image one size, got one whose size depends on "
                f"the image ({'; '.join(self.program.words())})."
            )
        if self.weights is not None:
            checked = frozen(self.weights, "the labels' weights", "float32", (len(self.train.labels),))
            object.__setattr__(self, "weights", checked)

    def facts(self) -> Mapping[str, Any]:
        """Plain JSON, by which a checkpoint is known to be of this data."""
        return {
            "train": self.train.fingerprint,
            "validation": self.validation.fingerprint,
            "program": self.program.digest,
            "weights": None if self.weights is None else self.weights.tolist(),
            "digest": self.digest,
        }


class Scene(NamedTuple):
    """A picture, uint8 (H, W, 3), and the labels of its pixels, int32 (H, W)."""

    pixels: Bytes
    labels: Labels


class Judged(NamedTuple):
    """Images as the evaluation program prepares them.

    Attributes:
        batch: float32 (N, 3, H, W), with the way home.
        labels: int32 (N, H, W) of the prepared pixels.
        truths: int32 (H, W) of each original.
    """

    batch: Batch
    labels: Labels
    truths: tuple[Labels, ...]


class Scenes:
    """The rows of one dataset: decoded once while there is room for them, shown whole or in changed views."""

    def __init__(
        self, rows: Dataset[SegmentMap], program: Program, settings: TrainSettings, room: Room | None = None
    ) -> None:
        first, size = program.steps[0], program.input_size()
        if not isinstance(first, Read) or size is None:
            raise BadGraph("training: expected a program that begins with 'read' and ends with one size.")
        self._rows, self._program, self._first, self._settings = rows, program, first, settings
        self._size: Size = size
        self._room = room or Room(settings.memory_bytes)
        self._kept: dict[int, Scene] = {}
        self._strength = VIEW_STRENGTHS.get(settings.augmentation)
        self._later = tuple(step for step in program.steps if not isinstance(step, GEOMETRIC))

    def __len__(self) -> int:
        return len(self._rows)

    def views(self, indices: Integers, epoch: int) -> Examples:
        """Some images as they look in one epoch, and int64 (N, H, W) labels.

        Raises:
            BadInput: an image or its label image cannot be read.
            BadDataset: the two have different sizes.
            BadGraph: the program ends with another layout.
        """
        strength = self._strength
        if strength is None:
            judged = self.whole(indices)
            return Examples(
                as_network_input(np.asarray(judged.batch.arrays)), torch.from_numpy(judged.labels).long()
            )
        scenes = [self._view(index, epoch, strength) for index in indices.tolist()]
        images_NCHW = numeric(np.stack([scene.pixels for scene in scenes]), self._later)
        labels_NHW = torch.from_numpy(np.stack([scene.labels for scene in scenes])).long()
        return Examples(as_network_input(images_NCHW), labels_NHW)

    def whole(self, indices: Integers) -> Judged:
        """Some images by the evaluation program; raises as `views`."""
        scenes = [self._scene(index) for index in indices.tolist()]
        images = [
            Image(scene.pixels, source=str(self._rows.entries[index].path))
            for index, scene in zip(indices.tolist(), scenes, strict=True)
        ]
        batch = prepare(images, self._program)
        labels = [
            in_frame(scene.labels, geometry) for scene, geometry in zip(scenes, batch.geometry, strict=True)
        ]
        return Judged(batch, np.stack(labels), tuple(scene.labels for scene in scenes))

    def _view(self, index: int, epoch: int, strength: ViewStrength) -> Scene:
        scene = self._kept.get(index)
        if scene is None:
            scene = self._keep(index, _reduced(self._scene(index), self._size))
        generator = generator_of(self._settings.seed, AUGMENTATION, epoch, index)
        view = drawn(scene.labels.shape, self._size, strength, generator, flip=self._settings.flip)
        pixels = recoloured(view.pixels(scene.pixels), strength, generator)
        return Scene(pixels, view.labels(scene.labels, UNLABELLED))

    def _scene(self, index: int) -> Scene:
        """A row as it is, decoded now."""
        row = self._rows[index]
        image = read(row.path, orient=self._first.orient, channels=self._first.channels)
        truth = row.truth
        if truth is None or truth.size != image.size:
            found = "none" if truth is None else f"one of {truth.size[1]}x{truth.size[0]}"
            raise BadDataset(
                f"{shown(row.path)}: expected a label image of {image.size[1]}x{image.size[0]} pixels, as "
                f"the picture has, got {found}."
            )
        return Scene(image.pixels, np.asarray(truth.indices))

    def _keep(self, index: int, scene: Scene) -> Scene:
        size = scene.pixels.nbytes + scene.labels.nbytes
        if self._room.take(size):
            self._kept[index] = scene
        return scene


def in_frame(labels: Labels, geometry: Geometry) -> Labels:
    """Each prepared pixel's label: that of the original pixel under its centre, -1 beside the image."""
    places = []
    for axis in (0, 1):
        centres = (np.arange(geometry.prepared[axis]) + 0.5 - geometry.shift[axis]) / geometry.scale[axis]
        places.append(np.floor(centres).astype(np.int64))
    inside = [(place >= 0) & (place < side) for place, side in zip(places, labels.shape, strict=True)]
    rows, columns = (np.clip(place, 0, side - 1) for place, side in zip(places, labels.shape, strict=True))
    known = inside[0][:, None] & inside[1]
    return np.where(known, labels[rows[:, None], columns], np.int32(UNLABELLED)).astype(np.int32)


def median_frequency_weights(rows: Dataset[SegmentMap]) -> Floats:
    """float32 (C,): how much the pixels of each label count, so that rare ones are not drowned.

    The median of the labels' frequencies over the label's own, where a frequency is a label's share of the
    pixels of those images that have it; at most 10, and 1 for a label that never occurs.

    Raises:
        BadInput: a label image cannot be read.

    Source: D. Eigen, R. Fergus, "Predicting Depth, Surface Normals and Semantic Labels" (2015), section
        6.3.2; V. Badrinarayanan et al., "SegNet" (2015), section 4, on CamVid. The limit is ours.
    """
    pixels, beside = np.zeros(len(rows.labels)), np.zeros(len(rows.labels))
    for row in rows:
        if row.truth is not None:
            counts = row.truth.counts
            pixels += counts
            beside += np.where(counts > 0, counts.sum(), 0)
    occurs = pixels > 0
    frequency = np.divide(pixels, beside, out=np.ones_like(pixels), where=occurs)
    median = float(np.median(frequency[occurs])) if occurs.any() else 1.0
    return np.where(occurs, np.minimum(median / frequency, _MOST_WEIGHT), 1.0).astype(np.float32)


def _reduced(scene: Scene, size: Size) -> Scene:
    """The scene at most `KEPT_SIDE` times as large as the evaluation shows it."""
    shape = scene.labels.shape
    factor = KEPT_SIDE * min(size[0] / shape[0], size[1] / shape[1])
    if factor >= 1:
        return scene
    to = (max(1, round(shape[1] * factor)), max(1, round(shape[0] * factor)))
    pixels = PillowImage.fromarray(scene.pixels).resize(to, PillowImage.Resampling.BILINEAR)
    labels = PillowImage.fromarray(scene.labels).resize(to, PillowImage.Resampling.NEAREST)
    return Scene(np.asarray(pixels), np.asarray(labels))
