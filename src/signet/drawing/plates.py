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
_ALWAYS = 8
"""Names that are drawn however much of a small picture they take."""
_MOST_COVERED = 0.25


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
    """Draw plates; an earlier one has the better place, and in a crowd the last ones have none.

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
    for plate, text, size, corner in zip(plates, texts, sizes, corners, strict=True):
        if np.isnan(corner[0]):
            continue
        left, top = corner.tolist()
        pen.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), fill=plate.colour)
        middle = (left + pad, top + deep / 2)
        pen.text(middle, text, fill=ink_on(plate.colour), font=font, anchor="lm")


def places(boxes: Sequence[Array], sizes: Array, picture: tuple[int, int]) -> Array:
    """Where plates stand: inside the picture, clear of those before them, and where they hide least.

    Tried in turn: above the object, within its top, below it, within its bottom, each at its left and
    then at its right; beside it; down its left side. The first one is taken that hides the least of the
    objects. In a crowd names are left out rather than that they hide it: one without a place that is clear
    of other names, and, from the ninth on, one that would bring the names above a quarter of the picture.

    Args:
        boxes: (4,) each: left, top, right, bottom of the objects, the most important first.
        sizes: float64 (K, 2), width and height of the plates.
        picture: (height, width).

    Returns:
        float64 (K, 2), whole numbers: left, top of each plate; NaN for one that is left out.
    """
    corners = np.full((len(boxes), 2), np.nan)
    limit = np.array([picture[1], picture[0]], np.float64)
    objects = np.array(boxes, np.float64).reshape(-1, 4)
    spent = 0.0
    for number, (box, size) in enumerate(zip(objects, sizes, strict=True)):
        if number >= _ALWAYS and spent + size.prod() > _MOST_COVERED * limit.prod():
            continue
        tried = np.round(_candidates(box, size)).clip(0, np.maximum(limit - size, 0))
        placed = np.flatnonzero(np.isfinite(corners[:, 0]))
        covered = _shared(tried, size, corners[placed], corners[placed] + sizes[placed]).sum(axis=1)
        if covered.min() > 0:
            continue
        sides = (objects[:, 2:] - objects[:, :2]).clip(1.0).prod(axis=1)
        hidden = (_shared(tried, size, objects[:, :2], objects[:, 2:]) / sides).sum(axis=1)
        # In steps, so that the better place is not given up for a few pixels.
        corners[number] = tried[int(np.where(covered > 0, np.inf, np.round(4 * hidden)).argmin())]
        spent += size.prod()
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


def _shared(tried: Array, size: Array, low: Array, high: Array) -> Array:
    """Float64 (T, K): pixels that a plate at each of T places has in common with each of K areas."""
    ends = np.minimum(tried[:, None] + size, high)
    shared: Array = (ends - np.maximum(tried[:, None], low)).clip(0).prod(axis=-1)
    return shared


def _room(plate: Plate, height: int) -> float:
    return max(float(plate.box[2] - plate.box[0]), _LONGEST * height)


def _text(plate: Plate, font: Font, space: float) -> str:
    """The label and its figure; of a long label as much as there is room for."""
    figure = f" {plate.figure}" if plate.figure else ""
    return shortened(plate.label, font, space - font.getlength(figure)) + figure
