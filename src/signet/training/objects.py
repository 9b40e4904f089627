"""Images with boxes, or with boxes and masks, to learn from and to decide by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np

from signet.answers import head_of
from signet.arrays import Bytes, Integers
from signet.batches import Batch
from signet.boxes import Boxes
from signet.cards import Card, OutputContract, Task
from signet.datasets import Dataset
from signet.decoding import read
from signet.errors import BadDataset, BadGraph, BadRequest, WrongTask
from signet.geometry import Geometry, Size
from signet.images import Image
from signet.instances import Instances
from signet.naming import shown
from signet.preprocessing import numeric, prepare
from signet.programs import Program
from signet.steps import GEOMETRIC, Read, Step
from signet.training.augmentation import generator_of
from signet.training.contents import Contents, Shown
from signet.training.mosaics import MOSAIC, in_use, mosaic
from signet.training.pictures import AUGMENTATION, KEPT_SIDE, as_network_input
from signet.training.room import Room
from signet.training.settings import TrainSettings
from signet.training.tasks import Examples
from signet.training.views import VIEW_STRENGTHS, View, ViewStrength, drawn, recoloured

TASKS: tuple[Task, ...] = ("detect", "instances")


@dataclass(frozen=True, slots=True, eq=False)
class ObjectData:
    """The images to learn from, those to decide by, how they are prepared, and how answers are read.

    Attributes:
        train: rows with boxes ("detect") or with boxes and masks ("instances").
        validation: rows that are never learned from, of the same task and with the same labels.
        program: the evaluation preprocessing that the result will be used with; it ends with one size.
        output: how the network's outputs are read in evaluation mode; what the result's card will say.
        digest: what else identifies the data (the caller's own fingerprint); part of what a resume compares.
    """

    train: Dataset[Any]
    validation: Dataset[Any]
    program: Program
    output: OutputContract
    digest: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        for name, part in (("train", self.train), ("validation", self.validation)):
            if part.task not in TASKS or part.task != self.train.task:
                wanted = (self.train.task,) if self.train.task in TASKS else TASKS
                raise WrongTask(
                    f"training: expected images with objects in the {name} part (a dataset of the task "
                    f"{' or '.join(map(repr, wanted))}), got a dataset of the task {part.task!r}."
                )
            if not any(entry.classes for entry in part.entries):
                raise BadDataset(
                    f"training: expected an object in the {name} part, got none in {len(part)} images."
                )
        if self.train.labels != self.validation.labels:
            raise BadDataset(
                "training: expected the same labels in both parts, got "
                f"{len(self.train.labels)} and {len(self.validation.labels)} that are not alike."
            )
        if self.program.input_size() is None:
            raise BadGraph(
                "training: expected a program that gives every image one size, got one whose size depends on "
                f"the image ({'; '.join(self.program.words())})."
            )
        known = self.output.classes
        if known is not None and known - self.output.drop_first != len(self.labels):
            raise BadRequest(
                f"training: expected an output for {len(self.labels)} labels, got one with {known} classes"
                f"{', the first a background' if self.output.drop_first else ''}."
            )
        head_of(self.card)

    @property
    def labels(self) -> tuple[str, ...]:
        """Of both parts."""
        return self.train.labels

    @property
    def card(self) -> Card:
        """What answers are read by."""
        return Card(
            name="training",
            task=self.train.task,
            program=self.program,
            output=self.output,
            labels=self.labels,
        )

    def facts(self) -> Mapping[str, Any]:
        """Plain JSON, by which a checkpoint is known to be of this data."""
        return {
            "train": self.train.fingerprint,
            "validation": self.validation.fingerprint,
            "program": self.program.digest,
            "output": self.card.to_dict()["output"],
            "digest": self.digest,
        }


class Judged(NamedTuple):
    """Images as the evaluation program prepares them.

    Attributes:
        batch: float32 (N, 3, H, W), with the way home.
        truths: of each image, in its original pixels.
    """

    batch: Batch
    truths: tuple[Boxes | Instances, ...]


class _Whole(NamedTuple):
    """A row as the evaluation shows it: pixels before the last numeric steps, the way home, the truth."""

    pixels: Bytes
    geometry: Geometry
    truth: Boxes | Instances


class ObjectScenes:
    """The rows of one dataset: decoded once while there is room for them, shown whole or in changed views."""

    def __init__(
        self, rows: Dataset[Any], program: Program, settings: TrainSettings, room: Room | None = None
    ) -> None:
        first, size = program.steps[0], program.input_size()
        if not isinstance(first, Read) or size is None:
            raise BadGraph("training: expected a program that begins with 'read' and ends with one size.")
        self._rows, self._program, self._first, self._settings = rows, program, first, settings
        self._size: Size = size
        self._room = room or Room(settings.memory_bytes)
        self._wholes: dict[int, _Whole] = {}
        self._kept: dict[int, Shown] = {}
        self._strength = VIEW_STRENGTHS.get(settings.augmentation)
        self._pending: tuple[Step, ...] = program.split()[1]
        self._later: tuple[Step, ...] = tuple(
            step for step in program.steps if not isinstance(step, GEOMETRIC)
        )

    def __len__(self) -> int:
        return len(self._rows)

    def views(self, indices: Integers, epoch: int) -> Examples:
        """Some images as they look in one epoch, and a `Target` for each.

        Raises:
            BadInput: an image cannot be read.
            BadDataset: a row states no objects, or those of a picture of another size.
            BadGraph: the program ends with another layout.
        """
        strength = self._strength
        if strength is None:
            scenes = [self._evaluated(index) for index in indices.tolist()]
        else:
            scenes = [self._view(index, epoch, strength) for index in indices.tolist()]
        steps = self._pending if strength is None else self._later
        images_NCHW = as_network_input(numeric(np.stack([scene.pixels for scene in scenes]), steps))
        return Examples(images_NCHW, tuple(scene.contents.target(self._size) for scene in scenes))

    def whole(self, indices: Integers) -> Judged:
        """Some images by the evaluation program; raises as `views`."""
        wholes = [self._whole(index) for index in indices.tolist()]
        images_NCHW = as_network_input(numeric(np.stack([one.pixels for one in wholes]), self._pending))
        batch = Batch(
            images_NCHW.numpy(),
            tuple(one.geometry for one in wholes),
            tuple(str(self._rows.entries[index].path) for index in indices.tolist()),
        )
        return Judged(batch, tuple(one.truth for one in wholes))

    def _evaluated(self, index: int) -> Shown:
        """A row as the evaluation shows it, with what of its objects is in that."""
        whole = self._whole(index)
        return Shown(whole.pixels, Contents.of(whole.truth).through(View.of(whole.geometry)))

    def _view(self, index: int, epoch: int, strength: ViewStrength) -> Shown:
        settings, scene = self._settings, self._scene(index)
        if settings.mosaic and in_use(epoch, settings.epochs):
            generator = generator_of(settings.seed, MOSAIC, epoch, index)
            if generator.random() < settings.mosaic:
                others = generator.integers(len(self), size=3).tolist()
                order = generator.permutation([index, *others]).tolist()
                pictures = [self._scene(place) for place in order]
                return mosaic(pictures, self._size, strength, generator, flip=settings.flip)
        generator = generator_of(settings.seed, AUGMENTATION, epoch, index)
        view = drawn(scene.pixels.shape[:2], self._size, strength, generator, flip=settings.flip)
        seen = scene.through(view)
        return seen._replace(pixels=recoloured(seen.pixels, strength, generator))

    def _whole(self, index: int) -> _Whole:
        whole = self._wholes.get(index)
        if whole is None:
            image, truth = self._decoded(index)
            batch = prepare([image], self._program, fuse=True)
            whole = _Whole(np.asarray(batch.arrays[0]), batch.geometry[0], truth)
            if self._room.take(whole.pixels.nbytes):
                self._wholes[index] = whole
        return whole

    def _scene(self, index: int) -> Shown:
        """A row, at most `KEPT_SIDE` times as large as the evaluation shows it."""
        scene = self._kept.get(index)
        if scene is None:
            image, truth = self._decoded(index)
            scene = _reduced(Shown(image.pixels, Contents.of(truth)), self._size)
            if self._room.take(scene.nbytes):
                self._kept[index] = scene
        return scene

    def _decoded(self, index: int) -> tuple[Image, Boxes | Instances]:
        row = self._rows[index]
        image = read(row.path, orient=self._first.orient, channels=self._first.channels)
        if row.truth is None:
            raise BadDataset(f"{shown(row.path)}: expected objects, or that there are none; nobody said.")
        truth = cast("Boxes | Instances", row.truth)
        stated = truth.boxes.size if isinstance(truth, Instances) else truth.size
        if tuple(stated) != tuple(image.size):
            raise BadDataset(
                f"{shown(row.path)}: expected objects of a picture of {image.size[1]}x{image.size[0]} "
                f"pixels, as this one has, got those of {stated[1]}x{stated[0]}."
            )
        return image, truth


def _reduced(scene: Shown, size: Size) -> Shown:
    height, width = scene.pixels.shape[:2]
    factor = KEPT_SIDE * min(size[0] / height, size[1] / width)
    if factor >= 1:
        return scene
    to = max(1, round(height * factor)), max(1, round(width * factor))
    return scene.through(View(0, 0, (to[0] / height, to[1] / width), to))
