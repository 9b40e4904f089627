"""The sound rows of a dataset: what an audit found is left out or put on one side; no image is touched.

The rules, in this order:

1. Files that are missing or unreadable are left out.
2. Of identical files with one truth, one is kept: that of test before val before train, else the first.
   Identical files with different truths are all kept, unless they are to be dropped.
3. What shows one picture, or is of one group, goes to the split that most of it is in; where two have as
   many, to the smaller split, which can spare the fewest. An image without a split stays without.
4. Label suspects stay, unless they are to be dropped.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from signet import storage
from signet.datasets import Dataset, Entry
from signet.datasets.from_csv import SEPARATOR
from signet.errors import BadDataset, WrongTask
from signet.findings import Audit
from signet.naming import shown
from signet.splitting import merge_groups

P = TypeVar("P")

_KEPT_FIRST = ("test", "val", "train", None)
_TOGETHER = ("leak", "copies", "near copies", "conflict", "near conflict")


@dataclass(frozen=True, slots=True, eq=False)
class Mended(Generic[P]):
    """A dataset without what an audit found.

    Attributes:
        dataset: the rows that are left, with their splits and groups.
        left_out: why, and the files that were.
        moved: files that went to another split.
        notes: what a person should know, in sentences.
    """

    dataset: Dataset[P]
    left_out: Mapping[str, tuple[str, ...]]
    moved: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """What was done, in sentences."""
        said = [
            f"{len(files):,} files left out: {reason}." for reason, files in self.left_out.items() if files
        ]
        if self.moved:
            said.append(f"{len(self.moved):,} files moved to the split that most of their group is in.")
        if not said:
            said.append("Nothing had to be left out or moved.")
        return (*said, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "images": len(self.dataset),
            "left_out": {reason: list(files) for reason, files in self.left_out.items()},
            "moved": list(self.moved),
            "notes": list(self.notes),
        }


def mended(
    dataset: Dataset[P], found: Audit, *, drop_conflicts: bool = False, drop_suspects: bool = False
) -> Mended[P]:
    """The rows of a dataset that an audit found nothing against, by the rules at the top of this file.

    Args:
        dataset: the one that was audited, of any task.
        found: what was found.
        drop_conflicts: leave out identical files that have different truths.
        drop_suspects: leave out images whose labels are probably wrong.

    Raises:
        BadDataset: no row would be left.
    """
    place_of = {str(entry.path): place for place, entry in enumerate(dataset.entries)}
    left = dict.fromkeys(range(len(dataset)))
    out: dict[str, list[int]] = {}

    def leave(reason: str, places: Iterable[int]) -> None:
        out[reason] = [place for place in dict.fromkeys(places) if place in left]
        for place in out[reason]:
            del left[place]

    def places_of(*kinds: str) -> list[int]:
        every = (source for kind in kinds for one in found.of(kind) for source in one.sources)
        return [place_of[source] for source in every if source in place_of]

    leave("missing or unreadable", places_of("missing", "unreadable"))
    if drop_conflicts:
        leave("identical files with different truths", places_of("conflict"))
    if drop_suspects:
        leave("labels that are probably wrong", places_of("label suspects"))
    same = [place for place in places_of("leak", "copies", "conflict") if place in left]
    leave("identical files of one truth, of which one is kept", _surplus(dataset, same))
    kept = list(left)
    if not kept:
        raise BadDataset(f"{shown(dataset.source)}: of its {len(dataset):,} images none would be left.")
    units = _units(dataset, found, place_of)
    splits = _splits(dataset, kept, units)
    groups = _group_names(dataset, kept, units)
    entries = tuple(
        replace(dataset.entries[place], split=split, group=group)
        for place, split, group in zip(kept, splits, groups, strict=True)
    )
    result = replace(dataset, entries=entries)
    moved = tuple(
        str(entry.path)
        for place, entry in zip(kept, entries, strict=True)
        if entry.split != dataset.entries[place].split
    )
    files = {reason: tuple(str(dataset.entries[p].path) for p in places) for reason, places in out.items()}
    return Mended(result, files, moved, _lost(dataset, result))


def check_table(dataset: Dataset[Any]) -> None:
    """Refuse a dataset that `write_table` could not write, before any work is done for it.

    Raises:
        WrongTask: a dataset of objects or pixels, whose truths a table cannot hold.
        BadDataset: a label that a cell would change.
    """
    if dataset.task != "classify":
        raise WrongTask(
            f"{shown(dataset.source)}: expected a dataset of classes, whose splits a table can hold, got "
            f"one of the task {dataset.task!r}. From Python, `auditing.mended(dataset, found).dataset` is "
            "the mended one, and datasets.to_coco, to_yolo, to_voc or to_masks write it."
        )
    for label in dataset.labels:
        if label != label.strip() or SEPARATOR in label or not label.isprintable():
            raise BadDataset(
                f"{shown(dataset.source)}: the label {label!r} cannot be written into a table, where blanks "
                f"at its ends are lost and {SEPARATOR!r} stands between labels. Rename it."
            )


def write_table(dataset: Dataset[Any], path: Path, *, overwrite: bool = False) -> None:
    """Write a classification as a table that `open_dataset` reads: file, label, split, group.

    File names are relative to the table's folder. Where the dataset states class indices, the table does too.

    Raises:
        WrongTask, BadDataset: as `check_table`; or a file's name that a cell would change.
        AlreadyExists: it is there and `overwrite` was not given.
    """
    check_table(dataset)
    columns = ["file", *(["class_index"] if dataset.indices_given else []), "label", "split", "group"]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    top = path.parent.absolute()
    for entry in dataset.entries:
        writer.writerow(_cells(entry, dataset, top))
    storage.write_bytes(path, text.getvalue().encode("utf-8"), overwrite=overwrite)


def _cells(entry: Entry, dataset: Dataset[Any], top: Path) -> list[str]:
    name = Path(os.path.relpath(entry.path.absolute(), top)).as_posix()
    if name != name.strip():
        raise BadDataset(f"{name!r}: blanks at the ends of a file's name are lost in a table. Rename it.")
    indices = [SEPARATOR.join(map(str, entry.classes))] if dataset.indices_given else []
    labels = SEPARATOR.join(dataset.labels[index] for index in entry.classes)
    return [name, *indices, labels, entry.split or "", entry.group or ""]


def _surplus(dataset: Dataset[Any], places: Iterable[int]) -> list[int]:
    """Of some rows those whose file and truth another row has too, but for the one that is kept of each."""
    alike: dict[tuple[str, object], list[int]] = {}
    for place in dict.fromkeys(places):
        entry = dataset.entries[place]
        truth = entry.classes if entry.annotation is None else entry.annotation.digest
        alike.setdefault((storage.digest_of(entry.path), truth), []).append(place)
    kept = {
        min(some, key=lambda place: (_order(dataset.entries[place].split), place)) for some in alike.values()
    }
    return sorted(place for some in alike.values() for place in some if place not in kept)


def _order(split: str | None) -> int:
    return _KEPT_FIRST.index(split) if split in _KEPT_FIRST else len(_KEPT_FIRST)


def _units(dataset: Dataset[Any], found: Audit, place_of: Mapping[str, int]) -> list[int]:
    """For each row the first position of what must stay together with it."""
    groupings: list[Sequence[object]] = [dataset.groups]
    for kind in (*_TOGETHER, "groups apart", "groups"):
        for one in found.of(kind):
            table: list[object] = [None] * len(dataset)
            for number, sources in enumerate(one.together):
                for source in sources:
                    if source in place_of:
                        table[place_of[source]] = number
            groupings.append(table)
    return [int(unit) for unit in merge_groups(*groupings)]


def _splits(dataset: Dataset[Any], kept: Sequence[int], units: Sequence[int]) -> list[str | None]:
    sizes = Counter(dataset.entries[place].split for place in kept)
    votes: dict[int, Counter[str]] = {}
    for place in kept:
        split = dataset.entries[place].split
        if split is not None:
            votes.setdefault(units[place], Counter())[split] += 1
    chosen = {
        unit: min(counts, key=lambda split: (-counts[split], sizes[split], split))
        for unit, counts in votes.items()
    }
    return [None if dataset.entries[place].split is None else chosen[units[place]] for place in kept]


def _group_names(dataset: Dataset[Any], kept: Sequence[int], units: Sequence[int]) -> list[str | None]:
    """A name for each unit of several rows: that of its first row's group, else of its first file."""
    counts = Counter(units[place] for place in kept)
    names = dataset.names
    named: dict[int, str] = {}
    for place in kept:
        own = dataset.entries[place].group
        named.setdefault(units[place], own or f"with {names[place]}")
    return [
        named[units[place]] if counts[units[place]] > 1 else dataset.entries[place].group for place in kept
    ]


def _lost(before: Dataset[Any], after: Dataset[Any]) -> tuple[str, ...]:
    """Classes that a split had images of and has none of now."""
    notes = []
    for split in before.splits:
        had = before.select(split).class_counts
        has = after.select(split).class_counts if split in after.splits else had * 0
        lost = [shown(before.labels[place]) for place in range(len(had)) if had[place] and not has[place]]
        if lost:
            notes.append(f"{shown(split)} has no image any more of: {', '.join(lost)}.")
    return tuple(notes)
