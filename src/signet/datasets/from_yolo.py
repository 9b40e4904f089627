"""YOLO's text files: one a picture, one object a line, in fractions of the picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from signet.boxes import Boxes, Doubles
from signet.cards import Task
from signet.datasets.assembling import Numbers, StatedImage, assembled
from signet.datasets.boundary import (
    Folder,
    is_relative,
    listed,
    names_of,
    parsed_number,
    read_lines,
    read_yaml,
)
from signet.datasets.dataset import SPLIT_NAMES, TRUTHS, Dataset
from signet.datasets.findings import Findings
from signet.datasets.labels import read_labels, read_text
from signet.errors import BadDataset, BadRequest
from signet.instances import Instances
from signet.naming import shown

SETTINGS_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
"""What the settings file of a YOLO folder may be called."""

NAME_LISTS = ("classes.txt", "obj.names", "names.txt", "labels.txt")
"""What the list of label names may be called; also inside `labels`."""

_IMAGES, _LABELS = "images", "labels"
_SPLIT_KEYS = ("train", "val", "valid", "validation", "test")
_MOST_LINE = 1 << 20


@dataclass(slots=True)
class _Reading:
    """A dataset while it is read."""

    root: Folder
    findings: Findings = field(default_factory=Findings)
    names: dict[int, str] = field(default_factory=dict)
    named: bool = False


def from_yolo(path: str | Path, *, task: Task | None = None) -> Dataset[Boxes] | Dataset[Instances]:
    """Read a YOLO dataset: a folder, or its `data.yaml`.

    With a `data.yaml` its `train`, `val` and `test` (folders, or lists of files) are the splits and its
    `names` the labels. Without one the images lie in `images/` and the labels in `labels/`, by the same
    names, with folders for splits inside (`images/train`) or outside (`train/images`), or labels lie beside
    the images; label names stand one a line in `classes.txt`. Where nothing names the labels they are
    "class 0", "class 1" ...

    A line is a label's number and then either centre x, centre y, width, height, or at least three points of
    an outline, in fractions of the upright image. A dataset has the task "instances" where (nearly) all
    lines are outlines, else "detect", with the outlines' boxes. An image without a file of labels shows
    nothing; that is counted. Lines with numbers outside 0 to 1 are left out while they are few; where they
    are many the dataset is refused. The other rules are those of `assembling`.

    Raises:
        BadDataset: no such folder, no label file, numbers that are no fractions or that are corners, or no
            image is left.
    """
    if task not in (None, "detect", "instances"):
        raise BadRequest(f"task: expected 'detect' or 'instances' for a YOLO dataset, got {task!r}.")
    place = Path(path)
    settings = place if place.is_file() else settings_of(place)
    top = place.parent if place.is_file() else place
    if not top.is_dir():
        raise BadDataset(f"{shown(top)}: expected a folder with images and labels, got no folder.")
    reading = _Reading(Folder(top))
    if settings is not None:
        pictures = list(_from_settings(reading, settings))
    else:
        pictures = list(_from_folders(reading))
        _read_names(reading)
    seen: dict[Path, StatedImage] = {}
    for split, image in pictures:
        if image in seen:
            reading.findings.add("listed twice", image.name)
        else:
            seen[image] = StatedImage(image, split)
    labelled = sum(_read_labels_of(reading, image) for image in seen.values())
    if seen and not labelled:
        raise BadDataset(
            f"{shown(top)}: expected a text file of labels for each image (images/a.jpg has labels/a.txt), "
            f"got none for {len(seen)} images."
        )
    wanted = {"detect": False, "instances": True}.get(task or "")
    entries, masks = assembled(
        list(seen.values()), Numbers("cxcywh", fractions=True), shown(place), reading.findings, masks=wanted
    )
    found: Task = "instances" if masks else "detect"
    count = max(reading.names, default=-1) + 1
    return Dataset(
        entries=entries,
        labels=tuple(reading.names.get(index) or f"class {index}" for index in range(count)),
        source=str(path),
        format="yolo",
        root=top,
        truth_of=TRUTHS[found],
        task=found,
        exclusive=False,
        indices_given=not reading.named,
        notes=reading.findings.notes,
    )


def settings_of(folder: Path) -> Path | None:
    """The settings file of a YOLO folder, if it has one."""
    return next((folder / name for name in SETTINGS_NAMES if (folder / name).is_file()), None)


def has_yolo_folders(folder: Path) -> bool:
    """Whether a folder holds images and labels as YOLO has them, with at least one file of labels."""
    return any(
        True for labels in _label_folders(folder) for file in _text_files(labels) if looks_like_labels(file)
    )


def looks_like_labels(file: Path) -> bool:
    """Whether the first line of a text file is a number and then at least four others."""
    if file.name in NAME_LISTS:
        return False
    try:
        with file.open("rb") as stream:
            words = stream.readline(_MOST_LINE).decode("ascii", errors="replace").split()
    except OSError:
        return False
    return len(words) >= 5 and words[0].isdigit() and all(parsed_number(word) is not None for word in words)


def _label_folders(folder: Path) -> Iterator[Path]:
    if (folder / _IMAGES).is_dir() and (folder / _LABELS).is_dir():
        yield folder / _LABELS
        yield from (child for child in listed(folder / _LABELS) if child.is_dir())
    for child in listed(folder):
        if child.name.lower() in SPLIT_NAMES and (child / _IMAGES).is_dir() and (child / _LABELS).is_dir():
            yield child / _LABELS


def _text_files(folder: Path) -> list[Path]:
    return [child for child in listed(folder) if child.suffix.lower() == ".txt"][:20]


def _from_settings(reading: _Reading, file: Path) -> Iterator[tuple[str | None, Path]]:
    settings = read_yaml(file)
    if "names" in settings:
        reading.names = names_of(settings["names"], file)
        reading.named = True
        stated = settings.get("nc")
        if isinstance(stated, int) and stated != len(reading.names):
            raise BadDataset(
                f"{shown(file)}: expected as many names as `nc` says, which is {stated}, got "
                f"{len(reading.names)}. One of the two is wrong; correct it, or leave `nc` out."
            )
    if any(not 0 <= index < 1_000_000 for index in reading.names):
        raise BadDataset(f"{shown(file)}: expected label numbers from 0 on, got {min(reading.names)}.")
    base = settings.get("path")
    base = base if isinstance(base, str) and is_relative(base) else ""
    found = False
    for key in _SPLIT_KEYS:
        stated = settings.get(key)
        for name in [stated] if isinstance(stated, str) else stated if isinstance(stated, list) else []:
            if not isinstance(name, str):
                raise BadDataset(f"{shown(file)}: expected {key!r} to be a folder, got {shown(name)[:80]}.")
            found = True
            yield from ((SPLIT_NAMES[key], image) for image in _images_at(reading, name, base))
    if not found:
        yield from _from_folders(reading)


def _images_at(reading: _Reading, name: str, base: str) -> Iterable[Path]:
    """The images of a folder, or of a list of files, that the settings name."""
    top = reading.root.path
    clean = name.replace("\\", "/")
    # Exports write ../train/images for what lies at train/images, beside the settings.
    inner = PurePosixPath(
        *(part for part in PurePosixPath(clean).parts if part not in ("..", "."))
    ).as_posix()
    if not is_relative(inner):
        if PurePosixPath(clean).parts not in ((".",), ()):
            reading.findings.add("leaving", name)
            return []
        inner = "."
    for place in dict.fromkeys((top / base / inner, top / inner)):
        if place.is_dir() and (place == top or reading.root.holds(place)):
            return reading.root.images(place, reading.findings)
        if place.is_file() and reading.root.holds(place):
            return _listed_images(reading, place, (place.parent, top / base, top))
    reading.findings.add("missing", name)
    return []


def _listed_images(reading: _Reading, file: Path, places: tuple[Path, ...]) -> list[Path]:
    lines = [line.strip() for line in read_text(file, "a list of images").splitlines()]
    names = [line.removeprefix("./") for line in lines if line]
    found = (reading.root.find(name, places, reading.findings) for name in names)
    return [image for image in found if image is not None]


def _from_folders(reading: _Reading) -> Iterator[tuple[str | None, Path]]:
    top = reading.root.path
    splits = [child for child in listed(top) if child.is_dir() and child.name.lower() in SPLIT_NAMES]
    if (top / _IMAGES).is_dir():
        for image in reading.root.images(top / _IMAGES, reading.findings):
            first = image.relative_to(top / _IMAGES).parts[0].lower()
            yield SPLIT_NAMES.get(first), image
    elif splits:
        for folder in splits:
            inner = folder / _IMAGES if (folder / _IMAGES).is_dir() else folder
            for image in reading.root.images(inner, reading.findings):
                yield SPLIT_NAMES[folder.name.lower()], image
    else:
        yield from ((None, image) for image in reading.root.images(top, reading.findings))


def _read_names(reading: _Reading) -> None:
    top = reading.root.path
    for folder in (top, top / _LABELS):
        for name in NAME_LISTS:
            if (folder / name).is_file() and not looks_like_labels(folder / name):
                reading.names = dict(enumerate(read_labels(folder / name)))
                reading.named = True
                return


def _label_file(reading: _Reading, image: Path) -> Path | None:
    """The file of labels of an image: `labels` for the last `images` in its path, else beside it."""
    parts = list(image.relative_to(reading.root.path).parts)
    beside = image.with_suffix(".txt")
    if _IMAGES in parts[:-1]:
        last = len(parts) - 2 - parts[:-1][::-1].index(_IMAGES)
        parts[last] = _LABELS
        other = reading.root.path.joinpath(*parts).with_suffix(".txt")
        return next((file for file in (other, beside) if file.is_file()), None)
    return beside if beside.is_file() else None


def _read_labels_of(reading: _Reading, image: StatedImage) -> bool:
    """Add an image's objects; whether it has a file of labels."""
    file = _label_file(reading, image.path)
    if file is None or not reading.root.holds(file):
        reading.findings.add("no labels" if file is None else "leaving", image.path.name)
        return False
    for line in read_lines(file):
        words = line.split()
        if not words:
            continue
        numbers = [parsed_number(word) for word in words[:100_000]]
        values = [number for number in numbers if number is not None]
        outline = len(words) >= 7 and len(words) % 2 == 1
        index = int(values[0]) if values and values[0] == int(values[0]) else -1
        if len(values) != len(words) or index < 0 or not (len(words) == 5 or outline):
            reading.findings.add("malformed", file.name)
        elif not _knows(reading, index):
            reading.findings.add("unnamed", file.name)
        elif outline:
            _add_outline(image, np.array(values[1:]).reshape(-1, 2), index)
        else:
            image.add((values[1], values[2], values[3], values[4]), index)
    return True


def _knows(reading: _Reading, index: int) -> bool:
    if reading.named:
        return index in reading.names
    if index < 100_000:
        reading.names.setdefault(index, f"class {index}")
    return index in reading.names


def _add_outline(image: StatedImage, ring: Doubles, index: int) -> None:
    low, high = ring.min(axis=0), ring.max(axis=0)
    center, sides = (low + high) / 2, high - low
    image.add((*center.tolist(), *sides.tolist()), index, shape=(ring,))
