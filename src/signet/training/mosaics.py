"""Four pictures on one canvas: more objects in a step, at more sizes and beside more strangers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from signet.geometry import Size
from signet.training.contents import Shown, joined
from signet.training.views import ViewStrength, drawn, recoloured

MOSAIC = 4  # the role of these random numbers; other roles are in loop.py and pictures.py

_CUT = (0.25, 0.75)
"""Where the canvas is cut, as shares of its sides: no picture gets less than a quarter of one."""

_LEAST_SCALE = 0.5
"""At half the size a whole picture fills a quarter of the canvas."""


def in_use(epoch: int, epochs: int) -> bool:
    """Whether an epoch still has mosaics: the last twentieth of the run, rounded up, has none.

    No image that the network will be asked about is one, so the last steps see pictures as they are.

    Args:
        epoch: from 1.
        epochs: of the whole run.

    Source: Z. Ge et al., YOLOX, arXiv:2107.08430, section 2.2: off for the last 15 of 300 epochs.
    """
    return epoch <= epochs - -(-epochs * 15 // 300)


def mosaic(
    pictures: Sequence[Shown],
    size: Size,
    strength: ViewStrength,
    generator: np.random.Generator,
    *,
    flip: bool,
) -> Shown:
    """Views of four pictures around one point.

    Args:
        pictures: four; the first lies at the top left, the last at the bottom right.
        size: (height, width) of the canvas; each side at least 4.
        strength: how far a view may differ from what the evaluation shows; the least scale is at most a half.
        generator: where the chances come from.
        flip: whether left and right may be exchanged.

    Source: A. Bochkovskiy et al., YOLOv4, arXiv:2004.10934, section 3.3 and figure 3. It does not say how the
        canvas is cut or the pictures are scaled; the constants above are ours.
    """
    strength = dataclasses.replace(strength, scale=(min(_LEAST_SCALE, strength.scale[0]), strength.scale[1]))
    down, right = (round(side * generator.uniform(*_CUT)) for side in size)
    corners = itertools.product(((0, down), (down, size[0])), ((0, right), (right, size[1])))
    canvas = np.empty((*size, 3), np.uint8)
    contents = []
    for picture, ((top, bottom), (left, end)) in zip(pictures, corners, strict=True):
        shape = picture.pixels.shape[:2]
        view = drawn(shape, (bottom - top, end - left), strength, generator, flip=flip, frame=size)
        shown = picture.through(view)
        canvas[top:bottom, left:end] = recoloured(shown.pixels, strength, generator)
        contents.append(shown.contents.moved(top, left))
    return Shown(canvas, joined(contents))
