"""Golden images that show nobody's pictures: drawn from formulas, the same each time."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from signet.arrays import Bytes
from signet.geometry import Size
from signet.seals.stripping import with_orientation

TURNED = 6
"""EXIF orientation of the turned image: the scene's top is at the right side of the stored picture."""
_QUALITY = 92
_SMALLEST = 24


def made_images(larger_than: Size) -> list[tuple[str, bytes]]:
    """(ending, file) of three images: turned by EXIF and upright format, wide and coloured, grey.

    Each has gradients, fine stripes, noise and shapes like letters, so that another order of channels,
    another filter, a missing antialias or a shifted crop changes many values.

    Args:
        larger_than: (height, width) of the network's input; the images are larger, so that they are shrunk.
    """
    base = max(_SMALLEST, *larger_than)
    small, large = base + base // 4 + 1, base + base // 2 + 3
    generator = np.random.Generator(np.random.PCG64(20))
    turned = _picture(generator, (small, large))
    wide = _picture(generator, (small + 2, large + base // 4))[..., ::-1]
    grey = _picture(generator, (large, large)).mean(axis=2).astype(np.uint8)
    return [
        (".jpg", with_orientation(_jpeg(PillowImage.fromarray(turned)), TURNED)),
        (".png", _png(PillowImage.fromarray(np.ascontiguousarray(wide)))),
        (".jpg", _jpeg(PillowImage.fromarray(grey))),
    ]


def _picture(generator: np.random.Generator, size: Size) -> Bytes:
    """uint8 (H, W, 3)."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(float)
    across, down = x / width, y / height
    red = 255 * across
    green = 127 + 100 * np.sin(2 * np.pi * (3 * across + 5 * down))
    blue = 255 * (1 - down)
    canvas = np.stack((red, green, blue), axis=2)
    canvas[(x.astype(int) // 2 + y.astype(int) // 3) % 7 == 0] *= 0.4
    noise = generator.integers(0, 256, (height // 3, width // 4, 3))
    canvas[: noise.shape[0], : noise.shape[1]] = noise
    picture = PillowImage.fromarray(canvas.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    unit = max(1, min(size) // 16)
    for column in range(6):
        left, top = width // 3 + column * 2 * unit, height // 2 + (column % 2) * unit
        colour = tuple(int(value) for value in generator.integers(0, 256, 3))
        draw.rectangle((left, top, left + unit, top + 4 * unit), fill=colour)
        draw.line((left, top, left + 2 * unit, top + 3 * unit), fill=colour[::-1], width=max(1, unit // 2))
    draw.ellipse(
        (width // 10, height // 2, width // 10 + 4 * unit, height // 2 + 5 * unit), fill=(250, 240, 20)
    )
    return np.asarray(picture)


def _jpeg(picture: PillowImage.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _png(picture: PillowImage.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
