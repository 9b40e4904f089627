"""What is chosen for: labelled pictures, what belongs together among them, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Integers
from signet.auditing import AuditSettings, audit
from signet.choosing.evidence import Rows
from signet.choosing.race import growing_order
from signet.choosing.regions import Regions, regions_of
from signet.datasets import Dataset
from signet.errors import BadDataset
from signet.naming import shown
from signet.progress import OnProgress, silent
from signet.splitting import merge_groups

LEAST_IMAGES = 20
"""Below that no probe says anything about another one."""

_COPIES = ("leak", "conflict", "near conflict", "copies", "near copies", "groups", "groups apart")
"""Findings whose files are kept on one side of every fold."""

_BROKEN = ("missing", "unreadable")


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """The pictures, in growing order.

    Attributes:
        dataset: of one label a picture.
        order: int64 (N,), positions in it.
        rows: targets and groups in that order.
        classes: how many labels occur.
        regions: what its pictures are cut from; None where they are files of the user's.
        notes: in sentences.
    """

    dataset: Dataset[Any]
    order: Integers
    rows: Rows
    classes: int
    regions: Regions | None
    notes: tuple[str, ...]

    def paths(self, count: int, on_progress: OnProgress = silent) -> list[Path]:
        """The files of the first pictures; those that must be cut out are."""
        places = self.order[:count].tolist()
        if self.regions is not None:
            self.regions.write(places, on_progress)
        return [self.dataset.entries[place].path for place in places]


def subject_of(
    dataset: Dataset[Any], *, seed: int, inspect: bool, threads: int | None, on_progress: OnProgress = silent
) -> Subject:
    """Make pictures of one label each of any dataset, and look at what is wrong with them.

    Args:
        dataset: of classes, boxes, masks or labelled pixels.
        seed: of the order.
        inspect: audit it first.
        threads: of the audit.
        on_progress: told of every few images.

    Raises:
        BadDataset: several labels an image, too few images, or fewer than 2 classes.
    """
    notes: list[str] = []
    if dataset.task == "classify" and not dataset.exclusive:
        raise BadDataset(
            f"{shown(dataset.source)}: expected one class an image, or boxes, masks or labelled pixels, got "
            "several classes an image. Choose with one of its labels as a dataset of its own."
        )
    if "train" in dataset.splits and len(dataset.splits) > 1:
        others = ", ".join(name for name in dataset.splits if name != "train")
        notes.append(f"Chosen on the split train; {others} was not looked at.")
        dataset = dataset.select("train")
    elif "test" in dataset.splits and len(dataset.splits) > 1:
        notes.append("There is no split train; all but the split test is chosen on, which was not looked at.")
        places = [place for place, entry in enumerate(dataset.entries) if entry.split != "test"]
        dataset = dataset.subset(places)
    together: list[dict[str, int]] = []
    if inspect and len(dataset):
        dataset, together = _audited(dataset, (seed, threads), notes, on_progress)
    regions = None if dataset.task == "classify" else regions_of(dataset)
    if regions is not None:
        notes.append(f"{regions.words} The figures say how well these are told apart, not how well found.")
    pictures = dataset if regions is None else regions.dataset
    labelled = np.flatnonzero(pictures.targets >= 0)
    targets = np.unique(pictures.targets[labelled], return_inverse=True)[1].astype(np.int64)
    classes = int(targets.max(initial=-1)) + 1
    if classes < 2 or len(labelled) < LEAST_IMAGES:
        raise BadDataset(
            f"{shown(dataset.source)}: expected at least {LEAST_IMAGES} labelled images of 2 classes to "
            f"choose on, got {len(labelled)} of {classes}."
        )
    sources = pictures.paths if regions is None else regions.sources
    groups = _groups(pictures, [str(sources[place]) for place in labelled], together, labelled)
    inner = growing_order(targets, seed)
    names = tuple(f"{place:09d}" for place in labelled[inner].tolist())
    rows = Rows(targets[inner], groups[inner], names, seed)
    return Subject(pictures, labelled[inner], rows, classes, regions, tuple(notes))


def _audited(
    dataset: Dataset[Any], how: tuple[int, int | None], notes: list[str], on_progress: OnProgress
) -> tuple[Dataset[Any], list[dict[str, int]]]:
    """(the rows that can be read, groupings of files that belong together); what is severe goes to the notes.

    Labels are not judged: that takes a network over all images, which is what choosing saves.
    """
    seed, threads = how
    found = audit(
        dataset, model=None, settings=AuditSettings(seed=seed, threads=threads), on_progress=on_progress
    )
    notes.extend(f"audit: {one.message}" for one in found.findings if one.severity == "severe")
    broken = {source for kind in _BROKEN for one in found.of(kind) for source in one.sources}
    if broken:
        kept = [place for place, path in enumerate(dataset.paths) if str(path) not in broken]
        dataset = dataset.subset(kept)
    groupings = [
        {source: number for number, group in enumerate(one.together) for source in group}
        for kind in _COPIES
        for one in found.of(kind)
    ]
    return dataset, groupings


def _groups(
    pictures: Dataset[Any], sources: list[str], together: list[dict[str, int]], places: Integers
) -> Integers:
    """int64 (N,), small numbers: stated groups, and copies of one picture, as one."""
    stated = [pictures.entries[place].group for place in places.tolist()]
    found = [[grouping.get(source) for source in sources] for grouping in together]
    return np.unique(merge_groups(stated, sources, *found), return_inverse=True)[1].astype(np.int64)
