"""Which images are learned from, which decide, and which are kept for the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array, Integers
from signet.datasets import Dataset
from signet.errors import BadDataset
from signet.finetuning import label_sets
from signet.fingerprints import Fingerprints, read_fingerprints
from signet.naming import shown
from signet.probing import ProbeSettings
from signet.progress import OnProgress
from signet.recipes import Recipe
from signet.records import Mistake
from signet.splitting import merge_groups, stratified_group_split

LEAST_IMAGES = 2
"""Readable images of a class by which a probe can be judged without test images: one to learn from, one to
check with."""

_LISTED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some images with their classes.

    Attributes:
        paths: N files.
        targets: int64 (N,), positions in the run's labels; or bool (N, C) where several can be right.
    """

    paths: tuple[Path, ...]
    targets: Array

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, chosen: Integers) -> Part:
        """The images at some positions."""
        return Part(tuple(self.paths[place] for place in chosen.tolist()), self.targets[chosen])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Parts:
    """The parts of one run. Every image of `development` can be read; those of `test` were not looked at.

    Attributes:
        labels: C names, the classes of the run.
        development: all images that may be learned from or decide.
        digests: sha256 of each development file.
        folds: int64 (N,), its fold in the cross-validation; copies and groups are in one.
        validation: int64 (V,), positions in `development` that training never learns from; empty for a
            probe, which is validated by its folds.
        test: for the end; None when there is none, and nested folds estimate instead.
        held_out: True when `test` was taken from images that had no test split.
        fingerprints: of the development images, by which copies among the test images are found.
        unreadable: images that could not be read, so far.
        notes: what a person should know, in sentences.
    """

    labels: tuple[str, ...]
    development: Part
    digests: tuple[str, ...]
    folds: Integers
    validation: Integers
    test: Part | None
    held_out: bool
    fingerprints: Fingerprints
    unreadable: tuple[Mistake, ...]
    notes: tuple[str, ...]

    @property
    def exclusive(self) -> bool:
        """Whether one label of an image is right."""
        return self.development.targets.ndim == 1

    @property
    def training(self) -> Integers:
        """int64, positions in `development` of the images that training learns from."""
        return np.setdiff1d(np.arange(len(self.development)), self.validation)


def partition(dataset: Dataset[Any], recipe: Recipe, *, training: bool, on_progress: OnProgress) -> Parts:
    """Deal a dataset's images to learning, deciding and measuring.

    Args:
        dataset: with or without splits; its "test" split is not opened here.
        recipe: fractions, folds and seed.
        training: whether something beyond a probe is trained, so that a validation part is needed, and a
            test part where the dataset has none.
        on_progress: told while files are read.

    Raises:
        BadDataset: no image, a single class, a class with too few images.
    """
    notes = list(dataset.notes)
    rows = _labelled(dataset, notes)
    with_test = "test" in rows.splits
    open_rows = _not_test(rows)
    prints = read_fingerprints(open_rows.paths, on_progress=on_progress)
    readable = np.array([bool(digest) for digest in prints.digests], bool)
    unreadable = _unreadable(open_rows, prints)
    if not readable.any():
        raise BadDataset(
            f"{shown(dataset.source)}: expected images to learn from, got {len(open_rows)} files, of which "
            f"none can be read{f'; first: {unreadable[0].error}' if unreadable else ''}."
        )
    kept = open_rows.subset(np.flatnonzero(readable))
    kept, labels, used = _classes(kept, dataset, notes, with_test=with_test)
    prints = _chosen(prints, np.flatnonzero(readable))
    groups = merge_groups(prints.groups().tolist(), kept.groups)
    targets = label_sets.targets_of(kept, used)
    notes.extend(label_sets.everywhere(kept))
    roles, split_notes = _roles(kept, groups, labels, recipe, training=training, with_test=with_test)
    notes.extend(_copies(groups, roles if training else np.full(len(roles), "train")))
    if training:
        _check_learned(targets[roles == "train"], labels, dataset)
    development = np.flatnonzero(roles != "test")
    part = Part(kept.paths, targets)
    folds = recipe.kfold if training and recipe.kfold else recipe.folds
    settings = ProbeSettings(folds=folds, seed=recipe.seed)
    names = kept.names
    return Parts(
        labels=labels,
        development=part.subset(development),
        digests=tuple(prints.digests[place] for place in development.tolist()),
        folds=label_sets.folds_of(
            targets[development],
            settings,
            [names[place] for place in development.tolist()],
            groups[development].tolist(),
        ),
        validation=np.flatnonzero(roles[development] == "val") if training else np.zeros(0, np.int64),
        test=_test_part(rows, used, notes) if with_test else _held_out(part, roles),
        held_out=not with_test and bool((roles == "test").any()),
        fingerprints=_chosen(prints, development),
        unreadable=unreadable,
        notes=(*notes, *split_notes),
    )


def _labelled(dataset: Dataset[Any], notes: list[str]) -> Dataset[Any]:
    """The rows that have a label and one of the usual splits."""
    usual = ("train", "val", "test", None)
    right = [place for place, entry in enumerate(dataset.entries) if entry.classes and entry.split in usual]
    without = sum(not entry.classes for entry in dataset.entries)
    if without:
        notes.append(f"{without} images without a label are left out.")
    if len(dataset) - without > len(right):
        others = ", ".join(shown(name) for name in dataset.splits if name not in usual)
        notes.append(f"{len(dataset) - without - len(right)} images of other splits ({others}) are left out.")
    if not right:
        raise BadDataset(
            f"{shown(dataset.source)}: expected labelled images to learn from, got none among {len(dataset)}."
        )
    return dataset.subset(right)


def _not_test(rows: Dataset[Any]) -> Dataset[Any]:
    places = [place for place, entry in enumerate(rows.entries) if entry.split != "test"]
    if not any(entry.split in ("train", None) for entry in rows.entries):
        raise BadDataset(
            f"{shown(rows.source)}: expected images to learn from (a 'train' split), got only "
            f"{', '.join(rows.splits)}."
        )
    return rows.subset(places)


def _unreadable(rows: Dataset[Any], prints: Fingerprints) -> tuple[Mistake, ...]:
    return tuple(
        Mistake(
            str(entry.path), rows.labels[entry.classes[0]], "", 0.0, 0.0, error=prints.failures[entry.path]
        )
        for entry, digest in zip(rows.entries, prints.digests, strict=True)
        if not digest
    )


def _classes(
    kept: Dataset[Any], dataset: Dataset[Any], notes: list[str], *, with_test: bool
) -> tuple[Dataset[Any], tuple[str, ...], Integers]:
    """The rows, the labels of the run, and their positions in the dataset's labels."""
    counts = kept.class_counts
    used = np.flatnonzero(counts)
    lacking = [dataset.labels[place] for place in np.flatnonzero(counts == 0).tolist()]
    if dataset.indices_given and lacking:
        # A table of 1,000 names of which ten are in use is a problem of ten classes.
        notes.append(f"{len(lacking)} labels of the list have no image and are left out.")
    elif lacking:
        raise BadDataset(
            f"{shown(dataset.source)}: expected readable images of every class to learn from, got none of "
            f"{_few(lacking)}. What is never seen cannot be learned: add images, or remove the class."
        )
    if len(used) < 2:
        only = f"only {shown(dataset.labels[int(used[0])])!r}" if len(used) else "none"
        raise BadDataset(
            f"{shown(dataset.source)}: expected images of at least 2 classes, got {only}. "
            "Give one folder of images for each class."
        )
    _check_measurable(kept, dataset, with_test=with_test, notes=notes)
    return kept, tuple(dataset.labels[place] for place in used.tolist()), used


def _check_measurable(
    kept: Dataset[Any], dataset: Dataset[Any], *, with_test: bool, notes: list[str]
) -> None:
    """Refuse classes of one image where no test images say how good the result is; else say what follows."""
    counts = kept.class_counts
    single = [dataset.labels[place] for place in np.flatnonzero(counts == 1).tolist()]
    if not single:
        return
    if not with_test:
        raise BadDataset(
            f"{shown(dataset.source)}: expected at least {LEAST_IMAGES} readable images of each class (one "
            f"to learn from, one to check with), got 1 of {_few(single)}. Add images, remove the class, or "
            "give the dataset a test split: then one image of a class will do."
        )
    if (counts < LEAST_IMAGES).all():
        notes.append(
            "There is one image of each class: how strong the probe is regularised is what was best for few "
            "images elsewhere, and its scores are not calibrated."
        )
    else:
        notes.append(f"One image only of {_few(single)}: cross-validation cannot judge what has no second.")


def _roles(
    kept: Dataset[Any],
    groups: Integers,
    labels: tuple[str, ...],
    recipe: Recipe,
    *,
    training: bool,
    with_test: bool,
) -> tuple[np.ndarray[Any, Any], tuple[str, ...]]:
    """For each row "train", "val" or "test"; and sentences on what could not be had."""
    roles = np.array([entry.split or "train" for entry in kept.entries], dtype="<U5")
    shares = {"train": 1.0}
    folding = training and recipe.kfold is not None
    if folding:
        roles[roles == "val"] = "train"  # each fold decides once
    if training and not folding and "val" not in kept.splits:
        shares["val"] = recipe.validation_fraction
    if training and not with_test:
        shares["test"] = recipe.test_fraction
    shares["train"] = 1.0 - sum(share for name, share in shares.items() if name != "train")
    if len(shares) == 1:
        return roles, ()
    if shares["train"] < 0.2:
        raise BadDataset("recipe: validation_fraction and test_fraction leave too little to learn from.")
    # A copy of an image that decides is no image that no decision used.
    dealt = np.flatnonzero((roles == "train") & ~np.isin(groups, groups[roles == "val"]))
    if not len(dealt):
        raise BadDataset(
            f"{shown(kept.source)}: expected images to learn from that share no group with the validation "
            "images, got none. Give the dataset a test split of its own."
        )
    names = kept.names
    split = stratified_group_split(
        [kept.entries[place].classes for place in dealt.tolist()],
        shares,
        names=[names[place] for place in dealt.tolist()],
        groups=groups[dealt].tolist(),
        seed=recipe.seed,
    )
    roles[dealt] = np.array(split.names, dtype="<U5")
    return roles, split.sentences(kept.labels) if len(labels) else ()


def _copies(groups: Integers, roles: np.ndarray[Any, Any]) -> list[str]:
    """What a person should know of copies and groups among the images that are not the dataset's own test."""
    decide, learn = groups[roles == "val"], groups[roles == "train"]
    parted = int(np.isin(decide, learn).sum())
    copies = len(groups) - len(np.unique(groups))
    if parted:
        # The dataset's own split did that; it is taken as it is.
        return [
            f"{parted} of the {len(decide)} validation images are copies of, or share a group with, images "
            "that are learned from: they favour what has learned them by heart."
        ]
    if copies:
        said = (
            "1 image is a copy of another or shares"
            if copies == 1
            else f"{copies} images are copies of others or share"
        )
        return [f"{said} a group; none is parted from what it belongs to."]
    return []


def _check_learned(targets: Array, labels: tuple[str, ...], dataset: Dataset[Any]) -> None:
    known = label_sets.seen(targets, len(labels))
    lacking = [label for label, learned in zip(labels, known, strict=True) if not learned]
    if lacking:
        raise BadDataset(
            f"{shown(dataset.source)}: expected images of every class to learn from, got none of "
            f"{_few(lacking)} outside the validation and test parts. What is never seen cannot be learned: "
            "move some there, or remove the class."
        )


def _test_part(rows: Dataset[Any], used: Integers, notes: list[str]) -> Part:
    """The test split, unread; images of classes that are not learned are left out, and counted."""
    every = [entry for entry in rows.entries if entry.split == "test"]
    learned = set(used.tolist())
    chosen = [entry for entry in every if learned & set(entry.classes)]
    if not chosen:
        raise BadDataset(
            f"{shown(rows.source)}: expected test images of the classes that are learned, got "
            f"{len(every)} of other classes only."
        )
    if len(chosen) < len(every):
        notes.append(f"{len(every) - len(chosen)} test images of classes that are not learned are left out.")
    kept = dataclasses.replace(rows, entries=tuple(chosen))
    return Part(kept.paths, label_sets.targets_of(kept, used))


def _held_out(part: Part, roles: np.ndarray[Any, Any]) -> Part | None:
    places = np.flatnonzero(roles == "test")
    return part.subset(places) if len(places) else None


def _chosen(prints: Fingerprints, places: Integers) -> Fingerprints:
    paths = tuple(prints.paths[place] for place in places.tolist())
    return dataclasses.replace(
        prints,
        paths=paths,
        digests=tuple(prints.digests[place] for place in places.tolist()),
        hashes=prints.hashes[places],
        thumbnails=prints.thumbnails[places],
        failures={},
    )


def _few(names: Sequence[str]) -> str:
    listed = ", ".join(repr(shown(name)) for name in names[:_LISTED])
    return f"{listed} and {len(names) - _LISTED} more" if len(names) > _LISTED else listed
