"""How large letters and lines are on a picture of any size."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image as PillowImage

from signet.errors import BadInput
from signet.geometry import Size
from signet.images import Image

NARROWEST = 224
"""Letters need this many columns; smaller pictures are enlarged."""
_TEXT = (12, 96)


def enlarged(image: Image) -> tuple[PillowImage.Image, int]:
    """(the picture, the factor): a small one grows by a whole factor, which keeps its pixels as they are."""
    factor = max(1, min(NARROWEST // image.width, NARROWEST // image.height))
    picture = image.to_pillow()
    if factor == 1:
        return picture, 1
    grown = (image.width * factor, image.height * factor)
    return picture.resize(grown, resample=PillowImage.Resampling.NEAREST), factor


def text_height(size: Size) -> int:
    """Height of letters for a picture of (height, width), in pixels."""
    side = min(math.sqrt(size[0] * size[1]) / 32, min(size) / 8)
    return int(np.clip(round(side), *_TEXT))


def line_width(size: Size) -> int:
    """Width of lines for a picture of (height, width), in pixels."""
    return max(2, round(math.sqrt(size[0] * size[1]) / 300))


def check_size(image: Image, size: Size, what: str) -> None:
    """Refuse an answer about another picture.

    Raises:
        BadInput: the sizes differ.
    """
    if tuple(size) != image.size:
        raise BadInput(
            f"{image.source or 'image'}: expected {what} of a picture of {image.height}x{image.width} "
            f"pixels, got {what} of one of {size[0]}x{size[1]}. Draw an answer on the picture it is about."
        )
