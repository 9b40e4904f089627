"""Classes: the picture above a strip of its best labels. What is drawn keeps the picture's pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from signet.drawing.colours import Colour, ink_on
from signet.drawing.letters import Font, font_of, name_of, percent, shortened
from signet.drawing.sizes import NARROWEST, enlarged
from signet.drawing.style import Style
from signet.images import Image
from signet.predictions import Classes

_BEST: Colour = (86, 180, 233)
_REST: Colour = (150, 156, 168)
_TEXT = (14, 96)  # least and greatest height of the text, in pixels


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
    picture, _ = enlarged(image)
    width = max(picture.width, NARROWEST)
    size = int(np.clip(round(width / 30), *_TEXT))
    font = font_of(settings.font, size)
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


def _rows(classes: Classes, style: Style, font: Font) -> list[tuple[str, float | None]]:
    best = classes.top(style.most)
    rows: list[tuple[str, float | None]] = []
    for index, score, label in zip(best.indices.tolist(), best.scores.tolist(), best.labels, strict=True):
        if not rows or score >= style.least_score:
            rows.append((name_of(label, index, font), score))
    return rows or [("no label", None)]


def _row(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int, int],
    words: tuple[str, float | None],
    font: Font,
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
