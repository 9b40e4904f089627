"""The truth of one row as its file states it, kept small: made into a noun only when somebody asks.

Frame: that of `geometry.py`, in pixels of the upright original.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Array, Integers, frozen
from signet.boxes import Boxes, Doubles, Flags
from signet.decoding import upright
from signet.errors import BadDataset
from signet.extents import read_values
from signet.geometry import Size
from signet.instances import Instances
from signet.masks import Mask
from signet.naming import shown
from signet.polygons import mask_of_polygons
from signet.segments import UNLABELLED, SegmentMap
from signet.storage import digest_of

Rings = tuple[Doubles, ...]
"""The outlines of one object, each float64 (P, 2)."""

Shape = Mask | Rings
"""The pixels of one object: run lengths or outlines, as the file has them."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Objects:
    """The K objects of an image.

    Attributes:
        xyxy: float64 (K, 4): left, top, right, bottom, at most half a pixel beyond the image.
        indices: int64 (K,), positions in the dataset's labels.
        crowd: bool (K,); see `Boxes`.
        areas: float64 (K,), pixels, as stated; of the box where nobody did.
        shapes: K shapes, or None where the file has boxes only.
        size: (height, width) of the upright image.
    """

    xyxy: Doubles
    indices: Integers
    crowd: Flags
    areas: Doubles
    size: Size
    shapes: tuple[Shape, ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.xyxy)
        for name, dtype, shape in (
            ("xyxy", "float64", (count, 4)),
            ("indices", "int64", (count,)),
            ("crowd", "bool", (count,)),
            ("areas", "float64", (count,)),
        ):
            object.__setattr__(self, name, frozen(getattr(self, name), f"objects' {name}", dtype, shape))

    def __len__(self) -> int:
        return len(self.xyxy)

    @property
    def classes(self) -> tuple[int, ...]:
        """The distinct indices, in order."""
        return tuple(np.unique(self.indices).tolist())

    @property
    def digest(self) -> str:
        """sha256 over all of it, as 64 hex digits."""
        found = hashlib.sha256(repr((self.size, len(self), self.shapes is not None)).encode())
        for array in (self.xyxy, self.indices, self.crowd, self.areas):
            found.update(_bytes(array))
        for shape in self.shapes or ():
            parts = (shape.counts,) if isinstance(shape, Mask) else shape
            found.update(repr((isinstance(shape, Mask), [len(part) for part in parts])).encode())
            for part in parts:
                found.update(_bytes(part))
        return found.hexdigest()

    def boxes(self, labels: tuple[str, ...], source: str) -> Boxes:
        """The truth of a detection."""
        return Boxes.truth(
            self.xyxy, self.indices, labels, self.size, crowd=self.crowd, areas=self.areas, source=source
        )

    def instances(self, labels: tuple[str, ...], source: str) -> Instances:
        """The truth of an instance segmentation; outlines are filled now.

        Raises:
            BadDataset: the file has boxes only.
        """
        if self.shapes is None:
            raise BadDataset(f"{shown(source)}: expected objects with masks, got boxes only.")
        return Instances(self.boxes(labels, source), self.masks)

    @property
    def masks(self) -> tuple[Mask, ...]:
        """K masks; outlines are filled now. None of them where the file has boxes only."""
        return tuple(
            shape if isinstance(shape, Mask) else mask_of_polygons(shape, self.size)
            for shape in self.shapes or ()
        )


@dataclass(frozen=True, slots=True, eq=False)
class ValueTable:
    """What the values of label images mean; one for a whole dataset.

    Attributes:
        values: int32 (V,), in order: grey levels, palette positions or packed colours (`read_values`).
        indices: int32 (V,): the position in the dataset's labels, or -1 for unlabelled.
        colours: whether the values are packed colours.
        background: the index that stands for "nothing of these", or None.
    """

    values: NDArray[np.int32]
    indices: NDArray[np.int32]
    colours: bool = False
    background: int | None = None

    def look_up(self, values: Array) -> tuple[NDArray[np.int32], Integers]:
        """Each pixel's index, -1 where unlabelled; and the values, in order, that the table does not have."""
        found, inverse = np.unique(values, return_inverse=True)
        places = np.minimum(np.searchsorted(self.values, found), len(self.values) - 1)
        known = self.values[places] == found
        indices = np.where(known, self.indices[places], UNLABELLED).astype(np.int32)
        return indices[inverse.reshape(values.shape)], found[~known].astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LabelImage:
    """A label for each pixel of an image, in a file of its own.

    Attributes:
        path: the label image.
        table: what its values mean.
        orientation: how it is turned to lie on the upright image, as EXIF has it.
        classes: the distinct indices that occur.
    """

    path: Path
    table: ValueTable
    classes: tuple[int, ...]
    orientation: int = 1

    @property
    def digest(self) -> str:
        """sha256 over the file and the table; the file is read."""
        found = hashlib.sha256(f"{digest_of(self.path)} {self.orientation} {self.table.background}".encode())
        found.update(_bytes(self.table.values) + _bytes(self.table.indices))
        return found.hexdigest()

    def segments(self, labels: tuple[str, ...], source: str) -> SegmentMap:
        """The truth of a semantic segmentation; the file is read now.

        Raises:
            BadInput: the file cannot be read any more.
        """
        values = read_values(self.path)
        indices, _ = self.table.look_up(values.reshape(values.shape[:2]))
        turned = np.ascontiguousarray(upright(indices, self.orientation))
        return SegmentMap(turned, labels, background=self.table.background, source=source)


Annotation = Objects | LabelImage


def shapes_equal(one: Shape, two: Shape) -> bool:
    """Whether two objects have the same shape, stated in the same way."""
    if isinstance(one, Mask) or isinstance(two, Mask):
        return isinstance(one, Mask) and isinstance(two, Mask) and one == two
    return len(one) == len(two) and all(map(np.array_equal, one, two))


def packed_colours(colours: Sequence[tuple[int, int, int]]) -> list[int]:
    """Colours as the whole numbers that `read_values` gives for them."""
    return [red << 16 | green << 8 | blue for red, green, blue in colours]


def _bytes(array: Array) -> bytes:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
