"""What the values of label images mean: tables of names, numbers and colours, and what holds without one."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from signet.arrays import Integers
from signet.datasets.annotations import ValueTable, packed_colours
from signet.datasets.findings import named
from signet.datasets.labels import delimiter_of, read_labels, read_text
from signet.errors import BadDataset
from signet.naming import shown
from signet.segments import UNLABELLED

TABLES = ("classes.csv", "class_dict.csv", "labelmap.csv", "colors.csv", "colours.csv", "labels.csv")
TEXTS = ("labelmap.txt", "classes.txt", "labels.txt", "label_colors.txt", "object_info.txt")
"""What a table of label names may be called."""

_NAMES = ("name", "label", "class", "class_name")
_VALUES = ("value", "index", "class_index", "id")
_COLOURS = (("r", "g", "b"), ("red", "green", "blue"))
_BACKGROUND = ("background", "_background_", "__background__", "bg")
_UNLABELLED = ("unlabelled", "unlabeled", "void", "ignore", "ignored")
_MOST_LABELS = 1 << 16

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class LabelNames:
    """Names as a table states them.

    Attributes:
        labels: the name of each value of grey and indexed label images, or of each position.
        colours: the colour of each, where the table states them.
    """

    labels: dict[int, str] = field(default_factory=dict)
    colours: dict[int, Colour] = field(default_factory=dict)


def read_names(folder: Path, file: Path | None = None) -> LabelNames:
    """The label names of a folder of label images, from a file, or from the first that has a usual name.

    - a `.csv` has the columns `name` (or label, class), and perhaps `value` (or index) and `r`, `g`, `b`;
    - a text has a name a line, or `name:r,g,b` (then what stands behind it is ignored), or `r g b name`;
      a line that begins with # is a remark.

    Raises:
        BadDataset: the file cannot be read as such a table.
    """
    if file is None:
        every = [folder / name for name in (*TABLES, *TEXTS)]
        file = next((place for place in every if place.is_file()), None)
    if file is None:
        return LabelNames()
    if file.suffix.lower() in (".csv", ".tsv"):
        return _from_table(file)
    lines = [line.strip() for line in read_text(file, "a table of label names").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    parsed = [_name_and_colour(line) for line in lines]
    if parsed and all(parsed):
        return _numbered([row for row in parsed if row is not None], file)
    names = [name for name in read_labels(file) if not name.startswith("#")]
    return LabelNames(dict(enumerate(names)))


def table_of(
    seen: Sequence[Integers], names: LabelNames, *, colours: bool, unlabelled: int, where: str
) -> tuple[tuple[str, ...], ValueTable, list[str]]:
    """The labels, what each value means, and what a person should know of that; see `from_masks`.

    Args:
        seen: the distinct values of each label image.
        names: what a table states; may be empty.
        colours: whether the values are packed colours.
        unlabelled: the value that stands for no label.
        where: the dataset, for messages.

    Raises:
        BadDataset: colours without a table of colours, or more labels than any dataset has.
    """
    every = np.unique(np.concatenate(seen)).tolist() if seen else []
    if colours:
        return _coloured(names, every, where)
    notes = []
    if not names.labels and set(every) == {0, 255} and unlabelled == 255:
        notes.append("The values 0 and 255 are read as background and foreground.")
        return ("background", "foreground"), _table({0: 0, 255: 1}, ("background", "foreground")), notes
    stated = {value: name for value, name in names.labels.items() if value != unlabelled}
    skipped = {value for value, name in stated.items() if name.lower() in _UNLABELLED}
    if not stated:
        highest = max((value for value in every if value != unlabelled), default=0)
        if highest >= _MOST_LABELS:
            raise BadDataset(f"{where}: expected values from 0 to {_MOST_LABELS - 1}, got {highest}.")
        stated = {value: f"class {value}" for value in range(highest + 1)}
        notes.append(f"Nothing names the values; labels are called class 0 to class {highest}.")
    strange = [value for value in every if value not in stated and value != unlabelled]
    if strange == [len(stated)] and max(stated) == len(stated) - 1:
        notes.append(f"The value {strange[0]}, one above the last name, is read as unlabelled.")
        skipped.add(strange[0])
    kept = sorted(value for value in stated if value not in skipped)
    labels = tuple(stated[value] for value in kept)
    places = {value: place for place, value in enumerate(kept)}
    return labels, _table({**places, **dict.fromkeys(skipped | {unlabelled}, UNLABELLED)}, labels), notes


def _coloured(
    names: LabelNames, every: Sequence[int], where: str
) -> tuple[tuple[str, ...], ValueTable, list[str]]:
    if not names.colours:
        some = named(f"({value >> 16}, {value >> 8 & 255}, {value & 255})" for value in every)
        raise BadDataset(
            f"{where}: expected a table of colours for label images in colour ({TABLES[0]} with the columns "
            f"name, r, g, b), got none. The colours are {some}."
        )
    labels: list[str] = []
    meaning: dict[int, int] = {}
    for value in sorted(names.colours):
        name, colour = names.labels[value], names.colours[value]
        if name.lower() in _UNLABELLED:
            meaning[packed_colours([colour])[0]] = UNLABELLED
            continue
        if name not in labels:
            labels.append(name)
        meaning[packed_colours([colour])[0]] = labels.index(name)
    return tuple(labels), _table(meaning, tuple(labels), colours=True), []


def _table(meaning: dict[int, int], labels: tuple[str, ...], *, colours: bool = False) -> ValueTable:
    values = sorted(meaning)
    background = next((place for place, name in enumerate(labels) if name.lower() in _BACKGROUND), None)
    return ValueTable(
        np.array(values, np.int32),
        np.array([meaning[value] for value in values], np.int32),
        colours=colours,
        background=background,
    )


def _from_table(file: Path) -> LabelNames:
    text = read_text(file, "a table of label names")
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True))
    except csv.Error as error:
        raise BadDataset(f"{shown(file)}: the table breaks the rules of CSV ({shown(error)}).") from error
    cells = [{str(key).strip().lower(): str(cell).strip() for key, cell in row.items()} for row in rows]
    have = set(cells[0]) if cells else set()
    name = next((column for column in _NAMES if column in have), None)
    if name is None or len(cells) > _MOST_LABELS:
        raise BadDataset(
            f"{shown(file)}: expected a table with a column name (and perhaps value, or r, g and b), got "
            f"{named(sorted(have)) or 'nothing'}."
        )
    value = next((column for column in _VALUES if column in have), None)
    colour = next((columns for columns in _COLOURS if have.issuperset(columns)), None)
    labels: dict[int, str] = {}
    colours: dict[int, Colour] = {}
    for place, row in enumerate(cells):
        try:
            key = int(row[value]) if value else place
            labels[key] = row[name]
            if colour:
                colours[key] = _colour([row[column] for column in colour])
        except (ValueError, KeyError) as error:
            raise BadDataset(
                f"{shown(file)}, row {place + 2}: expected whole numbers for values and 0 to 255 for "
                f"colours, got {shown(list(row.values()))[:80]}."
            ) from error
    return LabelNames(labels, colours)


def _name_and_colour(line: str) -> tuple[str, Colour] | None:
    """`name:r,g,b` with whatever behind it, or `r g b name`; None for a line of another form."""
    name, colon, rest = line.partition(":")
    try:
        if colon:
            return name.strip(), _colour(rest.split(":")[0].split(","))
        words = line.split(None, 3)
        return (words[3], _colour(words[:3])) if len(words) == 4 else None
    except ValueError:
        return None


def _colour(parts: Sequence[str]) -> Colour:
    red, green, blue = (int(part) for part in parts)
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
        raise ValueError("a colour")
    return red, green, blue


def _numbered(rows: Sequence[tuple[str, Colour]], file: Path) -> LabelNames:
    if len(rows) > _MOST_LABELS:
        raise BadDataset(f"{shown(file)}: expected at most {_MOST_LABELS:,} labels, got {len(rows):,}.")
    return LabelNames(
        {place: name for place, (name, _) in enumerate(rows)},
        {place: colour for place, (_, colour) in enumerate(rows)},
    )
