"""A changed view of a training picture, drawn once and applied alike to its pixels and to what lies on them.

A view is a scale and a shift of each axis, and perhaps a mirror: pixels, masks and boxes go through the same
numbers, so that they cannot part. Frame: that of `geometry.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from signet.arrays import Bytes, Integers
from signet.geometry import Geometry, Size
from signet.training.augmentation import coloured, photometric
from signet.training.variation import Augmentation

_GREY = (128, 128, 128)
Resampling = PillowImage.Resampling


@dataclass(frozen=True, slots=True)
class ViewStrength:
    """How far a picture of pixels' labels or of objects is changed.

    Attributes:
        scale: least and greatest factor to the size at which the evaluation shows it.
        ratio: greatest factor between the proportions of the view and those of the picture.
        colour: greatest relative change of brightness, contrast and saturation.
        operations: small random operations on colours after that.
    """

    scale: tuple[float, float]
    ratio: float
    colour: float
    operations: int


VIEW_STRENGTHS: dict[Augmentation, ViewStrength] = {
    "light": ViewStrength(scale=(0.75, 1.5), ratio=1.1, colour=0.15, operations=0),
    "medium": ViewStrength(scale=(0.5, 2.0), ratio=1.2, colour=0.3, operations=1),
}
"""Source: L.-C. Chen et al., "Rethinking Atrous Convolution" (2017), section 4.1: the scales of "medium"."""


@dataclass(frozen=True, slots=True)
class View:
    """A window of a picture, shown at a size.

    Attributes:
        top: of the window, in the picture's pixels; below 0 where the window begins before the picture.
        left: likewise.
        scale: (y, x), pixels of the view for one of the picture.
        size: (height, width) of the view.
        mirrored: left and right are exchanged.
    """

    top: float
    left: float
    scale: tuple[float, float]
    size: Size
    mirrored: bool = False

    @classmethod
    def of(cls, geometry: Geometry) -> View:
        """What an evaluation shows of an original image."""
        (down, right), scale = geometry.shift, geometry.scale
        return cls(-down / scale[0], -right / scale[1], scale, geometry.prepared)

    def pixels(self, pixels: Bytes) -> Bytes:
        """The view of a picture, uint8 (H, W, 3); grey where it shows none."""
        canvas = np.full((*self.size, 3), _GREY, np.uint8)
        shown: Bytes = self._shown(PillowImage.fromarray(pixels), canvas, Resampling.BILINEAR)
        return shown

    def labels(self, labels: NDArray[np.int32], missing: int) -> NDArray[np.int32]:
        """The view of a map of labels, int32 (H, W): each pixel has that of the nearest one, or `missing`."""
        canvas = np.full(self.size, missing, np.int32)
        shown: NDArray[np.int32] = self._shown(PillowImage.fromarray(labels), canvas, Resampling.NEAREST)
        return shown

    def boxes(self, xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes float64 (K, 4) of the picture in the view, not clipped to it."""
        corner = np.array([self.left, self.top] * 2)
        moved: NDArray[np.float64] = (xyxy - corner) * np.array([self.scale[1], self.scale[0]] * 2)
        if self.mirrored:
            moved[:, [0, 2]] = self.size[1] - moved[:, [2, 0]]
        return moved

    def places(self, axis: int) -> Integers:
        """int64: the picture's row (axis 0) or column (axis 1) under the centre of each of the view's.

        Those beside the picture have numbers that no row or column has. A mirror is not looked at.
        """
        corner, scale = (self.top, self.left)[axis], self.scale[axis]
        places: Integers = np.floor((np.arange(self.size[axis]) + 0.5) / scale + corner).astype(np.int64)
        return places

    def _shown(self, picture: PillowImage.Image, canvas: Any, kernel: Resampling) -> Any:
        """The part of the picture that the view shows, resampled onto its place on the canvas."""
        rows = _span(self.top, self.scale[0], self.size[0], picture.height)
        columns = _span(self.left, self.scale[1], self.size[1], picture.width)
        if rows.last > rows.first and columns.last > columns.first:
            box = (columns.start, rows.start, columns.end, rows.end)
            shape = (columns.last - columns.first, rows.last - rows.first)
            part = np.asarray(picture.resize(shape, kernel, box=box))
            canvas[rows.first : rows.last, columns.first : columns.last] = part
        return np.ascontiguousarray(canvas[:, ::-1]) if self.mirrored else canvas


def drawn(
    shape: tuple[int, ...],
    size: Size,
    strength: ViewStrength,
    generator: np.random.Generator,
    *,
    flip: bool,
    frame: Size | None = None,
) -> View:
    """A random view of a picture.

    Args:
        shape: (height, width) of the picture.
        size: (height, width) of the view.
        strength: how far it may differ.
        generator: where the chances come from.
        flip: whether left and right may be exchanged.
        frame: (height, width) that the evaluation fits the picture into; `size` when None.
    """
    low, high = strength.scale
    frame = frame or size
    fitting = min(frame[0] / shape[0], frame[1] / shape[1])
    factor = fitting * math.exp(generator.uniform(math.log(low), math.log(high)))
    spread = math.log(strength.ratio) / 2
    skew = math.exp(generator.uniform(-spread, spread))
    scale = factor * skew, factor / skew
    corner = []
    for axis in (0, 1):
        room = shape[axis] - size[axis] / scale[axis]
        corner.append(float(generator.uniform(min(0.0, room), max(0.0, room))))
    # Drawn in any case, so that the other chances are the same with and without mirror images.
    mirrored = bool(generator.random() < 0.5) and flip
    return View(corner[0], corner[1], scale, size, mirrored)


def recoloured(pixels: Bytes, strength: ViewStrength, generator: np.random.Generator) -> Bytes:
    """The picture in changed colours, uint8 (H, W, 3); nothing moves."""
    picture = coloured(PillowImage.fromarray(pixels), strength.colour, generator)
    return np.asarray(photometric(picture, strength.operations, generator))


@dataclass(frozen=True, slots=True)
class _Span:
    """Which pixels of the view show the picture along one axis, and which part of it."""

    first: int
    last: int
    start: float
    end: float


def _span(corner: float, scale: float, length: int, side: int) -> _Span:
    """Pixels of the view that lie in the picture whole: none of them needs what is not there."""
    first = max(0, math.ceil(-corner * scale - 1e-9))
    last = min(length, math.floor((side - corner) * scale + 1e-9))
    start, end = corner + first / scale, corner + last / scale
    return _Span(first, last, max(0.0, start), min(float(side), end))
