"""Which boxes are answers: the best ones that no better one overlaps too much. Pure numpy.

The candidates are sorted once, by class and left side. A box is compared only with the boxes of its class
that begin where they can still overlap it, so that many small boxes cost little; a box that nothing narrows
down is compared with all, as it must be.

Source: non-maximum suppression as `torchvision.ops.nms` and `batched_nms` decide (equal boxes: the first one
stays; an overlap of exactly the threshold stays; a box without area overlaps nothing); Bodla et al.,
Soft-NMS, arXiv:1704.04503, equations 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from signet.arrays import Array, Floats, Integers
from signet.heads import Suppression


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes that a network proposes for one image, in the frame of the prepared image.

    Attributes:
        xyxy: float32 (K, 4): left, top, right, bottom.
        scores: float32 (K,), 0 to 1.
        classes: int64 (K,).
        rows: int64 (K,): the network's own number of the box, which its mask has too.
        invalid: boxes that were left out because a value was no number, or a right side left of the left.
    """

    xyxy: Floats
    scores: Floats
    classes: Integers
    rows: Integers
    invalid: int = 0

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, places: Array, scores: Floats | None = None) -> Candidates:
        """Those at some places, in that order; with other scores, where they are given."""
        return Candidates(
            self.xyxy[places],
            self.scores[places] if scores is None else scores,
            self.classes[places],
            self.rows[places],
            self.invalid,
        )

    def valid(self) -> Candidates:
        """Without those that are no boxes, which are counted."""
        good = np.isfinite(self.xyxy).all(axis=1) & np.isfinite(self.scores)
        good &= (self.xyxy[:, 2:] >= self.xyxy[:, :2]).all(axis=1)
        if good.all():
            return self
        kept = self.at(good)
        return Candidates(kept.xyxy, kept.scores, kept.classes, kept.rows, self.invalid + int((~good).sum()))


def selected(candidates: Candidates, how: Suppression) -> Candidates:
    """Those that are answers, best first; equal scores in the network's own order.

    Args:
        candidates: of one image.
        how: what the card's `nms` says.
    """
    found = candidates.valid()
    found = found.at(np.flatnonzero((found.scores >= how.score_floor) & (found.scores > 0)))
    found = found.at(best(found.scores, how.before))
    if how.soft is not None:
        places, scores = soft(found.xyxy, found.scores, found.classes, how)
        return found.at(places, scores)
    if how.iou is None:
        return found.at(np.arange(len(found))[: how.after])
    classes = found.classes if how.class_wise else np.zeros_like(found.classes)
    return found.at(kept(found.xyxy, found.scores, classes, how.iou, most=how.after))


def best(scores: Floats, count: int | None = None) -> Integers:
    """Places of the highest scores, best first; of equal ones, the first comes first.

    Args:
        scores: (K,), none of them NaN.
        count: how many at most; None for all.
    """
    if count is None or count >= len(scores):
        return np.argsort(-scores, kind="stable")
    # All that reach the count-th score: a partition alone would take any of the equal ones.
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    ahead = np.flatnonzero(scores >= least)
    return ahead[np.argsort(-scores[ahead], kind="stable")][:count]


def kept(xyxy: Array, scores: Array, classes: Array, iou: float, *, most: int | None = None) -> Integers:
    """Places of the boxes that stay, best first.

    Args:
        xyxy: float32 or float64 (K, 4), finite; the arithmetic is done in this dtype, as torchvision's.
        scores: (K,), none of them NaN.
        classes: (K,): boxes of different classes do not suppress each other.
        iou: overlaps above this suppress.
        most: stop after so many; None for all.
    """
    strip = _Strip.of(xyxy, classes)
    alive = np.ones(len(xyxy), np.bool_)
    stay: list[int] = []
    order = np.argsort(-np.asarray(scores), kind="stable")
    for place, box in zip(strip.place_of[order].tolist(), order.tolist(), strict=True):
        if not alive[place]:
            continue
        if len(stay) == most:
            break
        stay.append(box)
        first, last = strip.near(place)
        alive[first:last] &= ~(strip.overlaps(place, first, last) > np.float64(iou))
    return np.array(stay, np.int64)


def soft(xyxy: Array, scores: Array, classes: Array, how: Suppression) -> tuple[Integers, Floats]:
    """Places and lowered scores of soft suppression, best first.

    The best box is taken, and the scores of those that overlap it are lowered, until nothing is left that
    reaches the floor.

    Args:
        xyxy: (K, 4), finite.
        scores: (K,), none of them NaN.
        classes: (K,).
        how: `soft`, `iou` (of the linear one), `sigma` (of the gaussian), `score_floor`, `class_wise`,
            `after`.
    """
    strip = _Strip.of(xyxy, classes if how.class_wise else np.zeros_like(classes))
    # In the order of the strip; of equal scores the box that came first is to be found first.
    left = np.asarray(scores, np.float64)[strip.order]
    floor = max(how.score_floor, np.finfo(np.float32).tiny)
    places: list[int] = []
    values: list[float] = []
    while len(places) != how.after and len(left):
        top = left.max()
        if top < floor:
            break
        ties = np.flatnonzero(left == top)
        place = int(ties[np.argmin(strip.order[ties])])
        places.append(int(strip.order[place]))
        values.append(float(top))
        first, last = strip.near(place)
        overlap = np.nan_to_num(strip.overlaps(place, first, last).astype(np.float64))
        if how.soft == "gaussian":
            left[first:last] *= np.exp(-(overlap**2) / how.sigma)
        else:
            left[first:last] *= np.where(overlap > np.float64(how.iou or 0.0), 1 - overlap, 1.0)
        left[place] = -1.0
    return np.array(places, np.int64), np.array(values, np.float32)


class _Strip(NamedTuple):
    """Boxes sorted by class and left side.

    Attributes:
        order: place in the strip to box.
        place_of: box to place in the strip.
        sides: left, top, right, bottom and area, each (K,), in the order of the strip.
        bounds: for each place, where its class begins and ends.
        reach: for each place, the leftmost left side of a box of its class that can overlap it.
    """

    order: Integers
    place_of: Integers
    sides: tuple[Array, Array, Array, Array, Array]
    bounds: tuple[Integers, Integers]
    reach: Array

    @classmethod
    def of(cls, xyxy: Array, classes: Array) -> _Strip:
        order = np.lexsort((xyxy[:, 0], classes))
        place_of = np.empty_like(order)
        place_of[order] = np.arange(len(order))
        x0, y0, x1, y1 = np.ascontiguousarray(xyxy[order].T)
        with np.errstate(over="ignore", invalid="ignore"):
            sides = (x0, y0, x1, y1, (x1 - x0) * (y1 - y0))
            widths = x1.astype(np.float64) - x0
        sorted_classes = np.asarray(classes)[order]
        starts = np.flatnonzero(np.diff(sorted_classes, prepend=sorted_classes[:1] - 1))
        lengths = np.diff(np.append(starts, len(order)))
        widest = np.repeat(np.maximum.reduceat(widths, starts), lengths) if len(starts) else widths
        # One float further left: the cast may have rounded to the right.
        reach = np.nextafter((x0 - widest).astype(x0.dtype), -np.inf, dtype=x0.dtype)
        bounds = (np.repeat(starts, lengths), np.repeat(starts + lengths, lengths))
        return cls(order, place_of, sides, bounds, reach)

    def near(self, place: int) -> tuple[int, int]:
        """The part of the strip whose boxes can overlap the one at a place."""
        start, end = int(self.bounds[0][place]), int(self.bounds[1][place])
        lefts = self.sides[0][start:end]
        first = lefts.searchsorted(self.reach[place], "left")
        last = lefts.searchsorted(self.sides[2][place], "right")
        return start + int(first), start + int(last)

    def overlaps(self, place: int, first: int, last: int) -> Array:
        """Intersection over union of the box at a place with those of a part of the strip; NaN for 0 / 0."""
        x0, y0, x1, y1, area = self.sides
        with np.errstate(invalid="ignore", over="ignore"):
            wide = np.minimum(x1[first:last], x1[place]) - np.maximum(x0[first:last], x0[place])
            high = np.minimum(y1[first:last], y1[place]) - np.maximum(y0[first:last], y0[place])
            both = np.maximum(wide, 0) * np.maximum(high, 0)
            shares: Array = both / (area[first:last] + area[place] - both)
        return shares
