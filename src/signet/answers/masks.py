"""From a network's small masks to the pixels of each object in the original image. Pure numpy."""

from __future__ import annotations

import numpy as np

from signet.answers.maps import Line, bilinear, lines, part
from signet.arrays import Array, Floats
from signet.geometry import Geometry, Size
from signet.masks import Mask


def pasted(cells: Floats, xyxy: Array, size: Size, threshold: float) -> Mask:
    """A mask that covers a box, cell by cell, as pixels of the image.

    A pixel takes the value at its centre, between the four nearest cells; beyond the outermost cells lie
    zeros. The box is taken as it is. torchvision's `paste_masks_in_image` gives the same pixels for the box
    that it rounds to, each of whose sides lies less than a pixel further out.

    Args:
        cells: (m, m) probabilities.
        xyxy: (4,), the box in pixels of the image; it may go beyond it.
        size: (height, width) of the image.
        threshold: pixels above it are inside.

    Source: He et al., Mask R-CNN, arXiv:1703.06870, section 3.1, "Inference".
    """
    padded = np.pad(cells.astype(np.float32), 1)
    made: list[tuple[Line, int]] = []
    for axis in (0, 1):
        low, high = float(xyxy[1 - axis]), float(xyxy[3 - axis])
        start, end = _pixels(low, high, size[axis])
        if end <= start:
            return _empty(size)
        count = cells.shape[axis]
        places = (np.arange(start, end) + 0.5 - low) / (high - low) * count + 0.5
        made.append((Line(places, (0, count + 1), count + 2), start))
    (rows, top), (columns, left) = made
    return placed(bilinear(padded, rows, columns) > threshold, top, left, size)


def of_map(cells: Floats, geometry: Geometry, threshold: float, xyxy: Array | None = None) -> Mask:
    """A map of the whole prepared image as pixels of the original: those above a threshold are inside.

    Args:
        cells: (h, w).
        geometry: from the original to the prepared image.
        threshold: of the interpolated values.
        xyxy: (4,), a box in pixels of the original that the object does not leave; None for no box.
    """
    size = geometry.original
    rows, columns = lines(geometry, (cells.shape[0], cells.shape[1]))
    box = (0.0, 0.0, float(size[1]), float(size[0])) if xyxy is None else xyxy
    spans = []
    for axis, line in ((0, rows), (1, columns)):
        start, end = _pixels(float(box[1 - axis]), float(box[3 - axis]), size[axis])
        # Between cells that are not above it no value is, so only the part around the others is computed.
        high = np.flatnonzero((cells > threshold).any(axis=1 - axis))
        if len(high):
            near = np.flatnonzero((line.held > high[0] - 1) & (line.held < high[-1] + 1))
            start, end = (max(start, near[0]), min(end, near[-1] + 1)) if len(near) else (0, 0)
        if not len(high) or end <= start:
            return _empty(size)
        spans.append((int(start), int(end)))
    (top, bottom), (left, right) = spans
    inside = bilinear(cells, part(rows, top, bottom), part(columns, left, right)) > threshold
    inside &= rows.covered[top:bottom, None] & columns.covered[left:right]
    return placed(inside, top, left, size)


def placed(inside: Array, top: int, left: int, size: Size) -> Mask:
    """The mask of an image of which a part is given, all else outside.

    Args:
        inside: bool (h, w).
        top: row of its first pixel.
        left: column of its first pixel.
        size: (height, width) of the image.
    """
    height = inside.shape[0]
    if height == size[0]:
        # Runs go on from one column to the next.
        flat = inside.ravel(order="F")
        edges = np.flatnonzero(np.diff(flat, prepend=False, append=False)) + left * size[0]
    else:
        flat = np.pad(inside, ((0, 1), (0, 0))).ravel(order="F")
        columns, rows = np.divmod(np.flatnonzero(np.diff(flat, prepend=False)), height + 1)
        edges = (columns + left) * size[0] + rows + top
    total = size[0] * size[1]
    ends = edges if len(edges) and edges[-1] == total else np.append(edges, total)
    return Mask(np.diff(ends, prepend=0), size)


def _pixels(low: float, high: float, side: int) -> tuple[int, int]:
    """(the first, the one after the last) of the pixels whose centres lie from `low` to before `high`."""
    start = min(max(int(np.ceil(low - 0.5)), 0), side)
    return start, min(max(int(np.ceil(high - 0.5)), start), side)


def _empty(size: Size) -> Mask:
    return Mask(np.array([size[0] * size[1]]), size)
