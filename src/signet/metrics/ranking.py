"""How well scores put one kind of image before another: the area under the ROC curve."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from signet.arrays import Array
from signet.errors import BadInput
from signet.records import Interval


def area_under_roc(scores: Array, positive: Array, level: float = 0.95) -> Interval:
    """The chance that a positive image has a higher score than a negative one, with its interval.

    Ties count one half. 0.5 is no better than chance.

    Args:
        scores: float (N,).
        positive: bool (N,), both kinds among them.
        level: how often the interval should hold the truth.

    Raises:
        BadInput: lengths that differ, a score that is not finite, or only one kind.

    Source: E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44 (1988) 837-845; by mid-ranks: X. Sun,
        W. Xu, IEEE Signal Processing Letters 21 (2014) 1389-1393.
    """
    values, flags = np.asarray(scores, np.float64), np.asarray(positive, bool)
    if values.ndim != 1 or values.shape != flags.shape or not np.isfinite(values).all():
        raise BadInput(
            f"area under the curve: expected finite scores and flags of one length, got shapes "
            f"{values.shape} and {flags.shape}."
        )
    upper, lower = values[flags], values[~flags]
    if not len(upper) or not len(lower):
        raise BadInput(
            f"area under the curve: expected images of both kinds, got {len(upper)} and {len(lower)}."
        )
    together = _mid_ranks(values)
    above = (together[flags] - _mid_ranks(upper)) / len(lower)  # of each positive: negatives below it
    below = 1 - (together[~flags] - _mid_ranks(lower)) / len(upper)
    area = float(above.mean())
    variance = sum(part.var(ddof=1) / len(part) for part in (above, below) if len(part) > 1)
    half = NormalDist().inv_cdf((1 + level) / 2) * float(variance) ** 0.5
    return Interval(area, max(area - half, 0.0), min(area + half, 1.0))


def _mid_ranks(values: Array) -> Array:
    """float64 (N,): the rank of each value from 1, ties sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)
