"""What is laid over training pictures: random boxes of noise, and other pictures of the same batch.

Shape suffixes: N images of a batch, H rows, W columns, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from signet.arrays import Array, Bytes, Floats

_ERASED_AREA = (0.02, 0.4)
_ERASED_RATIO = 1 / 0.3
_TRIES = 10


def erased(pixels: Bytes, chance: float, generator: np.random.Generator) -> Bytes:
    """A picture of which a random box may be noise.

    Args:
        pixels: uint8 (H, W, 3).
        chance: how often, 0 to 1.
        generator: where the chances come from.

    Returns:
        uint8 (H, W, 3); the picture itself where nothing is erased.

    Source: Z. Zhong et al., "Random Erasing Data Augmentation" (2017), algorithm 1, with random values
        (RE-R); areas of 2 to 40 % and proportions from 0.3 to 1 / 0.3, as in its experiments.
    """
    if generator.random() >= chance:
        return pixels
    rows, columns = pixels.shape[:2]
    spread = math.log(_ERASED_RATIO)
    for _ in range(_TRIES):
        area = rows * columns * generator.uniform(*_ERASED_AREA)
        ratio = math.exp(generator.uniform(-spread, spread))
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < height < rows and 0 < width < columns:
            top = int(generator.integers(rows - height + 1))
            left = int(generator.integers(columns - width + 1))
            changed = pixels.copy()
            shape = (height, width, pixels.shape[2])
            changed[top : top + height, left : left + width] = generator.integers(256, size=shape)
            return changed
    return pixels


def mixed(
    views_NHWC: Array, mixup: float, cutmix: float, generators: Sequence[np.random.Generator]
) -> tuple[Array, Floats]:
    """Each picture mixed with the next one of its batch.

    Where both ways are given each picture takes one of them, by chance.

    Args:
        views_NHWC: uint8 or float; uint8 is rounded.
        mixup: alpha of the beta distribution that the share comes from; 0 for none.
        cutmix: likewise, of the area that the next picture covers; 0 for none.
        generators: one for each picture.

    Returns:
        Views of the same shape and type, and float32 (N,): how much of each is its own picture.

    Source: H. Zhang et al., "mixup" (2017), equation 1; S. Yun et al., "CutMix" (2019), section 3.1: the
        share is that of the area after the box is cut at the borders.
    """
    shares = np.ones(len(views_NHWC), np.float32)
    if not mixup and not cutmix:
        return views_NHWC, shares
    others = np.roll(views_NHWC, -1, axis=0)
    made = views_NHWC.copy()
    for place, generator in enumerate(generators):
        by_box = bool(generator.random() < 0.5) if mixup and cutmix else bool(cutmix)
        alpha = cutmix if by_box else mixup
        share = float(generator.beta(alpha, alpha))
        if by_box:
            rows, columns = _box(made.shape[1:3], 1 - share, generator)
            made[place, rows, columns] = others[place, rows, columns]
            covered = (rows.stop - rows.start) * (columns.stop - columns.start)
            shares[place] = 1 - covered / (made.shape[1] * made.shape[2])
        else:
            # Either of two blended pictures may be the one that it is a view of: the stronger one is, so that
            # an epoch shows every picture mainly once.
            share = max(share, 1 - share)
            made[place] = _blended(made[place], others[place], share)
            shares[place] = share
    return made, shares


def mixed_targets(targets: Floats, shares: Floats) -> Floats:
    """What is right of mixed pictures: float32 (N, ...) targets, each with the next one's by its share."""
    own = shares.reshape(-1, *[1] * (targets.ndim - 1))
    return np.asarray(own * targets + (1 - own) * np.roll(targets, -1, axis=0), np.float32)


def _blended(first: Array, second: Array, share: float) -> Array:
    both: Array = np.float32(share) * first + np.float32(1 - share) * second
    return np.rint(both).astype(first.dtype) if first.dtype == np.uint8 else both.astype(first.dtype)


def _box(size: tuple[int, ...], share: float, generator: np.random.Generator) -> tuple[Any, Any]:
    """Rows and columns of a box with a share of the area, about a random centre, cut at the borders."""
    slices = []
    for length in size:
        side = length * math.sqrt(share)
        centre = generator.uniform(0, length)
        slices.append(slice(max(0, round(centre - side / 2)), max(0, min(length, round(centre + side / 2)))))
    return slices[0], slices[1]
