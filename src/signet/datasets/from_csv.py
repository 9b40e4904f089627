"""A table that lists image files with their classes."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from signet.datasets.dataset import SPLIT_NAMES, Dataset, Entry, classes_of
from signet.datasets.labels import (
    MOST_CLASSES,
    delimiter_of,
    index_of_label,
    positions_of,
    read_labels,
    read_text,
)
from signet.errors import BadDataset, near_misses
from signet.naming import natural_key, shown
from signet.predictions import Classes

TABLE_NAMES = ("index.csv", "labels.csv")
"""What a table may be called to be found in a folder."""

LABEL_TABLES = ("labels.txt", "classes.txt")
"""What a list of label names beside a table may be called."""

SEPARATOR = "|"
"""What stands between the labels of a multi-label image."""

_FILE_COLUMNS = ("file", "path")
_KNOWN_COLUMNS = (*_FILE_COLUMNS, "class_index", "label", "name", "split", "group")
_TELLING_COLUMNS = ("class_index", "label", "split", "group")
_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table, cells by column name."""

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass(slots=True)
class _Reading:
    """A table while it is read: what the rows have shown so far."""

    table: Path
    columns: tuple[str, ...]
    notes: list[str] = field(default_factory=list)

    def where(self, row: _Row) -> str:
        return f"{shown(self.table)}, line {row.line}"


def from_csv(path: str | Path, *, labels: Sequence[str] | str | Path | None = None) -> Dataset[Classes]:
    """Read a table of image files.

    Columns, in any order, their names in any case; others are ignored:

    - `file` or `path`: the image, relative to the table's folder;
    - `class_index`: the position in a model's label list, or `label`: the name. Where both are there the
      index counts, and the name (`label`, else `name`) only describes it. Several joined by `|` make the
      table multi-label; an empty cell is an image that nobody labelled;
    - `split` (optional): train, val, test (or valid, validation, ...), or any other name;
    - `group` (optional): what must stay on one side of a split: a patient, a video.

    With labels only, class indices follow the natural order of the names. Columns are separated by comma,
    semicolon or tab; the encoding is UTF-8.

    Args:
        path: the table, or a folder with `index.csv` or `labels.csv` in it.
        labels: all label names by index, or a file of them (see `labels.read_labels`); where it is not
            given, a `labels.txt` or `classes.txt` beside the table is taken.

    Raises:
        BadDataset: no such table, columns missing, a row that cannot be understood, a label that is unknown
            or ambiguous, one file with two different rows, or no file of the table exists.
    """
    table = _table_of(Path(path))
    reading, rows = _rows_of(table)
    names = _label_table(reading, labels)
    by_index = "class_index" in reading.columns
    rows = _without_repeats(reading, rows)
    targets = _indexed(reading, rows) if by_index else None
    if targets is not None:
        names = _described(reading, rows, targets, names)
    else:
        words = [_parts(row["label"]) for row in rows]
        names = names or tuple(sorted({word for some in words for word in some}, key=natural_key))
        positions = positions_of(names)
        targets = [
            tuple(index_of_label(word, positions, reading.where(row)) for word in some)
            for row, some in zip(rows, words, strict=True)
        ]
    column = "class_index" if by_index else "label"
    exclusive = not any(SEPARATOR in row[column] for row in rows)
    without = sum(not target for target in targets)
    if without and exclusive:
        reading.notes.append(f"{without} of {len(rows)} images have no label.")
    _note_missing(reading, rows)
    return Dataset(
        entries=tuple(
            Entry(_file_of(table, row), target, _split_of(row["split"]), row["group"] or None)
            for row, target in zip(rows, targets, strict=True)
        ),
        labels=names,
        source=str(path),
        format="csv",
        root=table.parent,
        truth_of=classes_of,
        exclusive=exclusive,
        indices_given=by_index,
        notes=tuple(reading.notes),
    )


def columns_of(table: Path) -> tuple[str, ...]:
    """The column names of a table, in lower case.

    Raises:
        BadDataset: it cannot be read as text.
    """
    return _columns(read_text(table, "a table (CSV)"))


def has_needed_columns(columns: Sequence[str]) -> bool:
    """Whether a table with these columns lists images with classes."""
    return any(name in columns for name in _FILE_COLUMNS) and ("class_index" in columns or "label" in columns)


def _table_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in TABLE_NAMES:
        if (path / name).is_file():
            return path / name
    raise BadDataset(f"{shown(path)}: expected a table {' or '.join(TABLE_NAMES)} in this folder, got none.")


def _columns(text: str) -> tuple[str, ...]:
    try:
        head = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text)), [])
    except csv.Error:
        return ()
    return tuple(name.strip().lower() for name in head)


def _rows_of(table: Path) -> tuple[_Reading, list[_Row]]:
    text = read_text(table, "a table (CSV)")
    columns = _columns(text)
    if not has_needed_columns(columns):
        guesses = {name: near_misses(name, _KNOWN_COLUMNS, 1) for name in columns}
        hints = [
            f"{shown(name)!r} for {near[0]!r}" for name, near in guesses.items() if near and near[0] != name
        ]
        meant = f" Perhaps {', '.join(hints)}." if hints else ""
        raise BadDataset(
            f"{shown(table)}: expected a column file (or path) and a column class_index or label, got "
            f"the columns {', '.join(shown(name) or '(empty)' for name in columns) or '(none)'}.{meant} "
            "Columns are separated by comma, semicolon or tab, and the first line names them."
        )
    rows = list(_read_rows(table, text, columns))
    if not rows:
        raise BadDataset(f"{shown(table)}: expected at least one row below the column names, got none.")
    return _Reading(table, columns), rows


def _read_rows(table: Path, text: str, columns: tuple[str, ...]) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True)
    try:
        next(reader)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                raise BadDataset(
                    f"{shown(table)}, line {reader.line_num}: expected {len(columns)} cells, got "
                    f'{len(cells)}. Put a cell that holds the separator in double quotes: "a, b".'
                )
            row = _Row(reader.line_num, dict(zip(columns, map(str.strip, cells), strict=False)))
            if not row["file"] and not row["path"]:
                raise BadDataset(f"{shown(table)}, line {row.line}: expected the name of a file, got none.")
            yield row
    except csv.Error as error:
        raise BadDataset(
            f"{shown(table)}, line {reader.line_num}: the table breaks the rules of CSV ({shown(error)}). "
            "Check the double quotes."
        ) from error


def _without_repeats(reading: _Reading, rows: Sequence[_Row]) -> list[_Row]:
    first: dict[str, _Row] = {}
    kept, repeated = [], 0
    for row in rows:
        name = os.path.normpath(row["file"] or row["path"])
        before = first.setdefault(name, row)
        if before is row:
            kept.append(row)
        elif all(before[name] == row[name] for name in _TELLING_COLUMNS):
            repeated += 1
        else:
            raise BadDataset(
                f"{reading.where(row)}: {shown(name)!r} stands in line {before.line} already, with another "
                f"class, split or group. Keep one row; several labels are joined in one cell: a{SEPARATOR}b."
            )
    if repeated:
        reading.notes.append(f"{repeated} rows repeat another row and were left out.")
    return kept


def _label_table(reading: _Reading, labels: Sequence[str] | str | Path | None) -> tuple[str, ...]:
    if isinstance(labels, str | Path):
        return read_labels(labels)
    if labels is not None:
        return tuple(labels)
    for name in LABEL_TABLES:
        beside = reading.table.parent / name
        if beside.is_file():
            reading.notes.append(f"Label names are those of {shown(beside)}.")
            return read_labels(beside)
    return ()


def _indexed(reading: _Reading, rows: Sequence[_Row]) -> list[tuple[int, ...]]:
    targets = []
    for row in rows:
        try:
            # Tables that went through floating point have 3.0 for 3.
            target = tuple(int(part.removesuffix(".0")) for part in _parts(row["class_index"]))
        except ValueError:
            target = (-1,)
        if target and not 0 <= min(target) <= max(target) < MOST_CLASSES:
            raise BadDataset(
                f"{reading.where(row)}: expected class_index to be a whole number from 0 to "
                f"{MOST_CLASSES - 1:,} (several joined by {SEPARATOR}), got {row['class_index']!r}."
            )
        targets.append(target)
    return targets


def _described(
    reading: _Reading, rows: Sequence[_Row], targets: Sequence[tuple[int, ...]], names: tuple[str, ...]
) -> tuple[str, ...]:
    """Names for the indices: those of the label table, else those in the rows, else "class 7"."""
    column = next((name for name in ("label", "name") if name in reading.columns), None)
    said: dict[int, str] = dict(enumerate(names))
    for row, target in zip(rows, targets, strict=True):
        words = _parts(row[column]) if column else ()
        if names or len(words) != len(target):
            continue
        for index, word in zip(target, words, strict=True):
            if said.setdefault(index, word) != word:
                raise BadDataset(
                    f"{reading.where(row)}: expected one name for class {index}, got {word!r} "
                    f"and before that {said[index]!r}."
                )
    highest = max((index for target in targets for index in target), default=-1)
    if names and highest >= len(names):
        raise BadDataset(
            f"{shown(reading.table)}: expected class indices from 0 to {len(names) - 1}, as many as there "
            f"are label names, got {highest}."
        )
    count = max(highest + 1, len(names))
    return tuple(said.get(index) or f"class {index}" for index in range(count))


def _parts(cell: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in cell.split(SEPARATOR) if part.strip()))


def _split_of(cell: str) -> str | None:
    return SPLIT_NAMES.get(cell.lower(), cell) or None


def _file_of(table: Path, row: _Row) -> Path:
    name = row["file"] or row["path"]
    file = table.parent / name
    if "\\" in name and not file.exists():
        return table.parent / name.replace("\\", "/")  # written on Windows
    return file


def _note_missing(reading: _Reading, rows: Sequence[_Row]) -> None:
    missing = [row for row in rows if not _exists(_file_of(reading.table, row))]
    if not missing:
        return
    names = ", ".join(shown(row["file"] or row["path"]) for row in missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    if len(missing) == len(rows):
        raise BadDataset(
            f"{shown(reading.table)}: none of its {len(rows)} files exists: {names}{more}. "
            f"Paths are relative to the table's folder, {shown(reading.table.parent)}."
        )
    reading.notes.append(f"{len(missing)} of {len(rows)} files do not exist: {names}{more}.")


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):
        return False
