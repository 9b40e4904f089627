"""RandAugment: a picture after two operations drawn alike from fourteen, all of one magnitude.

The operations and their ranges are the paper's; every chance comes from a generator that is given, so that a
view is a function of seed, epoch and image.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image as PillowImage
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from signet.arrays import Bytes

GREATEST = 30.0
"""The magnitude at which every operation is at the end of its range."""

OPERATIONS = 2
"""Of each picture: the N of the paper, which it finds best for networks like those that are fine-tuned."""

_GREY = (128, 128, 128)
_SHEAR = 0.3
_SHIFT = 150 / 331  # of a side: 150 pixels of AutoAugment's 331
_TURN = 30.0
_ENHANCE = 0.9
_LEAST_BITS = 4

_Operation = Callable[[PillowImage.Image, float], PillowImage.Image]


def randaugmented(pixels: Bytes, magnitude: float, generator: np.random.Generator) -> Bytes:
    """A picture after two random operations.

    Args:
        pixels: uint8 (H, W, 3), RGB.
        magnitude: 0 to 30; at 0 all but the equalising ones leave the picture as it is.
        generator: where the chances come from.

    Returns:
        uint8 (H, W, 3).

    Source: E. Cubuk et al., "RandAugment" (2019), figure 2 and section 3; the ranges are those of
        E. Cubuk et al., "AutoAugment" (2018), table 6.
    """
    picture = PillowImage.fromarray(pixels)
    for _ in range(OPERATIONS):
        operation = _OPERATIONS[int(generator.integers(len(_OPERATIONS)))]
        sign = 1.0 if generator.random() < 0.5 else -1.0
        picture = operation(picture, sign * magnitude / GREATEST)
    return np.asarray(picture)


def _affine(
    picture: PillowImage.Image,
    angle: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    shear: tuple[float, float] = (0.0, 0.0),
) -> PillowImage.Image:
    places = [round(part) for part in shift]
    turned = [math.degrees(math.atan(part)) for part in shear]
    changed: PillowImage.Image = functional.affine(
        picture, angle, places, 1.0, turned, InterpolationMode.BILINEAR, fill=list(_GREY)
    )
    return changed


def _posterised(picture: PillowImage.Image, amount: float) -> PillowImage.Image:
    bits = 8 - round(abs(amount) * (8 - _LEAST_BITS))
    changed: PillowImage.Image = functional.posterize(picture, bits) if bits < 8 else picture
    return changed


def _solarised(picture: PillowImage.Image, amount: float) -> PillowImage.Image:
    # Values at the threshold are inverted too: 256 inverts none.
    changed: PillowImage.Image = functional.solarize(picture, 256 * (1 - abs(amount)))
    return changed


_OPERATIONS: tuple[_Operation, ...] = (
    lambda picture, _: picture,
    lambda picture, _: functional.autocontrast(picture),
    lambda picture, _: functional.equalize(picture),
    lambda picture, amount: _affine(picture, angle=_TURN * amount),
    _solarised,
    lambda picture, amount: functional.adjust_saturation(picture, 1 + _ENHANCE * amount),
    _posterised,
    lambda picture, amount: functional.adjust_contrast(picture, 1 + _ENHANCE * amount),
    lambda picture, amount: functional.adjust_brightness(picture, 1 + _ENHANCE * amount),
    lambda picture, amount: functional.adjust_sharpness(picture, 1 + _ENHANCE * amount),
    lambda picture, amount: _affine(picture, shear=(_SHEAR * amount, 0.0)),
    lambda picture, amount: _affine(picture, shear=(0.0, _SHEAR * amount)),
    lambda picture, amount: _affine(picture, shift=(_SHIFT * amount * picture.width, 0.0)),
    lambda picture, amount: _affine(picture, shift=(0.0, _SHIFT * amount * picture.height)),
)
