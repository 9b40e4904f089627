"""Which form a dataset has, and why it is taken for that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from signet.datasets.dataset import Dataset
from signet.datasets.from_coco import coco_files, from_coco
from signet.datasets.from_csv import TABLE_NAMES, columns_of, from_csv, has_needed_columns
from signet.datasets.from_folder import from_folder
from signet.datasets.from_masks import from_masks, holds_label_images, mask_folders, names_pairs
from signet.datasets.from_open_images import from_open_images, looks_like_table, tables_of
from signet.datasets.from_voc import CLASSES, IMAGES, annotation_files, from_voc
from signet.datasets.from_yolo import from_yolo, has_yolo_folders, settings_of
from signet.errors import BadDataset, UnknownName
from signet.naming import shown

FORMATS = {
    "folder": "a folder of classes",
    "csv": "a table of files and classes",
    "coco": "a COCO dataset",
    "yolo": "a YOLO dataset",
    "voc": "a Pascal VOC dataset",
    "voc-segments": "the label images of a Pascal VOC dataset",
    "open-images": "boxes of Open Images",
    "masks": "a folder of pictures and label images",
}
"""The formats by name, in words."""

_TABLE_EXTENSIONS = (".csv", ".tsv", ".txt")
_YAML_EXTENSIONS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a path was taken for.

    Attributes:
        format: a name of `FORMATS`.
        why: the reason, as the end of a sentence.
    """

    format: str
    why: str


def recognise(path: str | Path) -> Recognition:
    """Say which format a dataset has; only names and the beginnings of a few files are looked at.

    The first that fits: a table of files with classes, a COCO file, a YOLO settings file, folders of the
    Pascal VOC layout, a table of Open Images, images with YOLO's text files, pictures with label images, and
    else a folder of classes.

    Raises:
        BadDataset: there is nothing, or nothing that could be a dataset.
    """
    place = Path(path)
    if place.is_file():
        return _file(place)
    if not place.is_dir():
        raise BadDataset(
            f"{shown(place)}: expected a dataset ({_formats()}), got nothing: there is no such path."
        )
    beside = ""
    for name in TABLE_NAMES:
        if (place / name).is_file():
            if has_needed_columns(columns_of(place / name)):
                return Recognition("csv", f"the folder holds the table {name}")
            beside = f" (its {name} does not list files with classes)"
    return _objects(place) or Recognition("folder", f"it is a folder without a table of files{beside}")


def open_dataset(path: str | Path, format: str | None = None) -> Dataset[Any]:
    """Open a dataset in the format that it has, or in the one that is forced.

    Args:
        path: a folder, a table, a COCO file or YOLO's settings file.
        format: a name of `FORMATS`; None to recognise it.

    Returns:
        The dataset; its `task` says what its truth is, and the first of its `notes` as which format it was
        read, and why.

    Raises:
        BadDataset: it is no dataset, or not one of that format.
        UnknownName: no such format.
    """
    if format is not None and format not in FORMATS:
        raise UnknownName("dataset format", format, FORMATS, f"Known are {', '.join(FORMATS)}.")
    found = recognise(path) if format is None else Recognition(format, "the format was given")
    dataset: Dataset[Any]
    match found.format:
        case "csv":
            dataset = from_csv(path)
        case "coco":
            dataset = from_coco(path)
        case "yolo":
            dataset = from_yolo(path)
        case "voc":
            dataset = from_voc(path)
        case "voc-segments":
            dataset = from_voc(path, task="segment")
        case "open-images":
            dataset = from_open_images(path)
        case "masks":
            dataset = from_masks(path)
        case _:
            dataset = from_folder(path)
    said = f"Read as {FORMATS[found.format]}: {found.why}."
    return replace(dataset, notes=(said, *dataset.notes))


def _file(place: Path) -> Recognition:
    suffix = place.suffix.lower()
    if suffix == ".json":
        return Recognition("coco", "it is a file that ends in .json")
    if suffix in _YAML_EXTENSIONS:
        return Recognition("yolo", f"it is a file that ends in {place.suffix}")
    if looks_like_table(place):
        return Recognition("open-images", "its first line names the columns of Open Images")
    if suffix in _TABLE_EXTENSIONS:
        return Recognition("csv", f"it is a file that ends in {place.suffix}")
    raise BadDataset(
        f"{shown(place)}: expected a dataset ({_formats()}), got a file that ends in "
        f"{shown(place.suffix) or 'nothing'}. Name a folder, a table, a COCO file or YOLO's data.yaml, or "
        "force a format."
    )


def _objects(place: Path) -> Recognition | None:
    """The format of a folder of boxes, masks or label images, or None."""
    files = coco_files(place)
    if files:
        return Recognition("coco", f"{shown(files[0].name)} has the sections of a COCO file")
    settings = settings_of(place)
    if settings is not None:
        return Recognition("yolo", f"the folder holds {shown(settings.name)}")
    if annotation_files(place):
        return Recognition("voc", "it holds XML files of annotations")
    if (place / IMAGES).is_dir() and (place / CLASSES).is_dir():
        return Recognition("voc", f"it holds the folders {IMAGES} and {CLASSES}")
    tables = tables_of(place)
    if tables:
        return Recognition("open-images", f"{shown(tables[0].name)} has the columns of Open Images")
    if has_yolo_folders(place):
        return Recognition("yolo", "its folder labels holds text files of numbers")
    if names_pairs(place):
        return Recognition("masks", "its lists name a picture and a label image in each line")
    folders = [found for found in mask_folders(place) if holds_label_images(found[1])]
    if folders:
        images, labels, _ = folders[0]
        return Recognition("masks", f"{shown(images.name)} has label images in {shown(labels.name)}")
    return None


def _formats() -> str:
    return ", ".join(FORMATS.values())
