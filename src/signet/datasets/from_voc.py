"""Pascal VOC: an XML file of boxes for each image, lists of names for splits, and label images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from signet.boxes import Boxes
from signet.cards import Task
from signet.datasets.assembling import Numbers, StatedImage, assembled
from signet.datasets.boundary import Folder, is_relative, listed, parsed_number, read_xml, size_of
from signet.datasets.dataset import SPLIT_NAMES, TRUTHS, Dataset
from signet.datasets.findings import Findings
from signet.datasets.from_masks import Pair, from_pairs
from signet.datasets.labels import read_labels, read_text
from signet.errors import BadDataset, BadRequest
from signet.naming import natural_key, shown
from signet.segments import SegmentMap
from signet.sources import IMAGE_EXTENSIONS

ANNOTATIONS, IMAGES, SETS, CLASSES = "Annotations", "JPEGImages", "ImageSets", "SegmentationClass"
"""The folders of the VOC layout."""

SEGMENT_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""What the values 0 to 20 of VOC's own label images mean. Source: The PASCAL VOC2012 Development Kit, 3.1."""

_NAME_LISTS = ("labels.txt", "classes.txt")
_MOST_OBJECTS = 100_000
_Corners = tuple[float, float, float, float]


@dataclass(slots=True)
class _Reading:
    """A dataset while it is read. Whether its corners count from 0 or from 1 shows at the end."""

    root: Folder
    findings: Findings = field(default_factory=Findings)
    names: list[str] = field(default_factory=list)
    objects: list[tuple[StatedImage, _Corners, str, bool]] = field(default_factory=list)
    images: dict[Path, StatedImage] = field(default_factory=dict)


def from_voc(path: str | Path, *, task: Task | None = None) -> Dataset[Boxes] | Dataset[SegmentMap]:
    """Read a Pascal VOC dataset: a folder with `Annotations` and `JPEGImages`, or XML beside the images.

    Splits are the lists `ImageSets/Main/train.txt`, `val.txt`, `test.txt`; an image in none of them has no
    split. Labels are the names that occur, in natural order, or those of a `labels.txt` or `classes.txt`.

    - Corners: VOC counts pixels from 1 and includes the last one, so a box is left = xmin - 1, top =
      ymin - 1, right = xmax, bottom = ymax. Where more boxes begin at 0 than at 1 the files count from 0 and
      state edges, and their numbers are taken as they are; `notes` say so.
    - An object that is "difficult" becomes `crowd`: finding it, or not, counts for nothing, as VOC has it.
    - Label images (`SegmentationClass`, 255 unlabelled) are read where there are no XML files, or when
      `task` is "segment"; where there are both and boxes are read, `notes` say so. Their splits are the lists
      in `ImageSets/Segmentation`.

    The rules for what is wrong are those of `assembling`.

    Raises:
        BadDataset: no such folders, boxes that are not what the format says, or no image is left.
        MissingExtra: defusedxml is not installed.
    """
    if task not in (None, "detect", "segment"):
        raise BadRequest(f"task: expected 'detect' or 'segment' for a Pascal VOC dataset, got {task!r}.")
    top = Path(path)
    if not top.is_dir():
        raise BadDataset(f"{shown(top)}: expected a folder in the Pascal VOC layout, got no folder.")
    files = annotation_files(top)
    if task == "segment" or (task is None and not files):
        return _segments(top, CLASSES if task else f"{ANNOTATIONS} or {CLASSES}")
    if not files:
        raise BadDataset(
            f"{shown(top)}: expected XML files in {ANNOTATIONS} or beside the images, got none that is one."
        )
    reading = _Reading(Folder(top))
    _read_names(reading)
    splits = _splits(reading, "Main")
    for file in files:
        _read_file(reading, file, splits)
    notes = _add_objects(reading)
    if task is None and (top / CLASSES).is_dir():
        notes.append(
            f"The label images in {CLASSES} are not read: the format 'voc-segments' is that of them."
        )
    entries, _ = assembled(
        list(reading.images.values()), Numbers("xyxy"), shown(top), reading.findings, masks=False
    )
    return Dataset(
        entries=entries,
        labels=tuple(reading.names),
        source=str(path),
        format="voc",
        root=top,
        truth_of=TRUTHS["detect"],
        task="detect",
        exclusive=False,
        notes=(*notes, *reading.findings.notes),
    )


def annotation_files(folder: Path) -> list[Path]:
    """The XML files of a VOC folder: those in `Annotations`, else beside images, also in splits' folders."""
    inner = folder / ANNOTATIONS
    if inner.is_dir():
        return [file for file in listed(inner) if file.suffix.lower() == ".xml"]
    found: list[Path] = []
    for place in (folder, *(child for child in listed(folder) if child.name.lower() in SPLIT_NAMES)):
        if place.is_dir():
            found += [file for file in listed(place) if _looks_like_voc(file)]
    return found


def _looks_like_voc(file: Path) -> bool:
    if file.suffix.lower() != ".xml":
        return False
    try:
        with file.open("rb") as stream:
            return b"<annotation" in stream.read(4096)
    except OSError:
        return False


def _read_names(reading: _Reading) -> None:
    for name in _NAME_LISTS:
        if (reading.root.path / name).is_file():
            reading.names = [label for label in read_labels(reading.root.path / name) if label]
            return


def _splits(reading: _Reading, kind: str) -> dict[str, str]:
    """For each name in a split's list its split; a name in two lists keeps the first."""
    folder = reading.root.path / SETS / kind
    found: dict[str, str] = {}
    if not folder.is_dir():
        return found
    for file in listed(folder):
        split = SPLIT_NAMES.get(file.stem.lower()) if file.suffix.lower() == ".txt" else None
        for line in read_text(file, "a list of names").splitlines() if split else ():
            name = line.split()[0] if line.split() else ""
            if name and split:
                found.setdefault(name, split)
    return found


def _read_file(reading: _Reading, file: Path, splits: dict[str, str]) -> None:
    if not reading.root.holds(file):
        reading.findings.add("leaving", file.name)
        return
    try:
        root = read_xml(file)
    except BadDataset:
        reading.findings.add("malformed", file.name)
        return
    image = _image_of(reading, root, file)
    if image is None:
        return
    if image in reading.images:
        reading.findings.add("listed twice", image.name)
        return
    split = splits.get(file.stem) or SPLIT_NAMES.get(file.parent.name.lower())
    size = size_of(parsed_number(root.findtext("size/width")), parsed_number(root.findtext("size/height")))
    stated = reading.images[image] = StatedImage(image, split, size)
    for place, item in enumerate(root.iter("object")):
        corners = tuple(
            parsed_number(item.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")
        )
        left, top, right, bottom = corners
        label = (item.findtext("name") or "").strip()
        if left is None or top is None or right is None or bottom is None or place >= _MOST_OBJECTS:
            reading.findings.add("malformed", file.name)
        elif not label:
            reading.findings.add("unnamed", file.name)
        else:
            difficult = (item.findtext("difficult") or "").strip() == "1"
            reading.objects.append((stated, (left, top, right, bottom), label, difficult))


def _image_of(reading: _Reading, root: Element, file: Path) -> Path | None:
    """The image of an annotation: by its `filename`, else by the annotation's own name."""
    named = (root.findtext("filename") or "").strip()
    places = (reading.root.path / IMAGES, reading.root.path / "images", file.parent, reading.root.path)
    if named and not is_relative(named):
        reading.findings.add("leaving", named)
        return None
    # An editor may have renamed the files after `filename` was written: the annotation's own name goes first.
    for place in places:
        for suffix in (Path(named).suffix, ".jpg", ".jpeg", ".png", *sorted(IMAGE_EXTENSIONS)):
            if suffix and (place / f"{file.stem}{suffix}").is_file():
                return reading.root.find(f"{file.stem}{suffix}", (place,), reading.findings)
    return reading.root.find(named or f"{file.stem}.jpg", places, reading.findings)


def _add_objects(reading: _Reading) -> list[str]:
    """Give the images their objects; the sentences that say from what the files count."""
    corners = np.array([box for _, box, _, _ in reading.objects], np.float64).reshape(-1, 4)[:, :2]
    from_zero = int((corners == 0).any(axis=1).sum())
    shift = 0.0 if from_zero > int((corners == 1).any(axis=1).sum()) else 1.0
    given = bool(reading.names)
    if not given:
        reading.names = sorted({label for _, _, label, _ in reading.objects}, key=natural_key)
    index_of = {label: index for index, label in enumerate(reading.names)}
    for image, (left, top, right, bottom), label, difficult in reading.objects:
        if label not in index_of:
            reading.findings.add("unnamed", image.path.name)
            continue
        # The first pixel is the smaller one, also where the corners are swapped.
        x_shifts = (shift, 0.0) if left - shift <= right else (0.0, shift)
        y_shifts = (shift, 0.0) if top - shift <= bottom else (0.0, shift)
        box = (left - x_shifts[0], top - y_shifts[0], right - x_shifts[1], bottom - y_shifts[1])
        image.add(box, index_of[label], crowd=difficult)
    crowd = sum(difficult for *_, difficult in reading.objects)
    notes = [f"{crowd:,} difficult objects count neither as found nor as missed."] if crowd else []
    if not shift:
        notes.append(
            f"Corners are counted from 0: {from_zero:,} boxes begin at 0, where Pascal VOC counts from 1."
        )
    return notes


def _segments(top: Path, expected: str) -> Dataset[SegmentMap]:
    folder = top / CLASSES
    if not folder.is_dir():
        raise BadDataset(f"{shown(top)}: expected the folder {expected}, and there is none.")
    reading = _Reading(Folder(top))
    _read_names(reading)
    splits = _splits(reading, "Segmentation")
    pairs = list(_pairs(reading, folder, splits))
    names: Sequence[str] = reading.names or SEGMENT_NAMES
    return from_pairs(pairs, names, top, reading.findings, format="voc")


def _pairs(reading: _Reading, folder: Path, splits: dict[str, str]) -> Iterator[Pair]:
    for mask in listed(folder):
        if mask.suffix.lower() not in IMAGE_EXTENSIONS or not reading.root.holds(mask):
            continue
        image: Any = None
        for suffix in (".jpg", ".jpeg", ".png"):
            if (reading.root.path / IMAGES / f"{mask.stem}{suffix}").is_file():
                image = reading.root.find(
                    f"{mask.stem}{suffix}", (reading.root.path / IMAGES,), reading.findings
                )
                break
        if image is None:
            reading.findings.add("alone", mask.name)
        else:
            yield Pair(image, mask, splits.get(mask.stem))
