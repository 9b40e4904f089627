"""What the objects of training images are like: how many, of which labels, how large where they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from signet.arrays import Floats, Integers
from signet.datasets import Dataset
from signet.datasets.annotations import Objects
from signet.geometry import Size
from signet.naming import shown

RARE = 10
"""Objects of a label below which it is said that they are few."""
TINY = 8
"""Pixels: an object that is no larger than a cell of the finest map that answers."""
_LISTED = 8


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Census:
    """The objects of some images; those that stand for many (crowd) are not counted.

    Attributes:
        labels: C names.
        counts: int64 (C,), objects of each label.
        each: int64 (N,), objects of each image.
        shapes: float32 (K, 2), widths and heights of the boxes, in pixels of the prepared image.
        size: (height, width) of that.
        crowds: regions that stand for many, or that their annotator calls difficult.
    """

    labels: tuple[str, ...]
    counts: Integers
    each: Integers
    shapes: Floats
    size: Size
    crowds: int = 0

    @property
    def sides(self) -> Floats:
        """float32 (K,): square roots of the boxes' areas."""
        sides: Floats = np.sqrt(self.shapes.prod(axis=1))
        return sides

    @property
    def most(self) -> int:
        """Objects of the image that has most."""
        return int(self.each.max(initial=0))

    @property
    def small(self) -> float:
        """The side below which one object in ten is; infinite without any."""
        return float(np.quantile(self.sides, 0.1)) if len(self.sides) else float("inf")

    @property
    def words(self) -> tuple[str, ...]:
        """What a person should know, in sentences."""
        total, empty = int(self.counts.sum()), int((self.each == 0).sum())
        order = np.argsort(-self.counts, kind="stable")
        named = [f"{shown(self.labels[place])} {self.counts[place]}" for place in order[:_LISTED].tolist()]
        more = f" and {len(order) - _LISTED} more labels" if len(order) > _LISTED else ""
        said = [f"{total} objects to learn from, at most {self.most} in one image: {', '.join(named)}{more}"]
        if empty:
            said.append(f"images without an object: {empty}; they stay, and teach what is none")
        if len(self.sides):
            height, width = self.size
            said.append(
                f"one object in ten is smaller than {self.small:.0f} pixels, half are smaller than "
                f"{float(np.median(self.sides)):.0f}, where images have {height}x{width}"
            )
        return tuple(said)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may come out badly, in sentences."""
        found = []
        rare = [f"{shown(self.labels[place])} {self.counts[place]}" for place in self._rare()]
        if rare:
            words = f"{', '.join(rare[:_LISTED])}{' ...' if len(rare) > _LISTED else ''}"
            found.append(
                f"labels with fewer than {RARE} objects to learn from: {words}. They may not be found."
            )
        if len(self.sides) and float(np.median(self.sides)) < TINY:
            found.append(
                f"half of the objects are smaller than {TINY} pixels where the network sees them: a recipe "
                "with a larger input_size would show more of them."
            )
        if self.crowds:
            found.append(
                f"regions that stand for many objects, or are marked as difficult: {self.crowds}. They are "
                "no targets, so the network learns them as background."
            )
        return tuple(found)

    def _rare(self) -> list[int]:
        """Labels with few objects; one without any is a matter of how the images were dealt."""
        return np.flatnonzero((self.counts > 0) & (self.counts < RARE)).tolist()


def census(rows: Dataset[Any], size: Size) -> Census:
    """The objects of a dataset's rows.

    Args:
        rows: boxes, or objects with masks.
        size: (height, width) into which every image is fitted.
    """
    counts = np.zeros(len(rows.labels), np.int64)
    crowds = 0
    each, shapes = [], []
    for entry in rows.entries:
        objects = entry.annotation
        if not isinstance(objects, Objects):
            continue
        single = ~objects.crowd
        crowds += int(objects.crowd.sum())
        boxes = objects.xyxy[single]
        scale = min(size[0] / objects.size[0], size[1] / objects.size[1])
        counts += np.bincount(objects.indices[single], minlength=len(counts))
        each.append(int(single.sum()))
        shapes.append((boxes[:, 2:] - boxes[:, :2]) * scale)
    return Census(
        labels=rows.labels,
        counts=counts,
        each=np.array(each, np.int64),
        shapes=np.concatenate([np.zeros((0, 2)), *shapes]).astype(np.float32),
        size=size,
        crowds=crowds,
    )
