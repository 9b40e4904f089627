"""COCO's JSON: boxes and masks with categories by identifier."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from signet.boxes import Boxes
from signet.cards import Task
from signet.datasets.annotations import Shape
from signet.datasets.assembling import Numbers, StatedImage, assembled
from signet.datasets.boundary import Folder, listed, number_of, read_document, size_of
from signet.datasets.dataset import SPLIT_NAMES, TRUTHS, Dataset
from signet.datasets.findings import Findings
from signet.errors import BadDataset, BadInput, BadRequest
from signet.instances import Instances
from signet.masks import Mask
from signet.naming import natural_key, shown

SECTIONS = ("images", "annotations", "categories")
"""The keys of a COCO file, each a list of objects."""

_IMAGE_FOLDERS = ("images", "JPEGImages", "imgs")
_HEAD_BYTES = 1 << 16
_DIGITS = re.compile(r"\d+$")
_PREFERRED = "instances"
_NUMBERS = frozenset((int, float))


@dataclass(slots=True)
class _Reading:
    """The files of a dataset while they are read: labels by name, images by path."""

    root: Folder
    images_root: Path
    findings: Findings = field(default_factory=Findings)
    labels: dict[str, int] = field(default_factory=dict)
    images: dict[Path, StatedImage] = field(default_factory=dict)


def from_coco(
    path: str | Path, *, images: str | Path | None = None, task: Task | None = None
) -> Dataset[Boxes] | Dataset[Instances]:
    """Read a COCO dataset: one JSON file, or a folder of them.

    A folder may hold `annotations/*.json`, JSON files beside the images, or one in each split's folder
    (`train/_annotations.coco.json`); where names begin with "instances" only those are taken. A split is
    what an image's own `split` says, else the word train, val or test in the file's name
    (`instances_val2017.json`), else the name of the file's folder.

    Labels are the categories in the order of their identifiers, gaps closed; several files share labels by
    name. A mask is a list of outlines, or run lengths as text or numbers. A dataset has the task "instances"
    where (nearly) all objects have a mask, else "detect". A box is left, top, width, height in pixels; where
    it is missing that of the mask counts. The rules for what is wrong are those of `assembling`.

    Args:
        path: the file or folder.
        images: the folder that `file_name` is relative to; None to look in the usual places.
        task: "detect" to read boxes only, "instances" to leave out objects without a mask.

    Raises:
        BadDataset: no COCO file, a section of the wrong type, boxes that are not what the format says, or no
            image is left.
    """
    if task not in (None, "detect", "instances"):
        raise BadRequest(f"task: expected 'detect' or 'instances' for a COCO dataset, got {task!r}.")
    place = Path(path)
    files = [place] if place.is_file() else coco_files(place)
    if not files:
        raise BadDataset(
            f"{shown(place)}: expected a COCO file (JSON with {', '.join(SECTIONS)}), got none in this "
            "folder or in its folder annotations."
        )
    top = place
    if place.is_file():
        top = place.parent.parent if place.parent.name == "annotations" else place.parent
    root = Path(images) if images is not None else top
    reading = _Reading(Folder(root), root)
    for file in files:
        _read_file(reading, file, own_images=images is not None)
    wanted = {"detect": False, "instances": True}.get(task or "")
    entries, masks = assembled(
        list(reading.images.values()), Numbers("xywh"), shown(place), reading.findings, masks=wanted
    )
    found: Task = "instances" if masks else "detect"
    return Dataset(
        entries=entries,
        labels=tuple(reading.labels),
        source=str(path),
        format="coco",
        root=root,
        truth_of=TRUTHS[found],
        task=found,
        exclusive=False,
        notes=reading.findings.notes,
    )


def coco_files(folder: Path) -> list[Path]:
    """The COCO files of a folder: those in `annotations`, its own, or those in its splits' folders."""
    for place in (folder / "annotations", folder):
        if place.is_dir():
            found = [file for file in listed(place) if looks_like_coco(file)]
            preferred = [file for file in found if file.name.lower().startswith(_PREFERRED)]
            if found:
                return preferred or found
    if not folder.is_dir():
        return []
    inner = [child for child in listed(folder) if child.is_dir() and child.name.lower() in SPLIT_NAMES]
    return [file for child in inner for file in listed(child) if looks_like_coco(file)]


def looks_like_coco(file: Path) -> bool:
    """Whether a file is JSON with two of COCO's sections; only its beginning and its end are read."""
    if file.suffix.lower() != ".json":
        return False
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
            stream.seek(max(file.stat().st_size - _HEAD_BYTES, 0))
            tail = stream.read(_HEAD_BYTES)
    except OSError:
        return False
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    return sum(f'"{name}"'.encode() in head + tail for name in SECTIONS) >= 2


def _read_file(reading: _Reading, file: Path, *, own_images: bool) -> None:
    stated = read_document(file, "a COCO file")
    sections = {name: _section(stated, name, file) for name in SECTIONS}
    index_of = _labels(reading, sections["categories"], file)
    split, word = _split_of(file)
    places = [reading.images_root]
    if not own_images:
        inner = [*_IMAGE_FOLDERS, word, split or "", *(f"images/{name}" for name in (word, split) if name)]
        places += [file.parent, *(reading.images_root / name for name in inner if name)]
    by_id: dict[Any, StatedImage] = {}
    unusable = set()
    for record in sections["images"]:
        identifier, name = record.get("id"), record.get("file_name")
        if not isinstance(identifier, int | str) or not isinstance(name, str) or not name:
            reading.findings.add("malformed", f"an image of {file.name}")
            continue
        found = reading.root.find(name, places, reading.findings)
        if found is None:
            unusable.add(identifier)
            continue
        if identifier in by_id or found in reading.images:
            reading.findings.add("listed twice", name)
            unusable.add(identifier)
            continue
        own = record.get("split")
        named_split = SPLIT_NAMES.get(own.lower(), own) if isinstance(own, str) and own else split
        image = StatedImage(found, named_split, size_of(record.get("width"), record.get("height")))
        by_id[identifier] = reading.images[found] = image
    for record in sections["annotations"]:
        identifier = record.get("image_id")
        image_or_none = by_id.get(identifier) if isinstance(identifier, int | str) else None
        if image_or_none is not None:
            _add_object(reading.findings, image_or_none, record, index_of)
        elif not isinstance(identifier, int | str) or identifier not in unusable:
            reading.findings.add("no image", f"image_id {str(identifier)[:40]}")


def _add_object(
    findings: Findings, image: StatedImage, record: Mapping[str, Any], index_of: Mapping[Any, int]
) -> None:
    name, category = image.path.name, record.get("category_id")
    index = index_of.get(category) if isinstance(category, int | str) else None
    if index is None:
        findings.add("unnamed", name)
        return
    stated = record.get("segmentation")
    try:
        shape = shape_of(stated)
    except BadInput:
        findings.add("bad mask", name)
        return
    box = _box(record.get("bbox"), shape)
    if box is None:
        findings.add("malformed", name)
        return
    area = number_of(record.get("area"))
    crowd = record.get("iscrowd") in (1, True)
    image.add(box, index, crowd=crowd, area=area if area is not None and area >= 0 else None, shape=shape)


def shape_of(stated: object) -> Shape | None:
    """An object's pixels as COCO states them: outlines or run lengths; None where there are none.

    Raises:
        BadInput: they are neither.
    """
    if stated is None or stated == []:
        return None
    if isinstance(stated, Mapping):
        return Mask.from_coco(stated)
    if not isinstance(stated, list):
        raise BadInput(f"a mask: expected outlines or run lengths, got {type(stated).__name__}.")
    rings = []
    for ring in stated:
        if (
            not isinstance(ring, list)
            or len(ring) < 6
            or len(ring) % 2
            or not _NUMBERS.issuperset(map(type, ring))
        ):
            raise BadInput("an outline: expected x and y of at least 3 points in turn, got something else.")
        try:
            points = np.array(ring, np.float64).reshape(-1, 2)
        except OverflowError as error:
            raise BadInput("an outline: expected points near an image, got values far from any.") from error
        if not np.isfinite(points).all():
            raise BadInput("an outline: expected finite numbers, got others.")
        rings.append(points)
    return tuple(rings)


def _box(stated: object, shape: Shape | None) -> tuple[float, float, float, float] | None:
    if isinstance(stated, list) and len(stated) == 4:
        left, top, width, height = (number_of(value) for value in stated)
        if left is None or top is None or width is None or height is None:
            return None
        return left, top, width, height
    if stated not in (None, []) or shape is None:
        return None
    if isinstance(shape, Mask):
        corners = shape.bounds
    else:
        points = np.concatenate(shape)
        corners = np.concatenate([points.min(axis=0), points.max(axis=0)])
    left, top, right, bottom = corners.tolist()
    return left, top, right - left, bottom - top


def _section(stated: Mapping[str, Any], name: str, file: Path) -> list[dict[str, Any]]:
    rows = stated.get(name)
    if rows is None and name == "annotations":
        return []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        came = "no such key" if rows is None else f"a {type(rows).__name__}"
        raise BadDataset(f"{shown(file)}: expected {name!r} to be a list of objects, got {came}.")
    return rows


def _labels(reading: _Reading, rows: Sequence[Mapping[str, Any]], file: Path) -> dict[Any, int]:
    """For each category's identifier the index of its label; labels are those of all files, by name."""
    index_of: dict[Any, int] = {}
    broken = [row for row in rows if not _is_category(row)]
    if broken or not rows:
        came = f"{shown(broken[0])[:80]}" if broken else "none"
        raise BadDataset(f"{shown(file)}: expected categories with an id and a name, got {came}.")
    named = set()
    for row in sorted(rows, key=lambda row: natural_key(str(row["id"]))):
        if row["id"] in index_of or row["name"] in named:
            reading.findings.add("same category", f"{row['name']} ({row['id']})")
        named.add(row["name"])
        if row["id"] not in index_of:
            index_of[row["id"]] = reading.labels.setdefault(row["name"], len(reading.labels))
    return index_of


def _is_category(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("id"), int | str) and isinstance(row.get("name"), str) and bool(row["name"])


def _split_of(file: Path) -> tuple[str | None, str]:
    """The split that a file's name or folder says, and the word that says it ("train2017")."""
    for word in _words(file):
        split = SPLIT_NAMES.get(_DIGITS.sub("", word).lower())
        if split:
            return split, word
    return None, ""


def _words(file: Path) -> Iterator[str]:
    yield from re.split(r"[^A-Za-z0-9]+", file.stem)[::-1]
    yield file.parent.name
