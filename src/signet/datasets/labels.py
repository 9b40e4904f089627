"""Tables of label names: the list that gives a class index its name, and back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from signet.errors import BadDataset, near_misses
from signet.naming import shown

MOST_CLASSES = 1_000_000
"""A class index from here on is taken for a mistake (an identifier, say)."""

_MOST_BYTES = 64 << 20


def read_labels(path: str | Path) -> tuple[str, ...]:
    """The label names in a table file, by index.

    A text file holds one name a line, the first of index 0; a `.csv` or `.tsv` has the columns `class_index`
    (or `index`) and `label` (or `name`); a `.json` is a list of names or an object of index to name. An
    index without a name gets "".

    Raises:
        BadDataset: the file cannot be read as such a table.
    """
    file = Path(path)
    text = read_text(file, "a table of label names")
    kind = file.suffix.lower()
    try:
        if kind == ".json":
            loaded = json.loads(text)
            rows = dict(enumerate(loaded)) if isinstance(loaded, list) else loaded
            names = {int(index): str(name) for index, name in rows.items()}
        elif kind in (".csv", ".tsv"):
            names = {}
            for row in csv.DictReader(io.StringIO(text), delimiter=delimiter_of(text)):
                cells = {str(key).strip().lower(): str(value).strip() for key, value in row.items()}
                index = cells["class_index"] if "class_index" in cells else cells["index"]
                names[int(index)] = cells["label"] if "label" in cells else cells["name"]
        else:
            names = dict(enumerate(line.strip() for line in text.rstrip().splitlines()))
    except (ValueError, KeyError, AttributeError, csv.Error) as error:
        raise BadDataset(
            f"{shown(file)}: expected label names (text: one a line; CSV: columns class_index and label; "
            f"JSON: a list, or an object of index to name), got {type(error).__name__}: {shown(error)}."
        ) from error
    if not names or not 0 <= min(names) <= max(names) < MOST_CLASSES:
        raise BadDataset(
            f"{shown(file)}: expected indices from 0 to {MOST_CLASSES - 1:,}, got {_range(names)}."
        )
    return tuple(names.get(index, "") for index in range(max(names) + 1))


def positions_of(labels: Sequence[str]) -> dict[str, list[int]]:
    """For each name all its positions in a list of labels."""
    positions: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        positions.setdefault(label, []).append(index)
    return positions


def index_of_label(label: str, positions: Mapping[str, Sequence[int]], where: str) -> int:
    """The one position of a name in a list of labels.

    Args:
        label: the name.
        positions: see `positions_of`; some names occur twice (ImageNet has two classes "crane" and two
            "maillot").
        where: what to name in the message: a file and line.

    Raises:
        BadDataset: nobody, or more than one class, has this name.
    """
    found = positions.get(label, ())
    if len(found) == 1:
        return found[0]
    if found:
        raise BadDataset(
            f"{where}: the label {label!r} is ambiguous: the classes {list(found)} all have this name. "
            "Give class_index in place of the name."
        )
    near = near_misses(label, positions)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    raise BadDataset(f"{where}: no class is named {label!r}.{hint}")


def delimiter_of(text: str) -> str:
    """What separates a table's columns: the most frequent of comma, semicolon and tab in its first line."""
    head = text.split("\n", 1)[0]
    return max(",;\t", key=head.count)


def read_text(file: Path, what: str) -> str:
    """A whole text file in UTF-8, with or without a byte order mark.

    Raises:
        BadDataset: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        if not file.is_file():
            came = "a folder" if file.is_dir() else "nothing: there is no such file"
            raise BadDataset(f"{shown(file)}: expected {what}, got {came}.")
        if file.stat().st_size > _MOST_BYTES * 16:
            raise BadDataset(
                f"{shown(file)}: expected {what} of at most {_MOST_BYTES * 16:,} bytes, got more."
            )
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDataset(
            f"{shown(file)}: expected {what} in UTF-8, got bytes that are not ({error.reason} at byte "
            f"{error.start}). Save it again as UTF-8."
        ) from error
    except OSError as error:
        raise BadDataset(f"{shown(file)}: {what} cannot be read: {error.strerror or error}.") from error


def _range(names: dict[int, str]) -> str:
    return f"{min(names)} to {max(names)}" if names else "none"
