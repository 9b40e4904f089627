"""How well boxes set off what is in them from what is around them: as they are stated, and elsewhere.

Boxes that were not turned with their images lie on anything. What is in a box that lies on an object has
other colours than the ring around it; what is in a box that lies anywhere has the same.

Source: colour contrast of a window, Alexe, Deselaers and Ferrari, Measuring the Objectness of Image Windows,
    IEEE TPAMI 34 (2012) 2189-2202, section 2.2; here with 512 cells of RGB in place of Lab.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Bytes

Doubles = NDArray[np.float64]

_LEVELS = 8
"""Of each channel."""
_CELLS = _LEVELS**3
_RING = 0.2
"""Width of the ring, as a share of the box's sides, and the least area of it that can be compared."""
_LEAST_SIDE = 8
"""Pixels: a smaller box has too few of them for a histogram."""
_MOST_PIXELS = 500_000
_MOST_BOXES = 50
_ALIKE = 0.5
"""Boxes that overlap more than this where they are stated and elsewhere tell nothing apart."""

Moved = Callable[[Doubles, int, int], Doubles]
"""Boxes (K, 4) of an image so wide and so high, elsewhere in it."""


def _across(boxes: Doubles, width: int, _: int) -> Doubles:
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)


def _down(boxes: Doubles, _: int, height: int) -> Doubles:
    return np.stack([boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]], axis=1)


def _about(boxes: Doubles, width: int, height: int) -> Doubles:
    return _down(_across(boxes, width, height), width, height)


def _exchanged(boxes: Doubles, _: int, __: int) -> Doubles:
    return boxes[:, [1, 0, 3, 2]]


ELSEWHERE: Mapping[str, Moved] = MappingProxyType(
    {
        "mirrored left to right": _across,
        "mirrored top to bottom": _down,
        "turned by 180 degrees": _about,
        "with x and y exchanged": _exchanged,
    }
)
"""Where boxes would lie, had they not been turned with their image."""


def leads(pixels: Bytes, xyxy: Doubles) -> Mapping[str, float]:
    """By how much an image's boxes set off their insides better than the same boxes elsewhere would.

    Args:
        pixels: uint8 (H, W, 3) RGB, upright.
        xyxy: float64 (K, 4), left, top, right, bottom in pixels.

    Returns:
        For each of `ELSEWHERE` the mean over the boxes that can be compared, from -1 to 1; without the places
        for which there is none: boxes that are too small, fill the image, leave it, or lie nearly the same.
    """
    height, width = pixels.shape[:2]
    step = max(1, round((height * width / _MOST_PIXELS) ** 0.5))
    levels = (pixels[::step, ::step] // (256 // _LEVELS)).astype(np.int32)
    cells = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    some = xyxy[:: -(-len(xyxy) // _MOST_BOXES)] if len(xyxy) else xyxy
    stated = [_contrast(cells, box / step) for box in some]
    found = {}
    for name, moved in ELSEWHERE.items():
        others = moved(some, width, height)
        apart = [
            here - there
            for here, box, other in zip(stated, some, others, strict=True)
            if here is not None
            and _overlap(box, other) <= _ALIKE
            and (there := _contrast(cells, other / step)) is not None
        ]
        if apart:
            found[name] = float(np.mean(apart))
    return found


def _contrast(cells: NDArray[np.int32], box: Doubles) -> float | None:
    """Chi-squared distance, 0 to 1, of the colours in a box and around it; None where nothing can be said."""
    height, width = cells.shape
    left, top, right, bottom = (int(edge) for edge in np.rint(box))
    if min(left, top) < -1 or right > width + 1 or bottom > height + 1:
        return None
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if min(right - left, bottom - top) < _LEAST_SIDE:
        return None
    across, down = (max(2, round(_RING * side)) for side in (right - left, bottom - top))
    rows = slice(max(0, top - down), bottom + down)
    columns = slice(max(0, left - across), right + across)
    inside = np.bincount(cells[top:bottom, left:right].ravel(), minlength=_CELLS)
    around = np.bincount(cells[rows, columns].ravel(), minlength=_CELLS) - inside
    if around.sum() < _RING * inside.sum():
        return None
    first, second = inside / inside.sum(), around / around.sum()
    both = first + second
    return float(0.5 * np.sum((first - second) ** 2 / np.where(both > 0, both, 1)))


def _overlap(box: Doubles, other: Doubles) -> float:
    """Intersection over union."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    union = float(np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / union if union > 0 else 1.0
