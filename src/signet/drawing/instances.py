"""Instances: a translucent mask with an outline for each object; and each object cut out of its picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage

from signet.arrays import Array, Bytes, frozen
from signet.drawing.boxes import name_objects, on_ground, shown_objects
from signet.drawing.colours import Colour, colour_of
from signet.drawing.sizes import check_size, enlarged, line_width
from signet.drawing.style import Style
from signet.images import Image
from signet.instances import Instances
from signet.masks import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """One object without what is around it.

    Attributes:
        pixels: uint8 (h, w, 4), RGBA, of the least box that holds the object. Outside the mask all four are
            0, so nothing of the surroundings is left in the file.
        number: its position among the instances.
        label: its name.
        score: 0 to 1.
        corner: (top, left) in the picture.
    """

    pixels: Bytes
    number: int
    label: str
    score: float
    corner: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", frozen(self.pixels, "a cut-out", "uint8", (None, None, 4)))

    def to_pillow(self) -> PillowImage.Image:
        """A Pillow image of mode RGBA."""
        return PillowImage.fromarray(self.pixels)


def draw_instances(image: Image, instances: Instances, style: Style | None = None) -> Image:
    """The picture with its masks, outlines and names; small objects over large ones.

    Args:
        image: any size from 1 x 1.
        instances: of this picture.
        style: which are drawn, and how.

    Returns:
        uint8 (H, W, 3), at least 96 pixels high and wide; the same source.

    Raises:
        BadInput: instances of a picture of another size.
        BadRequest: bytes of a font that is none.
    """
    settings = style or Style()
    check_size(image, instances.boxes.size, "instances")
    picture, factor = enlarged(image)
    chosen = instances[shown_objects(instances.boxes, settings)]
    width = line_width((picture.height, picture.width))
    pixels = np.array(picture)
    for place in sorted(range(len(chosen)), key=lambda place: -chosen.masks[place].area):
        colour = colour_of(int(chosen.boxes.indices[place]))
        _paint(pixels, chosen.masks[place], colour, (factor, width, settings.opacity))
    canvas = on_ground(PillowImage.fromarray(pixels), settings).copy()
    corners = [
        (mask.bounds if mask.area else box).clip(0, np.tile([image.width, image.height], 2)) * factor
        for mask, box in zip(chosen.masks, chosen.boxes.xyxy, strict=True)
    ]
    name_objects(canvas, chosen.boxes, corners, settings)
    return Image(np.array(canvas), source=image.source)


def cutouts(image: Image, instances: Instances) -> Iterator[Cutout]:
    """Each object alone on a transparent ground, in order; one without a pixel is left out.

    Raises:
        BadInput: instances of a picture of another size.
    """
    check_size(image, instances.boxes.size, "instances")
    scores = instances.boxes.scores.tolist()
    for number, (mask, label) in enumerate(zip(instances.masks, instances.boxes.labels, strict=True)):
        if not mask.area:
            continue
        rows, columns = _window(mask)
        inside = mask.to_array()[rows, columns]
        pixels = np.zeros((*inside.shape, 4), np.uint8)
        pixels[inside, :3] = image.pixels[rows, columns][inside]
        pixels[inside, 3] = 255
        yield Cutout(pixels, number, label, scores[number], (rows.start, columns.start))


def rim(inside: Array, width: int) -> Array:
    """Bool (h, w): the pixels of a mask that have one outside within `width` of them, in rows or columns.

    The window's sum comes from a summed-area table, so a wide line costs no more than a thin one.
    Source: Crow, "Summed-area tables for texture mapping", SIGGRAPH 1984.
    """
    side = 2 * width + 1
    sums = np.pad(np.pad(inside, width).cumsum(0, dtype=np.int32).cumsum(1), ((1, 0), (1, 0)))
    window = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    found: Array = inside & (window < side * side)
    return found


def _window(mask: Mask) -> tuple[slice, slice]:
    left, top, right, bottom = mask.bounds.astype(int).tolist()
    return slice(top, bottom), slice(left, right)


def _paint(pixels: Bytes, mask: Mask, colour: Colour, how: tuple[int, int, float]) -> None:
    """Tint the mask's pixels of an enlarged picture, and draw its outline; how: factor, width, opacity."""
    if not mask.area:
        return
    factor, width, opacity = how
    rows, columns = _window(mask)
    inside = mask.to_array()[rows, columns].repeat(factor, axis=0).repeat(factor, axis=1)
    part = pixels[rows.start * factor : rows.stop * factor, columns.start * factor : columns.stop * factor]
    tinted = part[inside] * (1 - opacity) + np.array(colour) * opacity
    part[inside] = tinted.round().astype(np.uint8)
    part[rim(inside, width)] = colour
