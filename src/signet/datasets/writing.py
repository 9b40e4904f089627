"""What all writers of datasets share: which files are copied under which names, and what came of it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet.datasets.annotations import Objects
from signet.datasets.dataset import SPLIT_NAMES, Dataset, Entry
from signet.errors import BadInput, BadRequest, WrongTask
from signet.naming import shown


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        folder: the dataset.
        images: how many images.
        objects: how many objects; 0 for label images.
        notes: what the format could not hold, in sentences.
    """

    folder: Path
    images: int
    objects: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """A row and the plain file name that its copy gets."""

    entry: Entry
    name: str

    @property
    def stem(self) -> str:
        """The name without its extension."""
        return Path(self.name).stem

    @property
    def objects(self) -> Objects:
        """Its objects.

        Raises:
            BadInput: nobody said what it shows.
        """
        if not isinstance(self.entry.annotation, Objects):
            raise BadInput(f"{shown(self.entry.path)}: expected a row with objects, got one without.")
        return self.entry.annotation


def copies_of(dataset: Dataset[Any]) -> list[Copy]:
    """Each row with a file name of its own: the image's, or where two share one all get their position."""
    names = [entry.path.name for entry in dataset.entries]
    stems = Counter(Path(name).stem.lower() for name in names)
    if stems and max(stems.values()) > 1:
        names = [f"{place:06d}_{name}" for place, name in enumerate(names)]
    return [Copy(entry, name) for entry, name in zip(dataset.entries, names, strict=True)]


def copy_image(copy: Copy, to: Path) -> None:
    """Copy an image's bytes as they are into a folder, which is made.

    Raises:
        BadInput: the image cannot be read.
    """
    to.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(copy.entry.path, to / copy.name)
    except OSError as error:
        raise BadInput(
            f"{shown(copy.entry.path)}: the image cannot be copied: {error.strerror or error}."
        ) from error


def check_task(dataset: Dataset[Any], tasks: tuple[str, ...], words: str) -> None:
    """Refuse a dataset whose truth a format cannot hold.

    Raises:
        WrongTask: its task is none of `tasks`.
    """
    if dataset.task not in tasks:
        raise WrongTask(
            f"{shown(dataset.source)}: expected a dataset of the task {' or '.join(tasks)} to write {words}, "
            f"got one of {dataset.task!r}."
        )


def check_splits(dataset: Dataset[Any], words: str) -> None:
    """Refuse splits that a format has no place for.

    Raises:
        BadRequest: some rows have a split with another name than train, val or test, or only some have one.
    """
    names = {entry.split for entry in dataset.entries}
    if names != {None} and not names <= set(SPLIT_NAMES.values()):
        others = ", ".join(sorted(shown(name) for name in names - set(SPLIT_NAMES.values())))
        raise BadRequest(
            f"{shown(dataset.source)}: expected the splits train, val and test to write {words}, or none at "
            f"all, got {others}. Rename them first (Dataset.with_splits)."
        )


def by_split(copies: list[Copy]) -> Iterator[tuple[str | None, list[Copy]]]:
    """The rows of each split, in the order in which the splits first occur."""
    for split in dict.fromkeys(copy.entry.split for copy in copies):
        yield split, [copy for copy in copies if copy.entry.split == split]
