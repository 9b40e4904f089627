"""From what a file states of its objects to checked rows: the same rules for every format.

1. An image that is missing, unreadable, or of another size than stated is left out with its objects.
2. Numbers are taken as of the upright image. Where the file states the size that the image has before it is
   turned upright (EXIF), its numbers are of that, and they are turned with the image.
3. Numbers that are systematically of another kind than the format has are refused (`audits`).
4. Swapped corners are put right; a box that reaches beyond its image by more than half a pixel is cut off at
   the edge (less is a rounding, and stays); a box without area is left out.
5. An object that repeats another one in all that is said of it is left out.

Everything is counted in `Findings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Array
from signet.datasets.annotations import Objects, Shape, shapes_equal
from signet.datasets.audits import (
    ROUNDING,
    Convention,
    audit_boxes,
    audit_fractions,
    audit_unit,
    corners_of,
)
from signet.datasets.dataset import Entry
from signet.datasets.findings import Findings
from signet.decoding import upright
from signet.errors import BadDataset, BadInput
from signet.extents import Extent, extent_of
from signet.geometry import Size
from signet.masks import Mask
from signet.naming import shown
from signet.polygons import area_of_polygon, checked_ring

Doubles = NDArray[np.float64]
_MASKED = 0.98
"""The share of objects with a mask from which on the others are taken for mistakes."""


@dataclass(slots=True)
class StatedImage:
    """An image and its objects as a file states them: lists of one length, in the file's own numbers.

    Attributes:
        path: the image.
        split: see `Entry`.
        size: (height, width) as stated, or None.
        boxes: four finite numbers each.
        indices: positions in the labels.
        crowd: see `Boxes`.
        areas: as stated, or None.
        shapes: the pixels of each, or None.
    """

    path: Path
    split: str | None = None
    size: Size | None = None
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    areas: list[float | None] = field(default_factory=list)
    shapes: list[Shape | None] = field(default_factory=list)

    def add(
        self,
        box: tuple[float, float, float, float],
        index: int,
        *,
        crowd: bool = False,
        area: float | None = None,
        shape: Shape | None = None,
    ) -> None:
        """One more object."""
        self.boxes.append(box)
        self.indices.append(index)
        self.crowd.append(crowd)
        self.areas.append(area)
        self.shapes.append(shape)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the numbers of a format are.

    Attributes:
        convention: what the four of a box are.
        fractions: of the image's sides; else pixels.
    """

    convention: Convention
    fractions: bool = False


@dataclass(frozen=True, slots=True)
class _Framed:
    """A stated image whose file is there: `frame` is the size that its numbers are of."""

    stated: StatedImage
    extent: Extent
    frame: Size
    orientation: int


def assembled(
    images: Sequence[StatedImage],
    numbers: Numbers,
    where: str,
    findings: Findings,
    *,
    masks: bool | None = None,
) -> tuple[tuple[Entry, ...], bool]:
    """The checked rows of a dataset of objects, by the rules at the top of this file.

    Args:
        images: what was stated; each image once.
        numbers: what the format says its numbers are.
        where: the dataset, for messages.
        findings: takes what was found.
        masks: whether objects need a mask: None to see whether (nearly) all have one.

    Returns:
        The rows, and whether their objects have masks.

    Raises:
        BadDataset: the numbers are of another kind, or no image is left.
    """
    framed = [row for image in images if (row := _framed(image, findings)) is not None]
    if not framed:
        said = " ".join(findings.notes)
        raise BadDataset(
            f"{where}: expected images with annotations, got none that can be used. {said}".strip()
        )
    _audit(framed, numbers, where)
    with_mask = [shape is not None for row in framed for shape in row.stated.shapes]
    has_masks = masks if masks is not None else bool(with_mask) and sum(with_mask) >= _MASKED * len(with_mask)
    if masks is None and not has_masks:
        for row in framed:
            count = sum(shape is not None for shape in row.stated.shapes)
            findings.add("spare mask", row.stated.path.name, count)
    entries = []
    for row in framed:
        objects = _objects(row, numbers, has_masks, findings)
        image = row.stated
        entries.append(Entry(image.path, objects.classes, image.split, annotation=objects))
    return tuple(entries), has_masks


def _framed(image: StatedImage, findings: Findings) -> _Framed | None:
    name = image.path.name
    try:
        extent = extent_of(image.path)
    except BadInput:
        findings.add("unreadable" if image.path.is_file() else "missing", name)
        return None
    if image.size is None or image.size == extent.upright:
        return _Framed(image, extent, extent.upright, 1)
    if image.size == extent.stored:
        findings.add("turned", name)
        return _Framed(image, extent, extent.stored, extent.orientation)
    findings.add("other size", name)
    return None


def _audit(framed: Sequence[_Framed], numbers: Numbers, where: str) -> None:
    boxes = np.array([box for row in framed for box in row.stated.boxes], np.float64).reshape(-1, 4)
    if not len(boxes):
        return
    name = shown(where)
    if numbers.fractions:
        names = [row.stated.path.name for row in framed for _ in row.stated.boxes]
        outside = np.flatnonzero(_beyond(boxes))
        if len(outside):
            example = f"{shown(names[outside[0]])} has {', '.join(f'{n:g}' for n in boxes[outside[0]])}"
            audit_fractions(len(outside), len(boxes), example, name)
        kept = ~_beyond(boxes)
        audit_boxes(boxes[kept], np.ones((int(kept.sum()), 2)), numbers.convention, name)
        return
    sizes = np.array([row.frame[::-1] for row in framed for _ in row.stated.boxes], np.float64)
    audit_unit(boxes, sizes, name)
    audit_boxes(boxes, sizes, numbers.convention, name)


def _objects(row: _Framed, numbers: Numbers, has_masks: bool, findings: Findings) -> Objects:
    image, name = row.stated, row.stated.path.name
    height, width = row.frame
    boxes = np.array(image.boxes, np.float64).reshape(-1, 4)
    kept = np.ones(len(boxes), np.bool_)
    scale = np.ones(4)
    if numbers.fractions:
        kept = ~_beyond(boxes)
        findings.add("out of range", name, int((~kept).sum()))
        scale = np.array([width, height, width, height], np.float64)
    xyxy = _put_right(corners_of(boxes, numbers.convention), numbers.convention, name, findings) * scale
    sides = np.array([width, height, width, height], np.float64)
    cut = np.clip(xyxy, 0, sides)
    beyond = kept & (np.abs(cut - xyxy).max(axis=1, initial=0) > 0.5)
    empty = kept & ((cut[:, 2] <= cut[:, 0]) | (cut[:, 3] <= cut[:, 1]))
    # A rounding is left as it is stated: truths that are measured elsewhere too must be the same numbers.
    cut = np.where(beyond[:, None], cut, xyxy)
    findings.add("clipped", name, int((beyond & ~empty).sum()))
    findings.add("no area", name, int(empty.sum()))
    kept &= ~empty
    shapes: list[Shape | None] = [None] * len(boxes)
    if has_masks:
        shapes = [_shape(shape, row.frame, scale[:2]) for shape in image.shapes]
        bad = np.array(
            [one is None and two is not None for one, two in zip(shapes, image.shapes, strict=True)]
        )
        lacking = np.array([shape is None for shape in image.shapes])
        findings.add("bad mask", name, int((kept & bad).sum()) if len(bad) else 0)
        findings.add("no mask", name, int((kept & lacking).sum()) if len(lacking) else 0)
        kept &= np.array([shape is not None for shape in shapes], np.bool_).reshape(-1)
    repeated = _repeated(cut, image, shapes, kept)
    findings.add("repeated", name, len(repeated))
    kept[repeated] = False
    return _turned(row, cut, shapes if has_masks else None, np.flatnonzero(kept))


def _turned(row: _Framed, xyxy: Doubles, shapes: list[Shape | None] | None, places: Array) -> Objects:
    """The objects that are left, on the upright image."""
    image, size, orientation = row.stated, row.extent.upright, row.orientation
    kept = places.tolist()
    corners = turned_points(xyxy[places].reshape(-1, 2, 2), orientation, size)
    boxes = np.hstack([corners.min(axis=1), corners.max(axis=1)]).reshape(-1, 4)
    chosen: list[Shape | None] = [None] * len(kept)
    if shapes is not None:
        chosen = [_turned_shape(shapes[place], orientation, size) for place in kept]
    stated = [image.areas[place] for place in kept]
    areas = [
        area if area is not None else _area(shape, box)
        for area, shape, box in zip(stated, chosen, (boxes[:, 2:] - boxes[:, :2]).prod(axis=1), strict=True)
    ]
    return Objects(
        xyxy=boxes,
        indices=np.array([image.indices[place] for place in kept], np.int64),
        crowd=np.array([image.crowd[place] for place in kept], np.bool_),
        areas=np.array(areas, np.float64),
        size=size,
        shapes=None if shapes is None else tuple(shape for shape in chosen if shape is not None),
    )


def turned_points(points: Array, orientation: int, size: Size) -> Doubles:
    """Points (..., 2) of x, y in an image as stored, on the upright image of (height, width) `size`.

    Source: Exif 2.32, tag 0x0112; the same turns as `decoding.upright`.
    """
    turned = np.array(points, np.float64)
    if orientation >= 5:
        turned = turned[..., ::-1].copy()
    if orientation in (3, 4, 7, 8):
        turned[..., 1] = size[0] - turned[..., 1]
    if orientation in (2, 3, 6, 7):
        turned[..., 0] = size[1] - turned[..., 0]
    return turned


def _area(shape: Shape | None, box: float) -> float:
    """The pixels of an object whose area nobody states."""
    if shape is None:
        return float(box)
    return float(shape.area if isinstance(shape, Mask) else sum(area_of_polygon(ring) for ring in shape))


def _turned_shape(shape: Shape | None, orientation: int, size: Size) -> Shape | None:
    if shape is None or orientation == 1:
        return shape
    if isinstance(shape, Mask):
        return Mask.of(upright(shape.to_array(), orientation))
    return tuple(turned_points(ring, orientation, size) for ring in shape)


def _shape(shape: Shape | None, frame: Size, scale: Doubles) -> Shape | None:
    """A shape in pixels of its image, or None where it cannot be one of it."""
    if shape is None or isinstance(shape, Mask):
        return shape if shape is not None and shape.size == frame else None
    limit = np.array(frame[::-1], np.float64)
    try:
        rings = tuple(checked_ring(ring if (scale == 1).all() else ring * scale) for ring in shape)
    except BadInput:
        return None
    points = rings[0] if len(rings) == 1 else np.concatenate(rings or (np.full((1, 2), np.inf),))
    near = (points.min(axis=0) >= -limit).all() and (points.max(axis=0) <= 2 * limit).all()
    return rings if near else None


def _put_right(xyxy: Doubles, convention: Convention, name: str, findings: Findings) -> Doubles:
    """Corners in order. Only where a file states corners can they be swapped; a negative side has no area."""
    if convention != "xyxy":
        return xyxy
    swapped = (xyxy[:, 2:] < xyxy[:, :2]).any(axis=1)
    findings.add("swapped", name, int(swapped.sum()))
    low, high = np.minimum(xyxy[:, :2], xyxy[:, 2:]), np.maximum(xyxy[:, :2], xyxy[:, 2:])
    return np.hstack([low, high])


def _repeated(boxes: Doubles, image: StatedImage, shapes: Sequence[Shape | None], kept: Array) -> list[int]:
    first: dict[tuple[object, ...], list[int]] = {}
    repeated = []
    for place in np.flatnonzero(kept).tolist():
        key = (image.indices[place], image.crowd[place], boxes[place].tobytes())
        before = first.setdefault(key, [])
        if any(_same(shapes[place], shapes[other]) for other in before):
            repeated.append(place)
        else:
            before.append(place)
    return repeated


def _same(one: Shape | None, two: Shape | None) -> bool:
    if one is None or two is None:
        return one is two
    return shapes_equal(one, two)


def _beyond(boxes: Doubles) -> NDArray[np.bool_]:
    """Which boxes have a number that is no fraction, beyond what rounding explains."""
    return np.asarray(((boxes < -ROUNDING) | (boxes > 1 + ROUNDING)).any(axis=1))
