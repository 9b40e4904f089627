"""An answer drawn onto its picture, legible at any size.

One function for each kind of prediction; `draw` picks it. What is drawn keeps the picture's pixels: a
caption goes on a strip below, never over them.
"""

from __future__ import annotations

import colorsys
import io
import unicodedata
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from signet.errors import BadRequest, WrongTask
from signet.images import Image
from signet.predictions import Classes, Prediction

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

_OKABE_ITO: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
)
_BEST: Colour = (86, 180, 233)
_REST: Colour = (150, 156, 168)
_NARROWEST = 224  # a caption needs this many columns; smaller pictures are enlarged or centred
_TEXT = (14, 96)  # least and greatest height of the text, in pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How answers are drawn.

    Attributes:
        most: labels shown, best first.
        least_score: labels below this are left out, the best excepted.
        ground: the strip's colour.
        font: the bytes of a TrueType or OpenType file, for scripts that the built-in Latin font lacks.
    """

    most: int = 3
    least_score: float = 0.01
    ground: Colour = (22, 24, 29)
    font: bytes | None = None

    def __post_init__(self) -> None:
        if self.most < 1:
            raise BadRequest(f"most: expected at least 1 label, got {self.most}.")


def draw(image: Image, prediction: Prediction, style: Style | None = None) -> Image:
    """The picture with its answer.

    Raises:
        WrongTask: an answer that has no picture, such as an embedding.
    """
    match prediction:
        case Classes():
            return draw_classes(image, prediction, style)
        case _:
            raise WrongTask(
                f"drawing: expected classes, got {type(prediction).__name__}, which cannot be drawn on an "
                "image."
            )


def draw_classes(image: Image, classes: Classes, style: Style | None = None) -> Image:
    """The picture above a strip of its best labels, with scores and bars.

    Text grows with the picture's width, from 14 to 96 pixels. A picture too small for a caption is
    enlarged by a whole factor, so that its pixels stay what they are, and centred.

    Args:
        image: any size from 1 x 1.
        classes: the answer; with no label at all the strip says so.
        style: how many labels, colours, font.

    Returns:
        uint8 (H + strip, W, 3), W at least 224; the same source.

    Raises:
        BadRequest: bytes of a font that is none.
    """
    settings = style or Style()
    picture = _enlarged(image)
    width = max(picture.width, _NARROWEST)
    size = int(np.clip(round(width / 30), *_TEXT))
    font = _font(settings.font, size)
    rows = _rows(classes, settings, font)
    pad, line = round(size * 0.8), round(size * 1.9)
    canvas = PillowImage.new(
        "RGB", (width, picture.height + line * len(rows) + 2 * pad - round(size * 0.4)), settings.ground
    )
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(canvas)
    for number, (label, score) in enumerate(rows):
        top = picture.height + pad + number * line
        colour = _BEST if number == 0 else _REST
        _row(pen, (pad, top, width - pad), (label, score), font, (colour, settings.ground))
    return Image(np.array(canvas), source=image.source)


def palette(count: int) -> tuple[Colour, ...]:
    """`count` colours that differ for colour-blind eyes as far as they can; the same each time.

    The first seven are those of Okabe and Ito; the next follow at golden angles of hue, in three
    lightnesses.

    Source: Okabe & Ito, Color Universal Design (2002).
    """
    more = []
    for number in range(count - len(_OKABE_ITO)):
        light = (0.45, 0.62, 0.78)[number % 3]
        red, green, blue = colorsys.hls_to_rgb((0.13 + number * 0.618034) % 1, light, 0.7)
        more.append((round(255 * red), round(255 * green), round(255 * blue)))
    return (*_OKABE_ITO, *more)[: max(count, 0)]


def ink_on(ground: Colour) -> Colour:
    """White or near-black, whichever is read more easily on a colour; a contrast of at least 4.5."""
    white, black = (255, 255, 255), (12, 12, 14)
    return max((white, black), key=lambda ink: contrast(ink, ground))


def contrast(first: Colour, second: Colour) -> float:
    """The contrast ratio of two colours, 1 to 21.

    Source: WCAG 2.2, definition of contrast ratio and relative luminance.
    """
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    parts = [value / 255 for value in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _enlarged(image: Image) -> PillowImage.Image:
    factor = min(_NARROWEST // image.width, _NARROWEST // image.height)
    picture = image.to_pillow()
    if factor < 2:
        return picture
    return picture.resize(
        (image.width * factor, image.height * factor), resample=PillowImage.Resampling.NEAREST
    )


def _font(content: bytes | None, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if content is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(io.BytesIO(content), size)
    except OSError as error:
        raise BadRequest(f"font: expected the bytes of a TrueType or OpenType file, got {error}.") from error


def _rows(
    classes: Classes, style: Style, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[tuple[str, float | None]]:
    best = classes.top(style.most)
    rows: list[tuple[str, float | None]] = []
    for index, score, label in zip(best.indices.tolist(), best.scores.tolist(), best.labels, strict=True):
        if not rows or score >= style.least_score:
            rows.append((legible(label, font) or f"class {index}", score))
    return rows or [("no label", None)]


def legible(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
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


def _has(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, missing: tuple[object, bytes]
) -> bool:
    """Whether every letter has a picture of its own, and not the one that stands for all missing ones."""
    for letter in text:
        mask = font.getmask(letter)
        if (mask.getbbox(), bytes(mask)) == missing:
            return False
    return True


def _row(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int, int],
    words: tuple[str, float | None],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    colours: tuple[Colour, Colour],
) -> None:
    """One label at (left, top, right), its score at the right, its bar below."""
    left, top, right = place
    label, score = words
    colour, ground = colours
    ink = ink_on(ground)
    size = pen.textbbox((0, 0), "Ag", font=font, anchor="la")[3]
    figure = "" if score is None else percent(score)
    space = right - left - pen.textlength(figure, font=font) - size / 2
    pen.text((left, top), shortened(label, font, space), fill=ink, font=font, anchor="la")
    pen.text((right, top), figure, fill=ink, font=font, anchor="ra")
    if score is None:
        return
    height = max(2, round(size / 7))
    under = top + round(size * 1.18)
    faint: Colour = tuple(round(0.8 * back + 0.2 * front) for back, front in zip(ground, ink, strict=True))  # type: ignore[assignment]
    pen.rectangle((left, under, right, under + height), fill=faint)
    reach = left + round((right - left) * float(np.clip(np.nan_to_num(score), 0, 1)))
    if reach > left:
        pen.rectangle((left, under, reach, under + height), fill=colour)


def percent(score: float) -> str:
    """A score as a person reads it: "83.2 %", "< 0.1 %", and never 100 % of what is less."""
    if 0 < score < 0.001:
        return "< 0.1 %"
    if 0.9995 <= score < 1:
        return "> 99.9 %"
    return f"{100 * score:.1f} %"


def shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, space: float) -> str:
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
