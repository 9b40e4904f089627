"""How sure a figure is: bootstrap and closed-form intervals, and paired differences.

A statistic is a function of *weights*: how often each image was drawn. Resampling then never copies an
image's scores; a draw is a row of counts, and a sum over the drawn images is a weighted sum. Ten
thousand images and a thousand resamples take well under a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Array, Integers
from signet.errors import BadInput, BadRequest
from signet.records import Interval

Weights = NDArray[np.float64]
Statistic = Callable[[Weights], Array]
"""Takes float64 (R, N), how often each of N images counts in each of R draws; gives float (R, K), K
figures for each draw, NaN where a draw leaves a figure undefined."""

Method = Literal["percentile", "basic", "bca"]

_CELLS = 2_000_000  # weights held at once: 16 MB
_FEW = 10  # fewer successes or failures than this, and the bootstrap of a proportion is too narrow


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How intervals are made.

    Attributes:
        resamples: draws; 0 leaves every interval as wide as its value.
        seed: the same seed gives the same interval.
        level: how often the interval should hold the truth, 0 to 1.
    """

    resamples: int = 1000
    seed: int = 0
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.resamples < 0:
            raise BadRequest(f"resamples: expected 0 or more, got {self.resamples}.")
        if not 0 < self.level < 1:
            raise BadRequest(f"level: expected a fraction between 0 and 1, got {self.level}.")


def bootstrap(
    statistic: Statistic,
    count: int,
    resampling: Resampling | None = None,
    *,
    strata: Array | None = None,
    method: Method = "percentile",
) -> tuple[Interval, ...]:
    """K figures with their bootstrap intervals.

    Args:
        statistic: the figures as a function of weights.
        count: N, the number of images.
        resampling: draws, seed and level.
        strata: int (N,), a group for each image; each draw keeps every group's size. For test sets whose
            class counts were fixed by hand.
        method: `percentile`: the middle of the draws. `basic`: mirrored about the value, which undoes an
            upward bias such as that of a calibration error. `bca`: corrected for bias and skewness; needs
            `count` more evaluations of the statistic.

    Returns:
        K intervals. A figure that is NaN on the images themselves, or in every draw, gives NaN ends.

    Raises:
        BadInput: no image, or strata of another length.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), sections 13.3 (percentile), 14.3
        (BCa); Davison & Hinkley, Bootstrap Methods and their Application (1997), 5.2.1 (basic).
    """
    settings = resampling or Resampling()
    if count < 1:
        raise BadInput("bootstrap: expected at least one image, got none.")
    value = np.asarray(statistic(np.ones((1, count))), dtype=np.float64)[0]
    if settings.resamples == 0:
        return tuple(Interval(figure, figure, figure) for figure in value.tolist())
    draws = np.concatenate([statistic(chunk) for chunk in weights(count, settings, strata)], dtype=np.float64)
    tails = np.array([(1 - settings.level) / 2, (1 + settings.level) / 2])
    if method == "bca":
        low, high = _bca_ends(statistic, count, value, draws, tails)
    else:
        low, high = _quantiles(draws, np.tile(tails[:, None], (1, value.size)))
        if method == "basic":
            low, high = 2 * value - high, 2 * value - low
    ends = zip(value.tolist(), low.tolist(), high.tolist(), strict=True)
    return tuple(Interval(figure, bottom, top) for figure, bottom, top in ends)


def weights(count: int, resampling: Resampling, strata: Array | None = None) -> Iterator[Weights]:
    """How often each image is drawn, in chunks of draws: float64 (R, N), each row summing to N.

    Raises:
        BadInput: strata of another length than `count`.
    """
    generator = np.random.default_rng(resampling.seed)
    order, starts, ends = _strata_slots(count, strata)
    rows = max(1, _CELLS // count)
    for first in range(0, resampling.resamples, rows):
        some = min(rows, resampling.resamples - first)
        if strata is None:
            drawn = generator.integers(0, count, (some, count))
        else:
            drawn = order[generator.integers(starts, ends, (some, count))]
        drawn += np.arange(some)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=some * count).reshape(some, count).astype(np.float64)


def _strata_slots(count: int, strata: Array | None) -> tuple[Integers, Integers, Integers]:
    """For each of N slots the first and last position, in an order sorted by group, it may draw from."""
    if strata is None:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    groups = np.asarray(strata)
    if groups.shape != (count,):
        raise BadInput(f"strata: expected one group for each of {count} images, got shape {groups.shape}.")
    order = np.argsort(groups, kind="stable")
    _, firsts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    starts = np.repeat(firsts, sizes)
    return order, starts, starts + np.repeat(sizes, sizes)


def _quantiles(draws: Array, levels: Array) -> tuple[Array, Array]:
    """The two quantiles of each column; `levels` is (2, K), and undefined draws are left out."""
    ordered = np.sort(draws, axis=0)  # NaN last
    known = (~np.isnan(draws)).sum(axis=0)
    place = np.clip(levels, 0, 1) * np.maximum(known - 1, 0)
    below = np.nan_to_num(np.floor(place)).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(known - 1, 0))
    columns = np.arange(draws.shape[1])
    found = ordered[below, columns] + (place - below) * (ordered[above, columns] - ordered[below, columns])
    return found[0], found[1]


def _bca_ends(
    statistic: Statistic, count: int, value: Array, draws: Array, tails: Array
) -> tuple[Array, Array]:
    """Ends corrected for bias (how far the draws lie from the value) and skewness (from the jackknife)."""
    normal = NormalDist()
    known = np.maximum((~np.isnan(draws)).sum(axis=0), 1)
    share = ((draws < value).sum(axis=0) + (draws == value).sum(axis=0) / 2) / known
    edge = 0.5 / known  # all draws on one side: as if half a draw lay on the other
    bias = np.array([normal.inv_cdf(part) for part in np.clip(share, edge, 1 - edge)])
    left_out = np.concatenate([statistic(chunk) for chunk in _leave_one_out(count)], dtype=np.float64)
    centred = np.nanmean(left_out, axis=0) - left_out if count > 1 else np.zeros_like(left_out)
    spread = np.nansum(centred**2, axis=0)
    skew = np.nansum(centred**3, axis=0)
    lean = np.divide(skew, 6 * spread**1.5, out=np.zeros_like(skew), where=spread > 0)
    levels = np.empty((2, value.size))
    for row, tail in enumerate(tails):
        reach = bias + normal.inv_cdf(float(tail))
        shifted = bias + reach / (1 - lean * reach)
        levels[row] = [normal.cdf(point) for point in shifted]
    return _quantiles(draws, levels)


def _leave_one_out(count: int) -> Iterator[Weights]:
    rows = max(1, _CELLS // count)
    for first in range(0, count, rows):
        some = np.ones((min(rows, count - first), count))
        some[np.arange(len(some)), first + np.arange(len(some))] = 0
        yield some


def wilson(successes: float, count: float, level: float = 0.95) -> Interval:
    """A proportion with its score interval; (0, 0, 1) when nothing was counted.

    Unlike the bootstrap it stays honest near 0 and 1: 20 right of 20 is 1.000, from 0.839 to 1.

    Raises:
        BadInput: not 0 <= successes <= count.

    Source: Wilson, JASA 22 (1927) 209-212; recommended by Brown, Cai & DasGupta, Statistical Science 16
        (2001) 101-133.
    """
    if not 0 <= successes <= count:
        raise BadInput(f"wilson: expected 0 to {count} successes, got {successes}.")
    if count == 0:
        return Interval(0.0, 0.0, 1.0)
    reach = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / count
    centre = (share + reach**2 / (2 * count)) / (1 + reach**2 / count)
    inside = share * (1 - share) / count + reach**2 / (4 * count**2)
    half = reach * inside**0.5 / (1 + reach**2 / count)
    return Interval(share, min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share))


def proportion(successes: int, count: int, resampled: Interval, level: float = 0.95) -> Interval:
    """The bootstrap interval of a proportion, or Wilson's where the bootstrap fails.

    With fewer than 10 successes or failures the draws are too few different values and the bootstrap is
    too narrow; with none at all it has no width. There the score interval stands in.
    """
    if min(successes, count - successes) < _FEW:
        return wilson(successes, count, level)
    return resampled


def f1_proportion(right: int, union: int, resampled: Interval, level: float = 0.95) -> Interval:
    """The bootstrap interval of a class's F1, or where it fails the score interval of F*, carried over.

    Args:
        right: true positives.
        union: true positives, false positives and false negatives together.
        resampled: the bootstrap interval.
        level: how often the interval should hold the truth.

    Source: F1 = 2 F* / (1 + F*) with F* = right / union, a proportion: Hand, Christen & Kirielle, Machine
        Learning 110 (2021) 451-456; its score interval: Lam, Gopal & Qian, arXiv:2309.14621 (2023).
    """
    if min(right, union - right) >= _FEW:
        return resampled
    star = wilson(right, union, level)
    return Interval(*(2 * part / (1 + part) for part in (star.value, star.low, star.high)))


def paired_difference(
    first: Array,
    second: Array,
    resampling: Resampling | None = None,
    *,
    strata: Array | None = None,
) -> Interval:
    """Mean of `first - second` over the same images, with its interval.

    Pairing removes what the images themselves contribute: two models are told apart with far fewer
    images than their separate intervals would need. Figures other than a mean: `bootstrap` with a
    statistic that subtracts.

    Args:
        first: float or bool (N,), one figure for each image, such as 1 where the answer was right.
        second: the same of the other model.
        resampling: draws, seed and level.
        strata: int (N,), groups whose sizes each draw keeps.

    Raises:
        BadInput: different lengths or no image.

    Source: bootstrap of pairs, Efron & Tibshirani (1993), chapter 8; with fewer than 10 images on which
        right and wrong differ, the adjusted Wald interval of Bonett & Price, Journal of Educational and
        Behavioral Statistics 37 (2012) 479-488.
    """
    settings = resampling or Resampling()
    shapes = np.shape(first), np.shape(second)
    if shapes[0] != shapes[1] or len(shapes[0]) != 1 or shapes[0] == (0,):
        raise BadInput(
            f"paired difference: expected two rows of one length, got shapes {shapes[0]} and {shapes[1]}."
        )
    gap = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    binary = all(bool(np.isin(side, (0, 1)).all()) for side in (first, second))
    if binary and np.count_nonzero(gap) < _FEW:
        return _bonett_price(int((gap > 0).sum()), int((gap < 0).sum()), gap.size, settings.level)
    (mean,) = bootstrap(lambda drawn: (drawn @ gap)[:, None] / gap.size, gap.size, settings, strata=strata)
    return mean


def _bonett_price(better: int, worse: int, count: int, level: float) -> Interval:
    up, down = (better + 1) / (count + 2), (worse + 1) / (count + 2)
    half = NormalDist().inv_cdf((1 + level) / 2) * ((up + down - (up - down) ** 2) / (count + 2)) ** 0.5
    return Interval((better - worse) / count, max(up - down - half, -1.0), min(up - down + half, 1.0))


def mcnemar(first: Array, second: Array) -> float:
    """The exact two-sided p of McNemar's test: would two models that are equally good differ as much?

    Only images on which one is right and the other wrong count: under the null hypothesis each of them falls
    to either side with a chance of one half.

    Args:
        first: bool (N,), where one model was right.
        second: the same of the other, on the same images.

    Returns:
        0 to 1; 1 where they are right on the same images.

    Raises:
        BadInput: different lengths, no image, or values other than right and wrong.

    Source: Q. McNemar, Psychometrika 12 (1947) 153-157; exact by the binomial: T. Dietterich, Neural
        Computation 10 (1998) 1895-1923, section 3.1.
    """
    one, other = np.asarray(first), np.asarray(second)
    whole = all(bool(np.isin(side, (0, 1)).all()) for side in (one, other))
    if one.shape != other.shape or one.ndim != 1 or not one.size or not whole:
        raise BadInput(
            "McNemar's test: expected right or wrong for each image of two models, "
            f"got shapes {one.shape} and {other.shape}."
        )
    only = int((one > other).sum()), int((one < other).sum())
    count, fewer = sum(only), min(only)
    if only[0] == only[1]:
        return 1.0
    logs = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) - count * math.log(2)
        for k in range(fewer + 1)
    ]
    return min(1.0, 2 * math.fsum(math.exp(term) for term in logs))


def holm(chances: Sequence[float]) -> tuple[float, ...]:
    """P values of several tests, such that the chance that *any* of them errs is as stated.

    Args:
        chances: the p of each test, 0 to 1.

    Returns:
        The adjusted p of each, in the same order, none less than before.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
    """
    adjusted, highest = [0.0] * len(chances), 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda place: chances[place])):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = highest
    return tuple(adjusted)
