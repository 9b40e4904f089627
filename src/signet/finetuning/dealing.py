"""Of labelled pixels or objects: which images are learned from, which decide, which are kept for the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Integers
from signet.datasets import Dataset
from signet.decoding import read
from signet.errors import BadDataset
from signet.fingerprints import read_fingerprints
from signet.geometry import Size
from signet.naming import shown
from signet.progress import OnProgress
from signet.recipes import Recipe
from signet.splitting import merge_groups, stratified_group_split

LEAST_IMAGES = 4
LEAST_LABELS = {"segment": 2}
OBJECTS = ("detect", "instances")
_TYPICAL_FROM = 50


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Dealt:
    """The parts of one run; every image can be read, and copies are in one part.

    Attributes:
        training: at least 2 rows.
        validation: decides when training ends and which epoch is kept.
        test: opened at the end, when all is decided.
        held_out: True when `test` was taken from images that had no test split.
        digests: sha256 of each file of training and validation.
        notes: what a person should know, in sentences.
    """

    training: Dataset[Any]
    validation: Dataset[Any]
    test: Dataset[Any]
    held_out: bool
    digests: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def development(self) -> tuple[Path, ...]:
        """The files of training and validation."""
        return (*self.training.paths, *self.validation.paths)

    @property
    def counts(self) -> dict[str, int]:
        """Images of each part, in the words of `Plan.images`."""
        return {"training": len(self.training), "validation": len(self.validation), "test": len(self.test)}

    @property
    def measured_on(self) -> str:
        """What the figures are from, in words."""
        if self.held_out:
            return f"{len(self.test)} images that were held out before anything else"
        return f"the dataset's own test split, {len(self.test)} images, opened only at the end"

    @property
    def typical(self) -> Size:
        """(height, width) that is the median of the training images, of some of them where there are many."""
        step = max(1, len(self.training) // _TYPICAL_FROM)
        sizes = np.array([read(path).size for path in self.training.paths[::step]])
        height, width = np.median(sizes, axis=0).tolist()
        return round(height), round(width)


def deal(dataset: Dataset[Any], recipe: Recipe, on_progress: OnProgress) -> Dealt:
    """Deal a dataset's images to learning, deciding and measuring.

    Its own splits are taken as they are; what is lacking is dealt from the training images, alike for every
    label, copies and groups together. Images without an object stay: they teach what is none.

    Args:
        dataset: a label for each pixel, or objects.
        recipe: fractions and seed.
        on_progress: told while files are read.

    Raises:
        BadDataset: too few images or labels, or a part without any object.
    """
    least = LEAST_LABELS.get(dataset.task, 1)
    if len(dataset.labels) < least:
        words = f"{least} label{'s' if least > 1 else ''}"
        raise BadDataset(f"{shown(dataset.source)}: expected at least {words}, got {len(dataset.labels)}.")
    notes = list(dataset.notes)
    usual = _usual(dataset, notes)
    prints = read_fingerprints([dataset.entries[row].path for row in usual], on_progress=on_progress)
    readable = np.array([bool(digest) for digest in prints.digests], bool)
    if not readable.all():
        first = next(iter(prints.failures.values()), "")
        notes.append(f"{int((~readable).sum())} images cannot be read and are left out; the first: {first}")
    kept = dataset.subset([row for row, good in zip(usual, readable, strict=True) if good])
    if len(kept) < LEAST_IMAGES:
        raise BadDataset(
            f"{shown(dataset.source)}: expected at least {LEAST_IMAGES} readable images, two to learn from, "
            f"one to decide by and one to measure on; got {len(kept)}."
        )
    digests = [digest for digest in prints.digests if digest]
    groups = merge_groups(prints.groups()[readable].tolist(), kept.groups)
    roles = _roles(kept, groups, recipe, notes)
    places = {role: np.flatnonzero(roles == role) for role in ("train", "val", "test")}
    for role, least in (("train", 2), ("val", 1), ("test", 1)):
        if role == "train" and kept.splits and not len(places[role]):
            raise BadDataset(
                f"{shown(dataset.source)}: expected images to learn from, got only those of its own "
                f"split{'s' if len(kept.splits) > 1 else ''} {' and '.join(map(repr, kept.splits))}, which "
                "decide and measure. Add a split 'train', or leave the splits out: they are then made."
            )
        if len(places[role]) < least:
            raise BadDataset(
                f"{shown(dataset.source)}: expected at least {least} images for the part {role!r}, got "
                f"{len(places[role])}: copies and groups stay together. Add images."
            )
        if dataset.task in OBJECTS and not any(kept.entries[place].classes for place in places[role]):
            raise BadDataset(
                f"{shown(dataset.source)}: expected an object in the part {role!r}, got {len(places[role])} "
                "images without any. Add images with objects, or give the dataset splits of its own."
            )
    plain = kept.with_splits([None] * len(kept))
    return Dealt(
        training=plain.subset(places["train"]),
        validation=plain.subset(places["val"]),
        test=plain.subset(places["test"]),
        held_out="test" not in kept.splits,
        digests=tuple(digests[place] for place in (*places["train"].tolist(), *places["val"].tolist())),
        notes=(*notes, *_leaks(groups, places["test"], plain, places["train"])),
    )


def _usual(dataset: Dataset[Any], notes: list[str]) -> list[int]:
    """Rows of the usual splits of which somebody said what they show."""
    usual = [
        row for row, entry in enumerate(dataset.entries) if entry.split in ("train", "val", "test", None)
    ]
    if len(usual) < len(dataset):
        notes.append(f"{len(dataset) - len(usual)} images of other splits are left out.")
    stated = [row for row in usual if dataset.entries[row].annotation is not None]
    if len(stated) < len(usual):
        notes.append(f"{len(usual) - len(stated)} images of which nobody said what they show are left out.")
    return stated


def _roles(kept: Dataset[Any], groups: Integers, recipe: Recipe, notes: list[str]) -> np.ndarray[Any, Any]:
    """For each row "train", "val" or "test"."""
    roles = np.array([entry.split or "train" for entry in kept.entries], dtype="<U5")
    shares = {"train": 1.0}
    if "val" not in kept.splits:
        shares["val"] = recipe.validation_fraction
    if "test" not in kept.splits:
        shares["test"] = recipe.test_fraction
    if len(shares) == 1:
        return roles
    shares["train"] = 2.0 - sum(shares.values())
    if shares["train"] < 0.2:
        raise BadDataset("recipe: validation_fraction and test_fraction leave too little to learn from.")
    dealt = np.flatnonzero(roles == "train")
    names = kept.names
    split = stratified_group_split(
        [kept.entries[place].classes for place in dealt.tolist()],
        shares,
        names=[names[place] for place in dealt.tolist()],
        groups=groups[dealt].tolist(),
        seed=recipe.seed,
    )
    roles[dealt] = np.array(split.names, dtype="<U5")
    notes.extend(split.sentences(kept.labels))
    return roles


def _leaks(groups: Integers, test: Integers, rows: Dataset[Any], training: Integers) -> Sequence[str]:
    """What a person should know of the test part."""
    found = []
    copies = int(np.isin(groups[test], np.delete(groups, test)).sum())
    if copies:
        found.append(f"{copies} of the {len(test)} test images are copies of, or share a group with, others.")
    seen = {index for place in training.tolist() for index in rows.entries[place].classes}
    never = [label for place, label in enumerate(rows.labels) if place not in seen]
    if never:
        names = ", ".join(repr(shown(label)) for label in never[:5])
        found.append(f"no training image shows {names}: what is never seen is not learned.")
    return found
