"""The objects in a picture while it is learned, and what is left of them in a view of it.

Shape suffixes: T objects, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from signet.architectures.truths import Target
from signet.arrays import Bytes, Integers
from signet.boxes import Boxes, Doubles, Flags
from signet.geometry import Size
from signet.instances import Instances
from signet.masks import Mask
from signet.training.views import View

LEAST_VISIBLE = 0.2
"""Share of an object that a view must show, else the network is not asked for it: of less than that, hardly
anybody could say what it is. The number is ours."""

LEAST_SIDE = 1.0
"""Pixels of the shorter side of a box. Source: torchvision `transforms.v2.SanitizeBoundingBoxes`."""


class Cutout(NamedTuple):
    """The part of a picture in which an object lies.

    Attributes:
        inside: bool (h, w): its pixels.
        top: row of the part's first pixel.
        left: column of it.
    """

    inside: Flags
    top: int
    left: int

    @classmethod
    def of(cls, mask: Mask) -> Cutout:
        """The least part that holds a mask."""
        left, top, right, bottom = (int(side) for side in mask.bounds)
        return cls(mask.to_array()[top:bottom, left:right].copy(), top, left)

    @property
    def bounds(self) -> Doubles:
        """float64 (4,): left, top, right, bottom of the least box around the pixels; there must be one."""
        rows, columns = np.flatnonzero(self.inside.any(axis=1)), np.flatnonzero(self.inside.any(axis=0))
        corners = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        return np.add(corners, (self.left, self.top) * 2, dtype=np.float64)

    def through(self, places: tuple[Integers, Integers], mirrored: bool) -> Cutout:
        """What a view shows of it, each pixel as the nearest one of the picture.

        Args:
            places: `View.places` of both axes.
            mirrored: left and right are exchanged.
        """
        height, width = self.inside.shape
        rows, columns = places
        first, last = np.searchsorted(rows, [self.top, self.top + height]).tolist()
        start, end = np.searchsorted(columns, [self.left, self.left + width]).tolist()
        inside = self.inside[rows[first:last, None] - self.top, columns[start:end] - self.left]
        if mirrored:
            return Cutout(inside[:, ::-1], first, len(columns) - end)
        return Cutout(inside, first, start)


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """T objects.

    Attributes:
        xyxy: float64 (T, 4), left, top, right, bottom in pixels of the picture.
        labels: int64 (T,).
        cutouts: of instances the pixels of each; None where only boxes are known.
    """

    xyxy: Doubles
    labels: Integers
    cutouts: tuple[Cutout, ...] | None = None

    @classmethod
    def of(cls, truth: Boxes | Instances) -> Contents:
        """What a network is to find. A crowd stands for many objects, none of them told: it is no target."""
        boxes = truth.boxes if isinstance(truth, Instances) else truth
        chosen = np.flatnonzero(~np.asarray(boxes.crowd))
        limits = np.array([boxes.size[1], boxes.size[0]] * 2, np.float64)
        cutouts = None
        if isinstance(truth, Instances):
            solid = [truth.masks[place].area > 0 for place in chosen.tolist()]
            chosen = chosen[np.array(solid, np.bool_)]
            cutouts = tuple(Cutout.of(truth.masks[place]) for place in chosen.tolist())
        return cls(np.clip(boxes.xyxy[chosen], 0, limits), boxes.indices[chosen], cutouts)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, but for a few."""
        return self.xyxy.nbytes + self.labels.nbytes + sum(one.inside.nbytes for one in self.cutouts or ())

    def through(self, view: View) -> Contents:
        """What is to be found in a view: boxes clipped to it, objects of which too little is left left out.

        Of an object that the view cuts, the box shrinks to the pixels that are still there, where they are
        known, and their number says how much of it is left.
        """
        whole = view.boxes(self.xyxy)
        xyxy = np.clip(whole, 0, [view.size[1], view.size[0]] * 2)
        area, left = _areas(whole), _areas(xyxy)
        kept = _large_enough(xyxy) & (left >= LEAST_VISIBLE * area)
        if self.cutouts is None:
            return Contents(xyxy[kept], self.labels[kept])
        places = view.places(0), view.places(1)
        cutouts: list[Cutout] = []
        for place in np.flatnonzero(kept).tolist():
            cutout, shown = self.cutouts[place], self.cutouts[place].through(places, view.mirrored)
            count = int(shown.inside.sum())
            cut = bool((xyxy[place] != whole[place]).any())
            least = LEAST_VISIBLE * cutout.inside.sum() * view.scale[0] * view.scale[1] if cut else 0
            kept[place] = count > 0 and count >= least
            if kept[place] and cut:
                bounds = shown.bounds
                xyxy[place, :2] = np.maximum(xyxy[place, :2], bounds[:2])
                xyxy[place, 2:] = np.minimum(xyxy[place, 2:], bounds[2:])
                kept[place] = _large_enough(xyxy[place])
            if kept[place]:
                cutouts.append(shown)
        return Contents(xyxy[kept], self.labels[kept], tuple(cutouts))

    def moved(self, top: int, left: int) -> Contents:
        """The same objects where the picture's corner lies at a row and a column of a canvas."""
        cutouts = self.cutouts
        if cutouts is not None:
            cutouts = tuple(Cutout(one.inside, one.top + top, one.left + left) for one in cutouts)
        return Contents(self.xyxy + np.array([left, top] * 2), self.labels, cutouts)

    def target(self, size: Size) -> Target:
        """As a network learns it, in a picture of (height, width)."""
        found = {
            "boxes": torch.from_numpy(self.xyxy.astype(np.float32)),
            "labels": torch.from_numpy(self.labels.astype(np.int64)),
        }
        if self.cutouts is not None:
            masks = np.zeros((len(self.cutouts), *size), np.uint8)
            for mask, cutout in zip(masks, self.cutouts, strict=True):
                height, width = cutout.inside.shape
                mask[cutout.top : cutout.top + height, cutout.left : cutout.left + width] = cutout.inside
            found["masks"] = torch.from_numpy(masks)
        return found


def joined(parts: Sequence[Contents]) -> Contents:
    """The objects of several pictures on one canvas; of all or of none the pixels are known."""
    cutouts = None
    if all(part.cutouts is not None for part in parts):
        cutouts = tuple(cutout for part in parts for cutout in part.cutouts or ())
    boxes = np.concatenate([part.xyxy for part in parts])
    return Contents(boxes, np.concatenate([part.labels for part in parts]), cutouts)


class Shown(NamedTuple):
    """A picture, or a view of one, with what is in it.

    Attributes:
        pixels: uint8 (H, W, 3).
        contents: its objects.
    """

    pixels: Bytes
    contents: Contents

    def through(self, view: View) -> Shown:
        """A view of it."""
        return Shown(view.pixels(self.pixels), self.contents.through(view))

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, but for a few."""
        return self.pixels.nbytes + self.contents.nbytes


def _areas(xyxy: Doubles) -> Doubles:
    areas: Doubles = (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1)
    return areas


def _large_enough(xyxy: Doubles) -> Flags:
    return np.asarray((xyxy[..., 2:] - xyxy[..., :2] >= LEAST_SIDE).all(axis=-1))
