"""A folder of classes, with or without folders for training, validation and test above them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from signet.datasets.dataset import SPLIT_NAMES, Dataset, Entry, classes_of
from signet.errors import BadDataset, BadRequest
from signet.naming import natural_key, shown
from signet.predictions import Classes
from signet.sources import IMAGE_EXTENSIONS, images_in_folder

Layout = Literal["auto", "classes", "splits"]

_NAMED = 5
_NEVER_CLASSES = frozenset(("__macosx", "__pycache__"))


@dataclass(frozen=True, slots=True)
class _Level:
    """One folder: its sub-folders that hold images, those that hold none, and its own images."""

    folders: dict[str, tuple[Path, ...]]
    empty: tuple[str, ...]
    beside: tuple[Path, ...]


def from_folder(path: str | Path, *, layout: Layout = "auto") -> Dataset[Classes]:
    """Read a folder of classes.

    `PATH/CLASS/.../image.jpg` or `PATH/SPLIT/CLASS/.../image.jpg`, where SPLIT is train, training, val,
    valid, validation, dev, test or testing, in any case. Everything below a class folder belongs to it.

    Class indices follow the natural order of the class names: "2" before "10", upper and lower case
    together (torchvision's ImageFolder has "10" before "2"; match its models by name, not by index). With
    splits, the labels are those of all splits together. A name in another Unicode form is the same name.
    Class folders without an image, images beside the class folders, and classes that some split lacks are
    said in `notes`; hidden files and folders are left out.

    Args:
        path: the folder.
        layout: "classes" or "splits" where a folder could be read as either (a class named "train").

    Raises:
        BadDataset: no such folder, no class folder with an image in it, or two possible layouts.

    Example:
        >>> import tempfile; from pathlib import Path; folder = Path(tempfile.mkdtemp())
        >>> for name in ("10", "2"):
        ...     (folder / name).mkdir(); (folder / name / "a.jpg").touch()
        >>> from_folder(folder).labels
        ('2', '10')
    """
    if layout not in ("auto", "classes", "splits"):
        raise BadRequest(f"layout: expected 'auto', 'classes' or 'splits', got {layout!r}.")
    root = Path(path)
    if not root.is_dir():
        came = "a file" if root.exists() else "nothing: there is no such folder"
        raise BadDataset(f"{shown(root)}: expected a folder with one folder of images a class, got {came}.")
    top = _level(root)
    inside = {name: _level(root / name) for name in top.folders if name.lower() in SPLIT_NAMES}
    splits = {name: level for name, level in inside.items() if level.folders and not level.beside}
    if layout == "splits" and not inside:
        raise BadDataset(
            f"{shown(root)}: expected folders named train, val or test, got {_names(top.folders)}."
        )
    if layout == "splits" or (layout == "auto" and splits):
        chosen = inside if layout == "splits" else splits
        others = [name for name in top.folders if name not in chosen]
        if others and layout == "auto" and len(chosen) == 1:
            raise BadDataset(
                f"{shown(root)}: {_names(chosen)} looks like a split with classes in it, but "
                f"{_names(others)} beside it hold images too. If these are classes, ask for "
                "layout='classes'; if only the first is meant, ask for layout='splits' or name that "
                "folder itself."
            )
        return _with_splits(root, chosen, others, top)
    return _without_splits(root, top)


def _without_splits(root: Path, top: _Level) -> Dataset[Classes]:
    if not top.folders:
        came = f"{len(top.beside)} images and no such folder" if top.beside else "no image at all"
        raise BadDataset(
            f"{shown(root)}: expected a folder with one folder of images a class, got {came}. "
            "Sort the images into folders named after their classes, or list them in a CSV file with the "
            "columns file and label."
        )
    return _dataset(root, {None: top}, [*_about_empty("", top), *_about_beside(root, top)])


def _with_splits(
    root: Path, levels: dict[str, _Level], others: Sequence[str], top: _Level
) -> Dataset[Classes]:
    notes = [f"Folders beside the splits were left out: {_names(others)}."] if others else []
    notes += _about_beside(root, top)
    by_split: dict[str | None, _Level] = {}
    for name, level in levels.items():
        split = SPLIT_NAMES[name.lower()]
        if split in by_split:
            raise BadDataset(
                f"{shown(root)}: expected one folder for the split {split!r}, got {_names(levels)}. "
                "Join them, or move one away."
            )
        by_split[split] = level
        notes += [*_about_empty(f"{name}/", level), *_about_beside(root / name, level)]
    notes += _about_differences({str(split): set(level.folders) for split, level in by_split.items()})
    return _dataset(root, by_split, notes)


def _dataset(root: Path, levels: dict[str | None, _Level], notes: Sequence[str]) -> Dataset[Classes]:
    labels = tuple(sorted({name for level in levels.values() for name in level.folders}, key=natural_key))
    if not labels:
        raise BadDataset(
            f"{shown(root)}: expected folders of classes inside its splits, got none with images."
        )
    index_of = {label: index for index, label in enumerate(labels)}
    entries = tuple(
        Entry(image, (index_of[name],), split)
        for split, level in levels.items()
        for name, images in level.folders.items()
        for image in images
    )
    return Dataset(
        entries=entries,
        labels=labels,
        source=str(root),
        format="folder",
        root=root,
        truth_of=classes_of,
        notes=tuple(notes),
    )


def _level(folder: Path) -> _Level:
    """What lies in a folder, in natural order; names in Unicode's composed form (NFC)."""
    folders: dict[str, tuple[Path, ...]] = {}
    empty, beside = [], []
    try:
        children = sorted(folder.iterdir(), key=lambda child: natural_key(child.name))
    except OSError as error:
        raise BadDataset(
            f"{shown(folder)}: the folder cannot be listed: {error.strerror or error}."
        ) from error
    for child in children:
        if child.name.startswith(".") or child.name.lower() in _NEVER_CLASSES:
            continue
        if child.is_dir():
            name = unicodedata.normalize("NFC", child.name)
            images = tuple(image for image in images_in_folder(child) if image != child)
            if images:
                folders[name] = (*folders.get(name, ()), *images)
            else:
                empty.append(name)
        elif child.suffix.lower() in IMAGE_EXTENSIONS:
            beside.append(child)
    return _Level(folders, tuple(empty), tuple(beside))


def _about_empty(where: str, level: _Level) -> list[str]:
    if not level.empty:
        return []
    return [
        f"{len(level.empty)} folders in which no image is found are no classes: {_names(level.empty, where)}."
    ]


def _about_beside(folder: Path, level: _Level) -> list[str]:
    if not level.beside:
        return []
    names = _names([path.name for path in level.beside])
    return [f"{len(level.beside)} images beside the class folders of {shown(folder)} were left out: {names}."]


def _about_differences(labels_of: dict[str, set[str]]) -> list[str]:
    every = sorted(set().union(*labels_of.values()), key=natural_key)
    notes = []
    for split, labels in labels_of.items():
        lacking = [label for label in every if label not in labels]
        if lacking:
            notes.append(
                f"{len(lacking)} of {len(every)} classes have no image in {split}: {_names(lacking)}."
            )
    folded: dict[str, list[str]] = {}
    for label in every:
        folded.setdefault(label.casefold(), []).append(label)
    twins = [name for names in folded.values() if len(names) > 1 for name in names]
    if twins:
        notes.append(
            f"Classes whose names differ only in upper and lower case are kept apart: {_names(twins)}."
        )
    return notes


def _names(names: Iterable[str], where: str = "") -> str:
    """A few names for a message, safe to show."""
    every = [f"{where}{shown(name)}" for name in names]
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more
