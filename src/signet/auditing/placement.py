"""Boxes that were not mirrored or turned with their images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb

from signet.auditing.kinds import finding
from signet.auditing.observing import Observed, split_places
from signet.box_contrast import ELSEWHERE
from signet.findings import Finding
from signet.naming import shown

LEAST = 20
"""Images with boxes that can be compared, below which nothing is said."""
CHANCE = 0.001
"""That boxes which lie no better as stated than elsewhere look as bad as this, over all places together."""
_EXHIBITED = 12


def find_misplaced(seen: Observed) -> Iterator[Finding]:
    """Splits whose boxes would lie better on the images had they been mirrored or turned.

    Where boxes lie on objects, nearly every image has more contrast of colour in the boxes as they are stated
    (140 of 150 of coco_tiny, 361 of 362 of BCCD, 199 of 200 of nuclei, against their mirror images). The rule
    asks only that more than half of the images have less, by a sign test.
    """
    parts = {name: places.tolist() for name, places in split_places(seen.dataset).items()}
    for name, places in (parts or {"": list(range(len(seen)))}).items():
        found = _worst(seen, places)
        if found is None:
            continue
        where, worse, count = found
        part = f" of {shown(name)}" if name else ""
        yield finding(
            "misplaced boxes",
            f"The boxes{part} lie better {where}: so in {len(worse):,} of {count:,} images, where they would "
            "set off what is in them from what is around them more than as stated.",
            seen.sources(worse),
            exhibits=(seen.exhibit(worse[:_EXHIBITED]),),
            details={"where": where, "split": name, "better": len(worse), "count": count},
        )


def _worst(seen: Observed, places: Sequence[int]) -> tuple[str, Sequence[int], int] | None:
    """The place elsewhere that suits most images better, these images, and how many were compared."""
    best: tuple[str, Sequence[int], int] | None = None
    for where in ELSEWHERE:
        told = [place for place in places if where in seen.leads[place]]
        better = sorted(
            (place for place in told if seen.leads[place][where] < 0), key=lambda at: seen.leads[at][where]
        )
        if len(told) < LEAST or _by_chance(len(better), len(told)) >= CHANCE / len(ELSEWHERE):
            continue
        if best is None or len(better) * best[2] > len(best[1]) * len(told):
            best = (where, better, len(told))
    return best


def _by_chance(at_least: int, count: int) -> float:
    """The probability of so many heads or more among so many throws of a fair coin."""
    return float(sum(comb(count, heads) for heads in range(at_least, count + 1)) / 2**count)
