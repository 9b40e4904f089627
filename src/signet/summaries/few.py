"""No interval where draws of the images say nothing of other images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from signet.records import Interval

FEW = 5
"""Of fewer images than these that have a label, draws are too much alike: of one they are all the same."""


def where_many(figures: Sequence[Interval], images: Sequence[int]) -> tuple[Interval, ...]:
    """Each label's figure, with NaN for ends where fewer than 5 images have the label."""
    return tuple(
        figure if count >= FEW else Interval(figure.value, math.nan, math.nan)
        for figure, count in zip(figures, images, strict=True)
    )
