"""Names as text: the order a person expects, and a form that is safe to show."""

from __future__ import annotations

import os
import re
from pathlib import PurePath

NaturalKey = tuple[tuple[str | tuple[int, str], ...], str]

_DIGITS = re.compile(r"([0-9]+)")


def natural_key(text: str) -> NaturalKey:
    """The sort key of natural order: "2" before "10", upper and lower case together.

    Runs of the digits 0 to 9 compare by value, all else by its case-folded text. Names that are equal
    so ("a1", "A01") are ordered by their exact text, so the order is total and does not depend on the
    order in which a disk lists them.

    Example:
        >>> sorted(["b10", "B2", "a"], key=natural_key)
        ['a', 'B2', 'b10']
    """
    parts: list[str | tuple[int, str]] = []
    for position, part in enumerate(_DIGITS.split(text)):
        if position % 2:
            # Length, then text, orders digits by value; int() refuses runs of more than 4,300 digits.
            value = part.lstrip("0")
            parts.append((len(value), value))
        else:
            parts.append(part.casefold())
    return tuple(parts), text


def path_key(path: str | PurePath) -> tuple[NaturalKey, ...]:
    """The sort key of a path: natural order folder by folder."""
    return tuple(natural_key(part) for part in PurePath(path).parts)


def file_part(text: str, most_bytes: int = 160) -> str:
    """A text as a part of a file's name, in letters that every disk takes.

    Letters and digits of any script, "-", "_" and "." stay; all else becomes "_". No disk takes names
    beyond 255 bytes, and there should be room for a number and for the temporary name beside it.

    Example:
        >>> file_part("traffic light/red?")
        'traffic_light_red_'
    """
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in text)
    return safe.encode()[:most_bytes].decode(errors="ignore")


def file_stem(source: str) -> str:
    """The name of a file, without folders and extension, as a part of another file's name.

    Example:
        >>> file_stem("photos/a b?.jpg")
        'a_b_'
    """
    return file_part(PurePath(source).stem)


def shown(name: object) -> str:
    r"""A name as one line that is safe on a terminal: what cannot be printed is escaped.

    File names may hold line ends, terminal escape codes and text-direction marks; in a message they
    must not act. A printable name comes out as it is.

    Example:
        >>> shown("a\x1b[31m.jpg")
        'a\\x1b[31m.jpg'
    """
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    text = str(name)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
