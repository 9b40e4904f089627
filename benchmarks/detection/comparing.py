"""The boxes of two programs side by side: pairs, what only one of them has, and by how much pairs differ."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signet.agreement import Bounds, alike, matched
from signet.boxes import Boxes
from signet.extents import extent_of
from signet.metrics.overlaps import box_overlaps
from signet.running import Evidence

SAME = Bounds(iou=0.99, mask_iou=0.99, score=0.01, pixels=1.0)
"""What two boxes must have in common to be one: as `signet verify` asks of two engines, the score closer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What two programs decided for the same images.

    Attributes:
        images: how many.
        equal: of them, those on which no box is alone.
        boxes: (of the one, of the other).
        pairs: boxes that both have, to the bounds of `SAME`.
        alone: boxes that only one has, in words with the image's name. A box whose score is
            that close to the least one may be missing: the threshold is on no side of it.
        score: greatest difference of a pair's scores.
        overlap: least overlap of a box with the nearest one of its label, where that is a pair.
        corner: greatest difference of a side of such two, in pixels.
    """

    images: int = 0
    equal: int = 0
    boxes: tuple[int, int] = (0, 0)
    pairs: int = 0
    alone: tuple[str, ...] = ()
    score: float = 0.0
    overlap: float = 1.0
    corner: float = 0.0

    def plus(self, name: str, one: Boxes, two: Boxes, least: float) -> Compared:
        """With one image more.

        Args:
            name: of the image.
            one: the answer of the one program.
            two: that of the other.
            least: score that both asked for.
        """
        found = matched(one, two, SAME, least)
        overlap, corner = _nearest(one, two)
        return dataclasses.replace(
            self,
            images=self.images + 1,
            equal=self.equal + (not found.alone),
            boxes=(self.boxes[0] + len(one), self.boxes[1] + len(two)),
            pairs=self.pairs + found.pairs,
            alone=(*self.alone, *(f"{name}: {words}" for words in found.alone)),
            score=max(self.score, found.score),
            overlap=min(self.overlap, overlap),
            corner=max(self.corner, corner),
        )

    def words(self) -> str:
        """One line."""
        return (
            f"{self.equal} of {self.images} images alike; boxes {self.boxes[0]} and {self.boxes[1]}, "
            f"{self.pairs} pairs, {len(self.alone)} alone; of pairs, scores within {self.score:.1e}, overlap "
            f"from {self.overlap:.5f}, sides within {self.corner:.3f} pixels"
        )


def lines(place: Path, images: Mapping[str, Path]) -> dict[str, Boxes]:
    """What a file of lines says, by the names of the images.

    Args:
        place: written by `systems.py`.
        images: paths by name.
    """
    found: dict[str, Boxes] = {}
    for line in place.read_text().splitlines():
        plain = json.loads(line)
        name = Path(plain["source"]).name
        rows = plain["boxes"]
        found[name] = Boxes(
            np.array([row["xyxy"] for row in rows], np.float64).reshape(-1, 4),
            np.array([row["score"] for row in rows], np.float64),
            np.array([row["index"] for row in rows], np.int64),
            tuple(row["label"] for row in rows),
            extent_of(images[name]).upright,
        )
    return found


def compared(
    one: Mapping[str, Boxes], two: Mapping[str, Boxes], names: Iterable[str], least: float
) -> Compared:
    """Both programs' answers for the named images, laid side by side; both must have every one."""
    total = Compared()
    for name in names:
        total = total.plus(name, one[name], two[name], least)
    return total


def evidence(one: Mapping[str, Boxes], two: Mapping[str, Boxes], names: Iterable[str]) -> Evidence:
    """That a coarser precision decides alike, as `signet predict` asks for it before it takes bf16."""
    same = [alike(one[name], two[name]) for name in names]
    return Evidence(len(same), sum(same))


def _nearest(one: Boxes, two: Boxes) -> tuple[float, float]:
    """(least overlap, greatest difference of a side) over the boxes that have a pair."""
    overlaps = box_overlaps(one.xyxy, two.xyxy, np.zeros(len(two), np.bool_))
    overlaps[one.indices[:, None] != two.indices] = 0.0
    if not overlaps.size:
        return 1.0, 0.0
    best = overlaps.argmax(axis=1)
    most = overlaps[np.arange(len(one)), best]
    paired = most >= SAME.iou
    apart = np.abs(one.xyxy - two.xyxy[best]).max(axis=1)
    return float(most[paired].min(initial=1.0)), float(apart[paired].max(initial=0.0))
