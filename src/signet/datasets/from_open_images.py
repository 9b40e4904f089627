"""Open Images: tables of boxes in fractions, labels by identifier, images by identifier."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from signet.boxes import Boxes
from signet.datasets.assembling import Numbers, StatedImage, assembled
from signet.datasets.boundary import Folder, listed, parsed_number
from signet.datasets.dataset import SPLIT_NAMES, TRUTHS, Dataset
from signet.datasets.findings import Findings
from signet.errors import BadDataset
from signet.naming import natural_key, shown
from signet.sources import IMAGE_EXTENSIONS

NEEDED = frozenset(("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"))
"""The columns of a table of boxes."""

_HEAD_BYTES = 4096
_MOST_ROWS = 50_000_000
_NO_OBJECT = "0"
_CORNERS = ("XMin", "YMin", "XMax", "YMax")


@dataclass(slots=True)
class _Reading:
    """A dataset while it is read."""

    root: Folder
    words: dict[str, str]
    findings: Findings = field(default_factory=Findings)
    images: dict[str, StatedImage | None] = field(default_factory=dict)
    rows: list[tuple[StatedImage, tuple[float, float, float, float], str, bool]] = field(default_factory=list)


def from_open_images(path: str | Path) -> Dataset[Boxes]:
    """Read boxes of Open Images: one table, or a folder of them.

    Tables have the columns ImageID, LabelName, XMin, XMax, YMin and YMax (fractions of the image); rows whose
    IsGroupOf is 1 stand for many objects and become `crowd`. The split is the word train, validation or test
    in the table's name. Names of labels are those of `class-descriptions*.csv`, else the identifiers
    themselves; labels are those that occur, in natural order. The image of an ID is `ID.jpg` (or another
    extension) beside the tables, in `images`, in the split's folder, or in both. Images that only lie there,
    without a row, are not in the dataset.

    A box outside 0 to 1 is left out while there are few; where there are many the dataset is refused. The
    other rules are those of `assembling`.

    Raises:
        BadDataset: no table of boxes, numbers that are no fractions or no corners, or no image is left.
    """
    place = Path(path)
    top = place.parent if place.is_file() else place
    tables = [place] if place.is_file() else tables_of(place)
    if not tables:
        raise BadDataset(
            f"{shown(place)}: expected a table of boxes (CSV with {', '.join(sorted(NEEDED))}), got none."
        )
    reading = _Reading(Folder(top), _descriptions(top))
    for table in tables:
        _read_table(reading, table)
    labels = sorted({label for _, _, label, _ in reading.rows}, key=natural_key)
    index_of = {label: index for index, label in enumerate(labels)}
    for image, box, label, group in reading.rows:
        image.add(box, index_of[label], crowd=group)
    images = [image for image in reading.images.values() if image is not None]
    entries, _ = assembled(
        images, Numbers("xyxy", fractions=True), shown(place), reading.findings, masks=False
    )
    return Dataset(
        entries=entries,
        labels=tuple(labels),
        source=str(path),
        format="open-images",
        root=top,
        truth_of=TRUTHS["detect"],
        task="detect",
        exclusive=False,
        notes=reading.findings.notes,
    )


def tables_of(folder: Path) -> list[Path]:
    """The tables of boxes in a folder."""
    return [file for file in listed(folder) if looks_like_table(file)]


def looks_like_table(file: Path) -> bool:
    """Whether a file's first line names the columns of a table of boxes."""
    if file.suffix.lower() != ".csv" or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            head = stream.readline(_HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    return set(head.strip().split(",")) >= NEEDED


def _rows_of(file: Path, columns: bool) -> Iterator[list[str]]:
    """The rows of a table as they come, so that a table of gigabytes needs no memory."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            for number, row in enumerate(csv.reader(stream)):
                if number > _MOST_ROWS:
                    raise BadDataset(f"{shown(file)}: expected at most {_MOST_ROWS:,} rows, got more.")
                if number or columns:
                    yield row
    except (OSError, csv.Error) as error:
        raise BadDataset(f"{shown(file)}: the table cannot be read: {shown(error)}.") from error


def _descriptions(folder: Path) -> dict[str, str]:
    files = [file for file in listed(folder) if file.name.lower().startswith("class-descriptions")]
    found: dict[str, str] = {}
    for file in files:
        for row in _rows_of(file, columns=True):
            if len(row) >= 2 and row[0] != "LabelName":
                found.setdefault(row[0].strip(), row[1].strip())
    return found


def _read_table(reading: _Reading, table: Path) -> None:
    split, word = _split_of(table)
    places = _places(reading.root.path, table, split, word)
    position: dict[str, int] = {}
    for row in _rows_of(table, columns=True):
        if not position:
            position = {name.strip(): place for place, name in enumerate(row)}
            continue
        cells = {name: row[place].strip() for name, place in position.items() if place < len(row)}
        identifier = cells.get("ImageID", "")
        if not identifier:
            reading.findings.add("malformed", f"{table.name}: a row without an ImageID")
            continue
        if identifier not in reading.images:
            reading.images[identifier] = _image_of(reading, identifier, places, split)
        image = reading.images[identifier]
        if image is None:
            continue
        left, top, right, bottom = (parsed_number(cells.get(name)) for name in _CORNERS)
        label = cells.get("LabelName", "")
        if left is None or top is None or right is None or bottom is None:
            reading.findings.add("malformed", f"{table.name}: {identifier}")
        elif not label:
            reading.findings.add("unnamed", f"{table.name}: {identifier}")
        else:
            group = cells.get("IsGroupOf", _NO_OBJECT) == "1"
            reading.rows.append((image, (left, top, right, bottom), reading.words.get(label, label), group))


def _image_of(
    reading: _Reading, identifier: str, places: list[Path], split: str | None
) -> StatedImage | None:
    for suffix in ("", ".jpg", ".jpeg", ".png", *sorted(IMAGE_EXTENSIONS)):
        for place in places:
            file = place / f"{identifier}{suffix}"
            if Path(file.name).suffix.lower() in IMAGE_EXTENSIONS and _is_file(file):
                found = reading.root.find(f"{identifier}{suffix}", (place,), reading.findings)
                return StatedImage(found, split) if found is not None else None
    reading.root.find(identifier, places, reading.findings)
    return None


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False


def _places(top: Path, table: Path, split: str | None, word: str) -> list[Path]:
    names = [name for name in dict.fromkeys((word, split)) if name]
    inner = [top / "images" / name for name in names] + [top / name for name in names]
    inner += [top / name / "data" for name in names]
    return [place for place in (table.parent, top / "images", *inner) if place.is_dir()]


def _split_of(table: Path) -> tuple[str | None, str]:
    for word in re.split(r"[^A-Za-z]+", table.stem):
        if word.lower() in SPLIT_NAMES:
            return SPLIT_NAMES[word.lower()], word
    return None, ""
