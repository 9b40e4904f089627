"""Whether the images are large enough for the model that is to learn from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from signet.auditing.kinds import finding
from signet.auditing.observing import Observed
from signet.findings import Finding
from signet.geometry import Size
from signet.naming import shown

ENLARGED = 2.0
SHARE = 0.5


def find_low_resolution(seen: Observed, name: str, size: Size | None) -> Iterator[Finding]:
    """Images that must be enlarged much to reach a model's input.

    Args:
        seen: the dataset.
        name: of the model.
        size: (height, width) of its input; None where it takes any.
    """
    sides = {place: min(look.size) for place, look in seen.seen()}
    if size is None or not sides:
        return
    factors = {place: min(size) / side for place, side in sides.items()}
    enlarged = [place for place, factor in factors.items() if factor >= ENLARGED]
    if len(enlarged) < SHARE * len(factors):
        return
    middle = float(np.median(list(factors.values())))
    yield finding(
        "low resolution",
        f"{len(enlarged):,} of {len(factors):,} images are enlarged at least {ENLARGED:g} times to the input "
        f"of {shown(name)} ({size[0]} x {size[1]}); half of all at least {middle:.1f} times.",
        details={
            "enlarged": len(enlarged),
            "median_factor": round(middle, 3),
            "median_side": int(np.median(list(sides.values()))),
            "input": list(size),
        },
    )
