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

_PAIRS_AT_ONCE = 1 << 14
"""Comparisons made in one go: few calls of numpy, and arrays that stay in a processor's cache."""
_FEW = 32
"""Boxes worth comparing in one go: fewer have so many beside them that each is a go of its own."""


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
    order = np.argsort(-np.asarray(scores), kind="stable")
    places = strip.place_of[order]
    first, last = strip.near()
    costs = np.cumsum((last - first)[places])
    alive = np.ones(len(xyxy), np.bool_)
    stay: list[int] = []
    done = 0
    while done < len(order) and (most is None or len(stay) < most):
        wanted = len(order) if most is None else max(_FEW, most - len(stay))
        spent = int(costs[done - 1]) if done else 0
        end = min(done + wanted, int(np.searchsorted(costs, spent + _PAIRS_AT_ONCE, "right")))
        if end - done < _FEW:
            end = done + 1
            place = int(places[done])
            if alive[place]:
                stay.append(place)
                part = slice(int(first[place]), int(last[place]))
                alive[part] &= ~(strip.overlaps(place, part) > np.float64(iou))
        else:
            able = places[done:end][alive[places[done:end]]]
            stay += _greedy(alive, able, *strip.above(able, first, last, iou))
        done = end
    return strip.order[stay][:most]


def _greedy(alive: Array, places: Integers, losers: Integers, ends: Integers) -> list[int]:
    """Those of some places that stay, taken in order.

    Args:
        alive: for every place, whether it may stay; what loses dies here.
        places: the best first.
        losers: what each of them overlaps too much, one after another.
        ends: for each of them, where its own end in `losers`.
    """
    stay: list[int] = []
    begin = 0
    for place, end in zip(places.tolist(), ends.tolist(), strict=True):
        if alive[place]:
            stay.append(place)
            alive[losers[begin:end]] = False
        begin = end
    return stay


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
    firsts, lasts = strip.near()
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
        first, last = int(firsts[place]), int(lasts[place])
        overlap = np.nan_to_num(strip.overlaps(place, slice(first, last)).astype(np.float64))
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

    def near(self) -> tuple[Integers, Integers]:
        """For each place, the part of the strip whose boxes can overlap the one there."""
        first, last = (np.empty(len(self.order), np.int64) for _ in range(2))
        left, _, right, _, _ = self.sides
        start = 0
        while start < len(self.order):
            end = int(self.bounds[1][start])
            lefts = left[start:end]
            first[start:end] = start + lefts.searchsorted(self.reach[start:end], "left")
            last[start:end] = start + lefts.searchsorted(right[start:end], "right")
            start = end
        return first, last

    def above(
        self, places: Integers, first: Integers, last: Integers, iou: float
    ) -> tuple[Integers, Integers]:
        """Those that overlap some places by more: their places, one after another, and where each one's end.

        Args:
            places: in the strip.
            first: for every place, where those begin that can overlap it.
            last: and where they end.
            iou: they overlap by more than this.
        """
        starts, lengths = first[places], (last - first)[places]
        ends = np.cumsum(lengths)
        others = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        over = np.flatnonzero(self.overlaps(np.repeat(places, lengths), others) > np.float64(iou))
        return others[over], np.searchsorted(over, ends)

    def overlaps(self, places: Integers | int, others: Integers | slice) -> Array:
        """Intersection over union of boxes with others, both by their places in the strip; NaN for 0 / 0."""
        x0, y0, x1, y1, area = self.sides
        with np.errstate(invalid="ignore", over="ignore"):
            wide = np.minimum(x1[others], x1[places]) - np.maximum(x0[others], x0[places])
            high = np.minimum(y1[others], y1[places]) - np.maximum(y0[others], y0[places])
            both = np.maximum(wide, 0) * np.maximum(high, 0)
            shares: Array = both / (area[others] + area[places] - both)
        return shares
