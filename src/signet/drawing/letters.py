"""Labels and scores as letters that a font has."""

from __future__ import annotations

import functools
import io
import unicodedata

from PIL import ImageFont

from signet.errors import BadRequest

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@functools.lru_cache(maxsize=16)
def font_of(content: bytes | None, size: int) -> Font:
    """A font at a height in pixels: the built-in one, or one of the caller's own.

    Raises:
        BadRequest: bytes that are no font.
    """
    if content is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(io.BytesIO(content), size)
    except OSError as error:
        raise BadRequest(f"font: expected the bytes of a TrueType or OpenType file, got {error}.") from error


@functools.lru_cache(maxsize=4096)
def name_of(label: str, index: int, font: Font) -> str:
    """A label as it is drawn; its number where the font has too few of its letters.

    Kept, because a video has the same labels in every frame.
    """
    return legible(label, font) or f"class {index}"


def legible(label: str, font: Font) -> str:
    """A label on one line, in letters that a font has; "" when it has too few of them.

    Line ends, control and direction marks become spaces; a letter that the font lacks loses its accent
    ("é" becomes "e"), or becomes a dot. A label of which less than half is left is given up.
    """
    missing = font.getmask("\uffff").getbbox(), bytes(font.getmask("\uffff"))
    kept, lost = [], 0
    for character in " ".join(_printable(label).split()):
        plain = next((form for form in _forms(character) if _has(form, font, missing)), None)
        kept.append("·" if plain is None else plain)
        lost += plain is None
    return "" if 2 * lost >= len(kept) else "".join(kept)


def _printable(label: str) -> str:
    return "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in label[:400])


def _forms(character: str) -> tuple[str, ...]:
    parts = unicodedata.normalize("NFKD", character)
    bare = "".join(part for part in parts if not unicodedata.combining(part))
    bare = " ".join(bare.split())
    return (character, bare) if bare else (character,)


def _has(text: str, font: Font, missing: tuple[object, bytes]) -> bool:
    """Whether every letter has a picture of its own, and not the one that stands for all missing ones."""
    for letter in text:
        mask = font.getmask(letter)
        if (mask.getbbox(), bytes(mask)) == missing:
            return False
    return True


def percent(score: float) -> str:
    """A score as a person reads it: "83.2 %", "< 0.1 %", and never 100 % of what is less."""
    if 0 < score < 0.001:
        return "< 0.1 %"
    if 0.9995 <= score < 1:
        return "> 99.9 %"
    return f"{100 * score:.1f} %"


def shortened(text: str, font: Font, space: float) -> str:
    """The text, or as much of its beginning as fits in `space` pixels with an ellipsis."""
    if font.getlength(text) <= space:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle].rstrip() + "…") <= space:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"
