"""Images of the kind that a model will be used on; their labels are for measuring, and decide nothing."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet import storage
from signet.datasets import Dataset, open_dataset
from signet.errors import BadDataset, BadInput, BadRequest
from signet.finetuning.partition import Part
from signet.naming import shown
from signet.recipes import Recipe
from signet.sources import images_in_folder, is_folder

_LISTED = 3


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Images of the kind that the model will be used on.

    Attributes:
        source: as the recipe names them.
        paths: N files, to which the model is adapted.
        digests: sha256 of each.
        labelled: rows with labels, by which the result is measured; None where nobody said what they show.
        apart: whether those are none of `paths`.
        notes: what a person should know, in sentences.
    """

    source: str
    paths: tuple[Path, ...]
    digests: tuple[str, ...]
    labelled: Dataset[Any] | None
    apart: bool
    notes: tuple[str, ...]

    @property
    def identity(self) -> str:
        """sha256 over the contents of the images that are adapted to, in any order, and of no label."""
        return hashlib.sha256("\n".join(sorted(self.digests)).encode()).hexdigest()

    def measured(self, labels: Sequence[str]) -> Part | None:
        """The images with a label of the run, in the labels' own positions; None without any."""
        if self.labelled is None:
            return None
        place = {label: index for index, label in enumerate(labels)}
        names = self.labelled.labels
        rows = [
            (entry.path, place[names[entry.classes[0]]])
            for entry in self.labelled.entries
            if len(entry.classes) == 1 and names[entry.classes[0]] in place
        ]
        if not rows:
            return None
        paths, targets = zip(*rows, strict=True)
        return Part(paths, np.array(targets, np.int64))


def target_of(recipe: Recipe, dataset: Dataset[Any]) -> Target | None:
    """The images that the recipe names; None where it names none.

    A test split of theirs is kept for measuring; without one they are measured on what they are adapted to,
    which no label had a part in.

    Args:
        recipe: whose target.
        dataset: what is learned: its labels are compared with those of the target.

    Raises:
        BadDataset: there is nothing, or fewer than 2 files.
        BadRequest: an image of the dataset can have several labels.
    """
    if recipe.target is None:
        return None
    if not dataset.exclusive:
        raise BadRequest(
            f"recipe: target: expected one label an image, got several in {shown(dataset.source)}. "
            "Leave target out."
        )
    place = Path(recipe.target).expanduser()
    known = _dataset(place)
    if known is None:
        return _target(recipe.target, tuple(images_in_folder(place)), None, apart=False, notes=())
    rest = known.subset([at for at, entry in enumerate(known.entries) if entry.split != "test"])
    apart = 0 < len(rest) < len(known)
    named = set(known.labels) & set(dataset.labels)
    usable = known.task == "classify" and known.exclusive and bool(named)
    labelled = (known.select("test") if apart else known) if usable else None
    notes = []
    if usable and named != set(known.labels):
        others = sorted(set(known.labels) - named)
        names = ", ".join(repr(shown(name)) for name in others[:_LISTED])
        notes.append(
            f"target: {len(others)} of its labels are none that is learned ({names}): their images are "
            "adapted to, and are in no figure."
        )
    paths = (rest if apart else known).paths
    return _target(recipe.target, paths, labelled, apart=apart, notes=tuple(notes))


def _dataset(place: Path) -> Dataset[Any] | None:
    """As what a path can be read; None for a folder of images and nothing else."""
    try:
        return open_dataset(place)
    except BadDataset:
        if is_folder(place) and next(images_in_folder(place), None) is not None:
            return None
        raise


def _target(
    source: str,
    paths: tuple[Path, ...],
    labelled: Dataset[Any] | None,
    *,
    apart: bool,
    notes: tuple[str, ...],
) -> Target:
    found = [(path, digest) for path in paths if (digest := _digest(path))]
    if len(found) < len(paths):
        notes = (*notes, f"target: {len(paths) - len(found)} of {len(paths)} files cannot be read.")
    if len(found) < 2:
        raise BadDataset(
            f"{shown(source)}: expected at least 2 images to adapt to, got {len(found)}. Name a folder with "
            "images of the kind that the model will be used on."
        )
    files, digests = zip(*found, strict=True)
    return Target(source, files, digests, labelled, apart, notes)


def _digest(path: Path) -> str:
    try:
        return storage.digest_of(path)
    except (BadInput, OSError, ValueError):
        return ""


def without(target: Target, unreadable: Sequence[int]) -> Target:
    """The target without the files at some positions, which are no images.

    Raises:
        BadDataset: fewer than 2 are left.
    """
    if not unreadable:
        return target
    gone = set(unreadable)
    kept = [at for at in range(len(target.paths)) if at not in gone]
    note = f"target: {len(gone)} of {len(target.paths)} files are no images that can be read."
    if len(kept) < 2:
        raise BadDataset(
            f"{shown(target.source)}: expected at least 2 images to adapt to, got {len(kept)} that can be "
            "read. Name a folder with images of the kind that the model will be used on."
        )
    return dataclasses.replace(
        target,
        paths=tuple(target.paths[at] for at in kept),
        digests=tuple(target.digests[at] for at in kept),
        notes=(*target.notes, note),
    )
