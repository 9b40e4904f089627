"""Outlines to masks: which pixels a polygon holds, to the pixel as COCO's own tools say.

Other rules (pixel centres, say) differ by pixels along every edge, which moves the average precision of
masks; so the rule is COCO's: corners are rounded to fifths of a pixel, the edges are drawn on that grid, and
a column's pixels lie inside between the places where the outline crosses the column's middle.

Frame: that of `geometry.py`, x before y.

Source: the COCO data format, "polygon", and the behaviour of its API (cocodataset.org/#format-data), with
which `tests/test_polygons.py` compares it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Array, Integers
from signet.errors import BadInput
from signet.geometry import Size
from signet.masks import Mask

_GRID = 5
"""Steps of the drawing grid in a pixel."""

_MOST_STEPS = 1 << 22
"""Of one outline, about 800,000 pixels long: what is longer comes from no image, and would take gigabytes."""


def mask_of_polygons(rings: Sequence[Array], size: Size) -> Mask:
    """The pixels that any of the outlines holds.

    Args:
        rings: one or more outlines, each (P, 2) of x, y with P at least 3; the last point joins the first.
            Parts outside the image are cut off.
        size: (height, width) of the image.

    Raises:
        BadInput: an outline of fewer points, of another shape, with values that are no numbers, or longer
            than any image's.
    """
    height, width = size
    crossings = [_crossings(checked_ring(ring), size) for ring in rings]
    if len(crossings) == 1:
        changes = _odd(crossings[0])
    else:
        # Each outline's places alternate between going in and going out; the union is where any is inside.
        pairs = [_odd(places) for places in crossings]
        edges = np.concatenate(pairs) if pairs else np.zeros(0, np.int64)
        steps = np.concatenate([_signs(len(places)) for places in pairs]) if pairs else edges
        order = np.argsort(edges, kind="stable")
        edges, depth = edges[order], np.cumsum(steps[order])
        last = np.flatnonzero(np.append(edges[1:] != edges[:-1], True)) if len(edges) else edges
        inside = depth[last] > 0
        changes = edges[last][np.diff(inside, prepend=False)] if len(edges) else edges
    changes = changes[changes < height * width]
    return Mask(np.diff(changes, prepend=0, append=height * width).astype(np.int64), (height, width))


def checked_ring(ring: Array) -> NDArray[np.float64]:
    """An outline as float64 (P, 2), which `mask_of_polygons` can fill.

    Raises:
        BadInput: fewer than 3 points, another shape, values that are no numbers, or a length that no image's
            outline has.
    """
    points = np.asarray(ring, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise BadInput(f"an outline: expected at least 3 points of x and y, got shape {points.shape}.")
    reach = float(np.abs(points).max())
    if not reach <= _MOST_STEPS:  # also where a value is not a number
        raise BadInput("an outline: expected points near an image, got values that are far from any.")
    # Most outlines are short, however their points lie; only of the others the length is measured.
    if 2 * len(points) * (_GRID * reach + 1) > _MOST_STEPS:
        sides = np.abs(np.roll(points, -1, axis=0) - points).max(axis=1)
        if _GRID * sides.sum() + 2 * len(points) > _MOST_STEPS:
            raise BadInput("an outline: expected one of an image, got one that is longer than any image's.")
    return points


def area_of_polygon(ring: Array) -> float:
    """The area within an outline (P, 2), whichever way round it goes."""
    x, y = np.asarray(ring, np.float64).T
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2


def _odd(places: Integers) -> Integers:
    """The places that occur an odd number of times, in order: two changes at one place are none."""
    values, counts = np.unique(places, return_counts=True)
    odd: Integers = values[counts % 2 == 1]
    return odd


def _signs(count: int) -> Integers:
    signs = np.ones(count, np.int64)
    signs[1::2] = -1
    return signs


def _crossings(points: NDArray[np.float64], size: Size) -> Integers:
    """Pixels, counted down the columns, at which the outline changes from outside to inside or back."""
    height, width = size
    x, y = _drawn(points)
    moved = np.flatnonzero(x[1:] != x[:-1]) + 1
    column = (np.minimum(x[moved], x[moved - 1]) + 0.5) / _GRID - 0.5
    row = (np.minimum(y[moved], y[moved - 1]) + 0.5) / _GRID - 0.5
    middle = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    rows = np.ceil(np.clip(row[middle], 0, height))
    places: Integers = (column[middle] * height + rows).astype(np.int64)
    return places


def _drawn(points: NDArray[np.float64]) -> tuple[Array, Array]:
    """The outline's steps on the grid: whole x and y, one step at a time along the longer side of an edge."""
    grid = np.trunc(_GRID * points + 0.5)
    start, end = grid, np.roll(grid, -1, axis=0)
    sides = np.abs(end - start)
    flat = sides[:, 0] >= sides[:, 1]
    long = np.where(flat, 0, 1)
    edge = np.arange(len(grid))
    # Every edge is drawn upwards in its longer side, so that it has the same steps from either end.
    turned = start[edge, long] > end[edge, long]
    low = np.where(turned[:, None], end, start)
    high = np.where(turned[:, None], start, end)
    length = sides[edge, long]
    rise = (high - low)[edge, 1 - long] / np.maximum(length, 1)
    counts = length.astype(np.int64) + 1
    which = np.repeat(edge, counts)
    step = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    along = np.where(turned[which], length[which] - step, step)
    fast = low[edge, long][which] + along
    slow = np.trunc(low[edge, 1 - long][which] + rise[which] * along + 0.5)
    return np.where(flat[which], fast, slow), np.where(flat[which], slow, fast)
