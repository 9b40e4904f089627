"""Plates with a name, beside the objects that they name: inside the picture, and not over one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from signet.arrays import Array
from signet.drawing.colours import Colour, ink_on
from signet.drawing.letters import Font, shortened

_LONGEST = 18
"""Widest name, in letter heights, of an object that is not wider itself."""
_SLIDES = 8


@dataclass(frozen=True, slots=True)
class Plate:
    """One name.

    Attributes:
        box: float64 (4,): left, top, right, bottom of the object, in pixels of the drawn picture.
        label: one line.
        figure: what follows it and is never cut, such as a score; or "".
        colour: of the plate.
    """

    box: Array
    label: str
    figure: str
    colour: Colour


def draw_plates(canvas: PillowImage.Image, plates: Sequence[Plate], font: Font, height: int) -> None:
    """Draw plates; an earlier one has the better place.

    Args:
        canvas: the picture, which is changed.
        plates: in order of importance.
        font: of the letters.
        height: of the letters, in pixels.
    """
    pen = ImageDraw.Draw(canvas)
    wide, tall = canvas.size
    pad = max(2, height // 5)
    deep = height + 2 * pad
    texts = [_text(plate, font, min(0.7 * wide - 2 * pad, _room(plate, height))) for plate in plates]
    sizes = np.array([(pen.textlength(text, font=font) + 2 * pad, deep) for text in texts], np.float64)
    sizes = np.ceil(sizes.reshape(-1, 2))
    corners = places([plate.box for plate in plates], sizes, (tall, wide))
    # The best last, so that where plates must overlap it stays whole.
    for plate, text, size, corner in reversed(list(zip(plates, texts, sizes, corners, strict=True))):
        left, top = corner.tolist()
        pen.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), fill=plate.colour)
        middle = (left + pad, top + deep / 2)
        pen.text(middle, text, fill=ink_on(plate.colour), font=font, anchor="lm")


def places(boxes: Sequence[Array], sizes: Array, picture: tuple[int, int]) -> Array:
    """Where plates stand: inside the picture, and clear of the plates before them if any place is.

    Tried in turn: above the object, within its top, below it, within its bottom, each at its left and
    then at its right; beside it; down its left side. Where every place is taken, the one that covers least.

    Args:
        boxes: (4,) each: left, top, right, bottom of the objects.
        sizes: float64 (K, 2), width and height of the plates.
        picture: (height, width).

    Returns:
        float64 (K, 2), whole numbers: left, top of each plate.
    """
    corners = np.zeros((len(boxes), 2))
    limit = np.array([picture[1], picture[0]], np.float64)
    for number, (box, size) in enumerate(zip(boxes, sizes, strict=True)):
        tried = np.round(_candidates(box, size)).clip(0, np.maximum(limit - size, 0))
        covered = _covered(tried, size, corners[:number], sizes[:number])
        corners[number] = tried[int(covered.argmin())]
    return corners


def _candidates(box: Array, size: Array) -> Array:
    left, top, right, bottom = box.tolist()
    width, height = size.tolist()
    inner = right - width
    sides = [
        (left, top - height), (left, top), (left, bottom), (left, bottom - height),
        (inner, top - height), (inner, top), (inner, bottom), (inner, bottom - height),
        (right, top), (left - width, top),
    ]  # fmt: skip
    return np.array([*sides, *((left, top + slide * height) for slide in range(1, _SLIDES + 1))])


def _covered(tried: Array, size: Array, corners: Array, sizes: Array) -> Array:
    """Float64 (T,): pixels of earlier plates that a plate would cover at each of T places."""
    ends = np.minimum(tried[:, None] + size, corners + sizes)
    sides = (ends - np.maximum(tried[:, None], corners)).clip(0)
    covered: Array = sides.prod(axis=-1).sum(axis=-1)
    return covered


def _room(plate: Plate, height: int) -> float:
    return max(float(plate.box[2] - plate.box[0]), _LONGEST * height)


def _text(plate: Plate, font: Font, space: float) -> str:
    """The label and its figure; of a long label as much as there is room for."""
    figure = f" {plate.figure}" if plate.figure else ""
    return shortened(plate.label, font, space - font.getlength(figure)) + figure
