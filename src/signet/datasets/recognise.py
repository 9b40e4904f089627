"""Which form a dataset has, and why it is taken for that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from signet.datasets.dataset import Dataset
from signet.datasets.from_csv import TABLE_NAMES, columns_of, from_csv, has_needed_columns
from signet.datasets.from_folder import from_folder
from signet.errors import BadDataset, UnknownName
from signet.naming import shown
from signet.predictions import Classes

FORMATS = {"folder": "a folder of classes", "csv": "a table of files and classes"}
"""The formats by name, in words."""

_TABLE_EXTENSIONS = (".csv", ".tsv", ".txt")


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
    """Say which format a dataset has; only names and a table's first line are looked at.

    Raises:
        BadDataset: there is nothing, or nothing that could be a dataset.
    """
    place = Path(path)
    if place.is_file():
        if place.suffix.lower() in _TABLE_EXTENSIONS:
            return Recognition("csv", f"it is a file that ends in {place.suffix}")
        raise BadDataset(
            f"{shown(place)}: expected a dataset ({_formats()}), got a file that ends in "
            f"{shown(place.suffix) or 'nothing'}. Name a folder or a CSV file, or force a format."
        )
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
    return Recognition("folder", f"it is a folder without a table of files{beside}")


def open_dataset(path: str | Path, format: str | None = None) -> Dataset[Classes]:
    """Open a dataset in the format that it has, or in the one that is forced.

    Args:
        path: a folder or a table.
        format: "folder" or "csv"; None to recognise it.

    Returns:
        The dataset; the first of its `notes` says which format it was read as, and why.

    Raises:
        BadDataset: it is no dataset, or not one of that format.
        UnknownName: no such format.
    """
    if format is not None and format not in FORMATS:
        raise UnknownName("dataset format", format, FORMATS, f"Known are {', '.join(FORMATS)}.")
    found = recognise(path) if format is None else Recognition(format, "the format was given")
    match found.format:
        case "csv":
            dataset = from_csv(path)
        case _:
            dataset = from_folder(path)
    said = f"Read as {FORMATS[found.format]}: {found.why}."
    return replace(dataset, notes=(said, *dataset.notes))


def _formats() -> str:
    return " or ".join(FORMATS.values())
