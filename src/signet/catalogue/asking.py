"""What a person asks for as MODEL: a name, and behind a colon what is to be made of it.

    open_clip/ViT-B-32.laion2b_s34b_b79k:labels=cat,dog,red bus
    open_clip/ViT-B-32.laion2b_s34b_b79k:labels=@words.txt

Words are separated by commas, or stand one a line in a file, for words that have commas in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signet.errors import BadInput, BadRequest, UnknownName
from signet.naming import shown

KEYS = ("labels",)
LABELS_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """A MODEL, taken apart.

    Attributes:
        name: what stands before the colon.
        labels: words to choose from; None where none were given.
    """

    name: str
    labels: tuple[str, ...] | None = None


def asked(text: str) -> Asked:
    """Take a MODEL apart.

    Raises:
        BadRequest: what stands behind the colon is not understood.
        BadInput: the file of words cannot be read.
    """
    name, colon, rest = text.partition(":")
    if not colon:
        return Asked(text)
    key, equals, value = rest.partition("=")
    if key not in KEYS:
        raise BadRequest(str(UnknownName("setting of a model", key, KEYS)))
    if not equals or not value:
        raise BadRequest(
            f"{shown(text)}: expected words behind 'labels=', separated by commas, or '@' and a file with "
            "one a line."
        )
    return Asked(name, _words_of(Path(value[1:])) if value.startswith("@") else tuple(value.split(",")))


def _words_of(file: Path) -> tuple[str, ...]:
    try:
        if file.stat().st_size > LABELS_LIMIT_BYTES:
            raise BadInput(f"{shown(file)}: expected a file of words, got one of more than 16 MiB.")
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{shown(file)}: expected a text file in UTF-8 with one word or phrase a line; it cannot be "
            f"read: {error}."
        ) from error
    return tuple(line.strip() for line in lines if line.strip())
