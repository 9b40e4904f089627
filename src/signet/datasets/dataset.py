"""A dataset: files with their truths, in order, read only when asked for."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from signet.arrays import Integers
from signet.boxes import Boxes
from signet.cards import Task
from signet.datasets.annotations import Annotation, LabelImage, Objects
from signet.decoding import read
from signet.errors import BadDataset, UnknownName, WrongTask
from signet.images import Image
from signet.instances import Instances
from signet.predictions import Classes
from signet.segments import SegmentMap

P = TypeVar("P")

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""The usual names of splits, in lower case, and what Signet calls them."""

_SPLIT_ORDER = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a dataset.

    Attributes:
        path: the image file, which may be missing or unreadable.
        classes: positions in the dataset's labels: one, several (multi-label), or none; of objects and
            pixels, the distinct ones that occur.
        split: "train", "val", "test", another name, or None.
        group: what must stay on one side of a split (a patient, a video), or None.
        annotation: what a truth of objects or pixels is made of; None for a classification.
    """

    path: Path
    classes: tuple[int, ...] = ()
    split: str | None = None
    group: str | None = None
    annotation: Annotation | None = None


@dataclass(frozen=True, slots=True)
class Sample(Generic[P]):
    """One image and its truth.

    Attributes:
        path: the image file.
        truth: what it shows; None when nobody said.
        split: which split it belongs to, if any.
    """

    path: Path
    truth: P | None
    split: str | None = None

    @property
    def image(self) -> Image:
        """The image, read from disk at every call.

        Raises:
            BadInput: it cannot be read.
        """
        return read(self.path)

    @property
    def source(self) -> str:
        """The path as text."""
        return str(self.path)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Dataset(Generic[P]):
    """Images with their truths. Iterating yields `Sample`s; nothing is read before `sample.image`.

    Attributes:
        entries: the rows, in order.
        labels: class names; a class index is a position in it.
        source: the file or folder that it was read from.
        format: a name of `recognise.FORMATS`.
        root: the folder that names are relative to.
        truth_of: makes the truth of a row.
        task: what its truth is: "classify" (`Classes`), "detect" (`Boxes`), "instances" (`Instances`) or
            "segment" (`SegmentMap`).
        exclusive: True when an image has one class; False for multi-label, objects and pixels.
        indices_given: True when the source states class indices, which then mean positions in a model's own
            label list, whatever the names; False when it states names, which are matched by name.
        notes: what a person should know about what was read, in sentences.
    """

    entries: tuple[Entry, ...]
    labels: tuple[str, ...]
    source: str
    format: str
    root: Path
    truth_of: Callable[[Entry, tuple[str, ...], bool], P | None]
    task: Task = "classify"
    exclusive: bool = True
    indices_given: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for entry in self.entries:
            if entry.classes and not 0 <= min(entry.classes) <= max(entry.classes) < len(self.labels):
                raise BadDataset(
                    f"{self.source}: expected class indices from 0 to {len(self.labels) - 1}, "
                    f"got {entry.classes} for {entry.path}."
                )

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample[P]:
        entry = self.entries[index]
        return Sample(entry.path, self.truth_of(entry, self.labels, self.exclusive), entry.split)

    def __iter__(self) -> Iterator[Sample[P]]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        parts = "".join(f", {name} {count}" for name, count in self.split_counts.items())
        return f"Dataset({self.source!r}, {len(self)} images, {len(self.labels)} classes{parts})"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(entry.path for entry in self.entries)

    @property
    def names(self) -> tuple[str, ...]:
        """The files relative to `root`, with forward slashes: the same on every machine."""
        root = str(self.root)
        return tuple(Path(os.path.relpath(entry.path, root)).as_posix() for entry in self.entries)

    @property
    def groups(self) -> tuple[str | None, ...]:
        """For each row the group that it belongs to, or None."""
        return tuple(entry.group for entry in self.entries)

    @property
    def targets(self) -> Integers:
        """int64 (N,): the class of each row, -1 for a row without one; for exclusive classes.

        Raises:
            BadDataset: the dataset is multi-label; take `entry.classes`.
        """
        if not self.exclusive:
            raise BadDataset(
                f"{self.source}: expected one class an image, got a dataset of {self._kind}. "
                "Take each entry's classes instead."
            )
        return np.array([entry.classes[0] if entry.classes else -1 for entry in self.entries], np.int64)

    @property
    def class_counts(self) -> Integers:
        """int64 (C,): how many rows have each class."""
        counts = np.zeros(len(self.labels), np.int64)
        for entry in self.entries:
            counts[list(entry.classes)] += 1
        return counts

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits: train, val, test, then others by name. Empty when it has none."""
        return tuple(self.split_counts)

    @property
    def split_counts(self) -> dict[str, int]:
        """How many rows each split has, in the order of `splits`."""
        counts = Counter(entry.split for entry in self.entries if entry.split is not None)
        usual = [name for name in _SPLIT_ORDER if name in counts]
        return {name: counts[name] for name in (*usual, *sorted(set(counts) - set(usual)))}

    @property
    def fingerprint(self) -> str:
        """sha256 over labels and, for each row, its relative name, truth, split, group and file size.

        The same files give the same fingerprint in any order and under any folder. It does not read the
        images (of pixels' labels, it reads the label images); `fingerprint_of` takes the digests of their
        contents.
        """
        return self.fingerprint_of([str(_size_of(entry.path)) for entry in self.entries])

    def fingerprint_of(self, digests: Sequence[str]) -> str:
        """The fingerprint with one word for each file's content (its sha256) in place of its size."""
        rows = sorted(
            json.dumps([name, entry.classes, entry.split, entry.group, digest, *_annotated(entry)])
            for name, entry, digest in zip(self.names, self.entries, digests, strict=True)
        )
        tasks = [] if self.task == "classify" else [self.task]
        text = "\n".join([json.dumps([self.labels, self.exclusive, *tasks]), *rows])
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def select(self, split: str) -> Dataset[P]:
        """The rows of one split; its usual other names ("valid" for "val") are known.

        Raises:
            UnknownName: it has no such split.
        """
        name = split if split in self.splits else SPLIT_NAMES.get(split.lower(), split)
        if name not in self.splits:
            has = f"It has {', '.join(self.splits)}." if self.splits else "It has no splits."
            raise UnknownName("split", split, self.splits, has)
        return self.subset([index for index, entry in enumerate(self.entries) if entry.split == name])

    def subset(self, indices: Sequence[int] | Integers) -> Dataset[P]:
        """The rows at some positions, in that order, with the same labels."""
        return replace(self, entries=tuple(self.entries[int(index)] for index in indices))

    def with_splits(self, splits: Sequence[str | None]) -> Dataset[P]:
        """The same rows with other splits: one name, or None, for each."""
        rows = zip(self.entries, splits, strict=True)
        return replace(self, entries=tuple(replace(entry, split=split) for entry, split in rows))

    def as_task(self, task: Task) -> Dataset[Any]:
        """The same rows with the truth of another task: objects with masks are also boxes.

        Raises:
            WrongTask: its truth does not say what that task needs.
        """
        if task == self.task:
            return self
        if (self.task, task) == ("instances", "detect"):
            boxes: Dataset[Any] = self
            return replace(boxes, task=task, truth_of=TRUTHS[task])
        raise WrongTask(
            f"{self.source}: expected a dataset for the task {task!r}, got one of {self._kind}. "
            "Name a dataset whose truth is of that task."
        )

    @property
    def _kind(self) -> str:
        """What its truth is, in words."""
        if self.task == "classify":
            return "one class an image" if self.exclusive else "several classes an image (multi-label)"
        return {"detect": "boxes", "instances": "objects with masks"}.get(self.task, "labelled pixels")


def classes_of(entry: Entry, labels: tuple[str, ...], exclusive: bool) -> Classes | None:
    """The truth of a classification row: `Classes`, or None for a row of exclusive classes without one."""
    source = str(entry.path)
    if exclusive:
        if not entry.classes:
            return None
        return Classes.truth(entry.classes[0], labels[entry.classes[0]], source=source)
    indices = np.array(entry.classes, np.int64)
    names = tuple(labels[index] for index in entry.classes)
    return Classes(indices, np.ones(len(indices), np.float32), names, exclusive=False, source=source)


def boxes_of(entry: Entry, labels: tuple[str, ...], exclusive: bool) -> Boxes | None:  # noqa: ARG001
    """The truth of a detection row, in pixels of the upright image; None where nobody said."""
    objects = entry.annotation
    return objects.boxes(labels, str(entry.path)) if isinstance(objects, Objects) else None


def instances_of(entry: Entry, labels: tuple[str, ...], exclusive: bool) -> Instances | None:  # noqa: ARG001
    """The truth of an instance segmentation row; None where nobody said."""
    objects = entry.annotation
    return objects.instances(labels, str(entry.path)) if isinstance(objects, Objects) else None


def segments_of(entry: Entry, labels: tuple[str, ...], exclusive: bool) -> SegmentMap | None:  # noqa: ARG001
    """The truth of a semantic segmentation row; its label image is read now."""
    image = entry.annotation
    return image.segments(labels, str(entry.path)) if isinstance(image, LabelImage) else None


TRUTHS: dict[Task, Callable[[Entry, tuple[str, ...], bool], Any]] = {
    "classify": classes_of,
    "detect": boxes_of,
    "instances": instances_of,
    "segment": segments_of,
}
"""For each task what makes a row's truth."""


def _annotated(entry: Entry) -> list[str]:
    return [] if entry.annotation is None else [entry.annotation.digest]


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return -1
