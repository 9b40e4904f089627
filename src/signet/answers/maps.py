"""From the cells of a network's map to the pixels of the original image: nearest, bilinear, in blocks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from signet.arrays import Array, Floats, Integers
from signet.geometry import Geometry, Size


class Line(NamedTuple):
    """Where the pixels of one axis of the original lie on a map.

    Attributes:
        places: float64 (L,), in cells; the first cell's centre is 0.
        inside: the first and the last cell whose centre shows the image, and no padding.
        cells: how many there are.
    """

    places: Array
    inside: tuple[int, int]
    cells: int

    @property
    def covered(self) -> Array:
        """Bool (L,): pixels that the map shows at all; a crop leaves out others."""
        covered: Array = (self.places >= -0.5) & (self.places < self.cells - 0.5)
        return covered

    @property
    def held(self) -> Array:
        """float64 (L,): the places, those beyond the image's outermost cells moved onto them."""
        held: Array = np.clip(self.places, *self.inside)
        return held

    @property
    def nearest(self) -> Integers:
        """int64 (L,): the cell that a pixel's centre lies in."""
        cells = np.floor(self.places + 0.5).astype(np.int64)
        return np.clip(cells, *self.inside)


def lines(geometry: Geometry, cells: Size) -> tuple[Line, Line]:
    """The rows and the columns of an original on a map of its prepared image.

    Args:
        geometry: from the original to the prepared image.
        cells: (height, width) of the map, which covers the whole prepared image.
    """
    made = []
    for axis in (0, 1):
        density = cells[axis] / geometry.prepared[axis]
        scale, shift = geometry.scale[axis], geometry.shift[axis]
        centres = np.arange(geometry.original[axis]) + 0.5
        # The part of the map that shows the image: cells whose centre lies in it, at least one.
        start, end = shift * density, (shift + geometry.original[axis] * scale) * density
        first = min(max(int(np.ceil(start - 0.5 - 1e-6)), 0), cells[axis] - 1)
        last = max(min(int(np.ceil(end - 0.5 - 1e-6)) - 1, cells[axis] - 1), first)
        made.append(Line((centres * scale + shift) * density - 0.5, (first, last), cells[axis]))
    return made[0], made[1]


def nearest(cells: Array, geometry: Geometry, missing: int) -> Array:
    """A map (h, w) as (H, W) of the original; pixels that a crop left out get `missing`."""
    rows, columns = lines(geometry, (cells.shape[0], cells.shape[1]))
    found: Array = cells[rows.nearest[:, None], columns.nearest]
    found[~rows.covered] = missing
    found[:, ~columns.covered] = missing
    return found


def bilinear(maps: Floats, rows: Line, columns: Line) -> Floats:
    """Maps (..., h, w) at pixels, (..., H, W): between the four nearest cells, held at the image's edge.

    Source: bilinear interpolation with half-pixel centres, as torch's `interpolate` with
    `align_corners=False`; there is no smoothing when the original is the smaller one.
    """
    low, high, share = _between(rows)
    tall = maps[..., low, :]
    tall += (maps[..., high, :] - tall) * share[:, None]
    low, high, share = _between(columns)
    wide: Floats = tall[..., low]
    wide += (tall[..., high] - wide) * share
    return wide


def _between(line: Line) -> tuple[Integers, Integers, Floats]:
    """(the cell before, the cell after, how far from the first to the second) of each pixel."""
    first, last = line.inside
    places = line.held
    low = np.minimum(np.floor(places), max(last - 1, first)).astype(np.int64)
    return low, np.minimum(low + 1, last), (places - low).astype(np.float32)


def part(line: Line, start: int, end: int) -> Line:
    """Some of the pixels, from `start` to before `end`."""
    return Line(line.places[start:end], line.inside, line.cells)
