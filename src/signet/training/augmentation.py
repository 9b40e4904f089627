"""Changes to one training picture, each a function of (seed, epoch, image) and of nothing else.

So a resumed run sees the same pictures as an uninterrupted one, in whatever order or thread they are made.
How far they go is `variation`'s; what is laid over pictures, and how they are mixed, is `mixing`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image as PillowImage
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from signet.arrays import Bytes
from signet.geometry import Size
from signet.training.variation import Strength

_TRIES = 10
_GREY = (128, 128, 128)


def generator_of(*keys: int) -> np.random.Generator:
    """A generator of its own for some keys: equal keys, equal numbers, on every platform."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(keys)))


def augmented(pixels: Bytes, size: Size, strength: Strength, generator: np.random.Generator) -> Bytes:
    """One changed view of a picture.

    Args:
        pixels: uint8 (H, W, 3), RGB.
        size: (height, width) of the view.
        strength: how far it is changed.
        generator: where the chances come from; always the same number of draws is not promised.

    Returns:
        uint8 (height, width, 3), RGB.

    Source: C. Szegedy et al., "Going deeper with convolutions" (2014), section 6, for the random crop;
        E. Cubuk et al., "RandAugment" (2019), for the operations.
    """
    top, left, height, width = _crop(pixels.shape[:2], size, strength, generator)
    picture = PillowImage.fromarray(pixels)
    picture = functional.resized_crop(
        picture, top, left, height, width, list(size), InterpolationMode.BILINEAR
    )
    # Drawn in any case, so that the other chances are the same with and without mirror images.
    if generator.random() < 0.5 and strength.mirror:
        picture = functional.horizontal_flip(picture)
    picture = coloured(picture, strength.colour, generator)
    for _ in range(strength.operations):
        operation = _OPERATIONS[int(generator.integers(len(_OPERATIONS)))]
        picture = operation(picture, float(generator.uniform(-1, 1)))
    return np.asarray(picture)


def coloured(picture: PillowImage.Image, amount: float, generator: np.random.Generator) -> PillowImage.Image:
    """The picture with brightness, contrast and saturation changed by up to a relative amount each."""
    for change in (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation):
        picture = change(picture, 1 + generator.uniform(-amount, amount))
    return picture


def photometric(
    picture: PillowImage.Image, operations: int, generator: np.random.Generator
) -> PillowImage.Image:
    """The picture after some small random operations that move no pixel."""
    for _ in range(operations):
        operation = _PHOTOMETRIC[int(generator.integers(len(_PHOTOMETRIC)))]
        picture = operation(picture, float(generator.uniform(-1, 1)))
    return picture


def _crop(
    shape: tuple[int, ...], size: Size, strength: Strength, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a crop whose proportions are about those of the view."""
    rows, columns = shape
    for _ in range(_TRIES):
        area = rows * columns * generator.uniform(strength.area, 1)
        spread = math.log(strength.ratio)
        ratio = size[1] / size[0] * math.exp(generator.uniform(-spread, spread))
        height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < height <= rows and 0 < width <= columns:
            top = int(generator.integers(rows - height + 1))
            left = int(generator.integers(columns - width + 1))
            return top, left, height, width
    return whole(shape, size)


def whole(shape: tuple[int, ...], size: Size) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the largest centred box with the proportions of `size`."""
    rows, columns = shape
    factor = min(rows / size[0], columns / size[1])
    height, width = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    return (rows - height) // 2, (columns - width) // 2, height, width


def _affine(
    picture: PillowImage.Image, angle: float = 0.0, shift: int = 0, shear: float = 0.0
) -> PillowImage.Image:
    changed: PillowImage.Image = functional.affine(
        picture, angle, [shift, 0], 1.0, [shear, 0.0], InterpolationMode.BILINEAR, fill=list(_GREY)
    )
    return changed


def _turned(picture: PillowImage.Image, amount: float) -> PillowImage.Image:
    return _affine(picture, angle=15 * amount)


def _sheared(picture: PillowImage.Image, amount: float) -> PillowImage.Image:
    return _affine(picture, shear=15 * amount)


def _moved(picture: PillowImage.Image, amount: float) -> PillowImage.Image:
    return _affine(picture, shift=round(0.1 * amount * picture.width))


def _sharpened(picture: PillowImage.Image, amount: float) -> PillowImage.Image:
    changed: PillowImage.Image = functional.adjust_sharpness(picture, 1 + 0.5 * amount)
    return changed


def _posterised(picture: PillowImage.Image, amount: float) -> PillowImage.Image:
    changed: PillowImage.Image = functional.posterize(picture, 5 + round(abs(amount) * 2))
    return changed


def _stretched(picture: PillowImage.Image, _: float) -> PillowImage.Image:
    changed: PillowImage.Image = functional.autocontrast(picture)
    return changed


def _tinted(picture: PillowImage.Image, amount: float) -> PillowImage.Image:
    changed: PillowImage.Image = functional.adjust_hue(picture, 0.03 * amount)
    return changed


_Operations = tuple[Callable[[PillowImage.Image, float], PillowImage.Image], ...]
_PHOTOMETRIC: _Operations = (_sharpened, _posterised, _stretched, _tinted)
_OPERATIONS: _Operations = (_turned, _sheared, _moved, *_PHOTOMETRIC)
