"""A table for a terminal of any width: one line a row, never broken; what has no room is left out, and said.

Written for the tables of `find` and `show`, whose rows are many and whose answers should come at once: rich
takes longer to load than the catalogue takes to search.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

ELLIPSIS = "\u2026"
GAP = 2
_LEAST_OF_FIRST = 20
"""Columns that the first column keeps as long as there is another that can be left out."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        title: stands above it; the column is left out when none of its cells has text.
        right: its cells stand flush right.
        spare: from 1: a narrow table does without it, the lowest number first; 0: never.
    """

    title: str
    right: bool = False
    spare: int = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """A table as lines.

    Attributes:
        lines: the titles first.
        lacking: titles of the columns that have no room.
        shortened: rows whose first cell had to be cut in its middle.
    """

    lines: tuple[str, ...]
    lacking: tuple[str, ...]
    shortened: int


def draw(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Drawn:
    """Lay a table out in `width` columns of a terminal.

    The first column is what the rows are about. It is cut in the middle rather than left out, and before that
    the columns with the lowest `spare` go.
    """
    widths = [
        max(cells_of(column.title), *(cells_of(row[place]) for row in rows)) if rows else 0
        for place, column in enumerate(columns)
    ]
    kept = [place for place in range(len(columns)) if not place or any(row[place] for row in rows)]
    lacking = []
    for place in sorted((place for place in kept if columns[place].spare), key=lambda p: columns[p].spare):
        if _needed(widths, kept, min(widths[0], max(3 * width // 5, _LEAST_OF_FIRST))) <= width:
            break
        kept.remove(place)
        lacking.append(columns[place].title)
    widths[0] = min(widths[0], max(1, width - _needed(widths, kept, 0)))
    lines = [_line(columns, [column.title for column in columns], kept, widths)]
    lines += [_line(columns, row, kept, widths) for row in rows]
    shortened = sum(cells_of(row[0]) > widths[0] for row in rows)
    return Drawn(tuple(lines), tuple(lacking), shortened)


def cells_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(sign) for sign in text)


def shortened(text: str, width: int) -> str:
    """A text cut in its middle, so that beginning and end can be told, in at most `width` columns.

    Example:
        >>> shortened("timm/resnet50.a1_in1k", 15)
        'timm/re\u2026a1_in1k'
    """
    if cells_of(text) <= width:
        return text
    head = max(0, (width - 1) // 2)
    tail = max(0, width - 1 - head)
    return f"{_cut(text, head)}{ELLIPSIS}{_cut(text[::-1], tail)[::-1]}"


def _needed(widths: Sequence[int], kept: Sequence[int], first: int) -> int:
    return first + sum(widths[place] for place in kept[1:]) + GAP * (len(kept) - 1)


def _line(columns: Sequence[Column], row: Sequence[str], kept: Sequence[int], widths: Sequence[int]) -> str:
    cells = []
    for place in kept:
        text = shortened(row[place], widths[place])
        space = " " * (widths[place] - cells_of(text))
        cells.append(space + text if columns[place].right else text + space)
    return (" " * GAP).join(cells).rstrip()


def _cut(text: str, width: int) -> str:
    taken, kept = 0, []
    for sign in text:
        taken += _cells(sign)
        if taken > width:
            break
        kept.append(sign)
    return "".join(kept)


def _cells(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
