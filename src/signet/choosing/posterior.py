"""Prior and probe together: what each candidate's probe on all images would get right, and how sure that is.

All is in log odds, where differences between networks are about as large on easy sets as on hard ones.
With K candidates, z their ImageNet log odds (centred) and y what the probes say:

    theta = mu + slope * z + eps,   eps ~ N(0, tau^2),   slope ~ N(SLOPE, SLOPE_SPREAD^2),   mu free
    y     = theta + noise,          noise ~ N(0, Sigma)

Sigma holds the chance of which images were in the subset (paired: the same images for all), the growth from
the subset to all images (in part common to all), and the difference between the racing and the final probe.
tau is one of a few, each weighed by how likely it makes what was seen, larger ones less beforehand: where
ImageNet says little, it weighs little, and that it does takes more than the chance of one subset to show.

Source: hierarchical normal model, A. Gelman et al., Bayesian Data Analysis, 3rd edition, section 5.4; log
odds after S. Kornblith, J. Shlens, Q. Le, "Do Better ImageNet Models Transfer Better?", CVPR 2019, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from signet.arrays import Array, Integers
from signet.choosing.evidence import Measured

SLOPE, SLOPE_SPREAD, RESIDUAL = 0.87, 0.38, 0.14
"""Log odds on a data set for one of ImageNet top-1: mean, spread over sets, and what is left.

Source: least squares within each of the 8 sets of the table of fine-tuned accuracies in the README of the
Transfer-Learning-Library (10 networks); a test computes them anew from the packaged table."""

UNKNOWN_RESIDUAL = 1.0
"""What is left for a candidate without an ImageNet figure: next to nothing is known of it beforehand."""

BORROWED_RESIDUAL = 0.25
"""Added where the figure is that of another training, or another input size, of the same architecture."""

FOLD_INFLATION = 1.5
"""Variance of a cross-validated accuracy to that of as many independent images, since folds share images.

Source of the effect: C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52
(2003) 239-281."""

GROWTH = 0.9
"""How much of the growth seen inside the subset goes on beyond it."""

GROWTH_COMMON, GROWTH_OWN = 0.08, 0.06
"""Deviation of the log odds gained for each e-fold of images: common to all, and each one's own."""

METHOD_COMMON, METHOD_OWN = 0.15, 0.08
"""Deviation of the log odds between the racing and the final probe: common to all, and each one's own."""

DRAWS = 4000
_FREE = 5.0
_TAUS = (1.0, 2.0, 4.0, 8.0)
"""Of tau, in those of the published table; the chance of each beforehand goes with one over it."""


class Prior(NamedTuple):
    """What is published of a candidate.

    Attributes:
        top1: its ImageNet accuracy, above 0 and below 1, or None.
        borrowed: the figure is of another training, or another input size, of its architecture.
    """

    top1: float | None
    borrowed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One candidate's evidence.

    Attributes:
        measured: of the racing probe on the first rows of the subset; None for a candidate without any.
        final: float64 (n,), which of the first n rows the final probe got right; None where there is none.
    """

    measured: Measured | None = None
    final: Array | None = None

    @property
    def right(self) -> Array | None:
        """Which rows were got right, by the final probe where there is one."""
        if self.final is not None or self.measured is None:
            return self.final
        return self.measured.right


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """What is believed of K candidates.

    Attributes:
        draws: float64 (DRAWS, K), accuracies, 0 to 1, drawn together.
    """

    draws: Array

    @property
    def expected(self) -> Array:
        """Float64 (K,), mean accuracy."""
        return np.asarray(self.draws.mean(axis=0))

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Ends, float64 (K,) each, of the middle part of the draws."""
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high

    def regret(self, among: Sequence[int] | None = None) -> Array:
        """Float64: what is lost on average against the best of some (all), by taking each of them."""
        some = self.draws if among is None else self.draws[:, list(among)]
        return np.asarray((some.max(axis=1, keepdims=True) - some).mean(axis=0))

    def better(self, leader: int) -> Array:
        """Float64 (K,): the probability that each is better than the leader."""
        return np.asarray((self.draws > self.draws[:, [leader]]).mean(axis=0))


def believe(priors: Sequence[Prior], seen: Sequence[Seen], images: int, seed: int = 0) -> Beliefs:
    """Combine.

    Args:
        priors: of K candidates.
        seen: their evidence, all on the first rows of one subset.
        images: that the full probe is fitted on.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    measured = [(k, one, one.measured) for k, one in enumerate(seen) if one.measured is not None]
    if not measured:
        level, spread = _prior(priors, RESIDUAL)
        return _drawn(level, spread, generator)
    known = [k for k, _, _ in measured]
    values, noise = _observed([(one, found) for _, one, found in measured], images)
    fits, chances = [], []
    for factor in _TAUS:
        level, spread = _prior(priors, RESIDUAL * factor)
        total = spread[np.ix_(known, known)] + noise
        gain = np.linalg.solve(total, spread[known]).T
        apart = values - level[known]
        chances.append(-0.5 * float(apart @ np.linalg.solve(total, apart) + np.linalg.slogdet(total)[1]))
        fits.append((level + gain @ apart, spread - gain @ spread[known]))
    weights = np.exp(np.array(chances) - max(chances)) / np.array(_TAUS)
    parts = np.floor(DRAWS * np.cumsum(weights) / weights.sum() + 0.5).astype(int)
    counts = np.diff(np.append(0, parts))
    drawn = [_drawn(*fit, generator, count).draws for fit, count in zip(fits, counts.tolist(), strict=True)]
    return Beliefs(np.concatenate(drawn))


def _prior(priors: Sequence[Prior], residual: float) -> tuple[Array, Array]:
    """Mean, float64 (K,), and covariance (K, K) of the log odds before anything is measured."""
    stated = np.array([np.nan if prior.top1 is None else _logit(prior.top1) for prior in priors])
    has = ~np.isnan(stated)
    z = np.where(has, stated - (stated[has].mean() if has.any() else 0.0), 0.0)
    borrowed = np.array([BORROWED_RESIDUAL if prior.borrowed else 0.0 for prior in priors])
    own = np.where(has, residual**2 + borrowed**2, max(residual, UNKNOWN_RESIDUAL) ** 2)
    return SLOPE * z + 1.0, np.diag(own) + _FREE**2 + SLOPE_SPREAD**2 * np.outer(z, z)


def _observed(seen: Sequence[tuple[Seen, Measured]], images: int) -> tuple[Array, Array]:
    """Log odds on all images as each probe's evidence says, float64 (K,), and their covariance (K, K)."""
    slopes = _slopes(seen)
    away = np.array([max(0.0, float(np.log(images / measured.rows[-1]))) for _, measured in seen])
    raced = np.array([float(_logit(_share(measured.right))) for _, measured in seen])
    values = raced + GROWTH * slopes * away + _offsets(seen)
    without = np.array([float(one.final is None) for one, _ in seen])
    shared = METHOD_COMMON if without.all() else METHOD_OWN
    noise = _sampling(
        [measured.right if one.final is None else one.final for one, measured in seen],
        [measured.groups for _, measured in seen],
    )
    noise += GROWTH_COMMON**2 * np.outer(away, away) + np.diag(GROWTH_OWN**2 * away**2)
    noise += shared**2 * np.outer(without, without) + np.diag(METHOD_OWN**2 * without)
    return values, noise


def _slopes(seen: Sequence[tuple[Seen, Measured]]) -> Array:
    """Log odds that each gains for an e-fold of images, float64 (K,).

    Curves flatten as images grow more, and those of few images are mostly noise: what is common to all is
    read from those that saw the most, and each one's own curve counts a quarter.
    """
    inside = np.array([_growth(measured) for _, measured in seen])
    weights = np.array([float(len(measured.right)) for _, measured in seen]) ** 2
    return 0.75 * float(inside @ weights / weights.sum()) + 0.25 * inside


def _offsets(seen: Sequence[tuple[Seen, Measured]]) -> Array:
    """What the final probe adds to each one's log odds: its own where it was fitted, else their mean."""
    own = np.array(
        [
            np.nan if one.final is None else _logit(_share(one.final)) - _logit(_share(measured.right))
            for one, measured in seen
        ]
    )
    known = ~np.isnan(own)
    return np.where(known, own, own[known].mean() if known.any() else 0.0)


def _sampling(right: Sequence[Array], groups: Sequence[Integers]) -> Array:
    """Covariance of the log odds over which images are in the subset, by the images that each two share.

    Images of one group are drawn together: their deviations are added before they are squared.
    """
    most = max(int(one.max()) for one in groups) + 1
    found = np.zeros((len(right), len(right)))
    shares = [_share(one) for one in right]
    apart = [one - one.mean() for one in right]
    for i, first in enumerate(apart):
        for j, second in enumerate(apart[: i + 1]):
            n = min(len(first), len(second))
            sums = [np.bincount(groups[i][:n], one[:n], most) for one in (first, second)]
            together = float(sums[0] @ sums[1]) / (len(first) * len(second))
            steepness = shares[i] * (1 - shares[i]) * shares[j] * (1 - shares[j])
            found[i, j] = found[j, i] = together / steepness
        hits = float(right[i].sum())
        # A few mistakes, or none, say less than their own spread does; repeats make up for half at most.
        found[i, i] = max(found[i, i], (1 / (hits + 0.5) + 1 / (len(first) - hits + 0.5)) / 2)
    return FOLD_INFLATION * found


def _growth(measured: Measured) -> float:
    """Log odds gained for each e-fold of images inside the subset."""
    count = len(measured.right)
    odds = _logit((measured.curve * count + 0.5) / (count + 1))
    along = np.log(measured.rows)
    along = along - along.mean()
    return float(np.clip((along @ odds) / max(float(along @ along), 1e-9), 0.0, 1.5))


def _share(right: Array) -> float:
    """The fraction right, kept off 0 and 1 by half an image on each side.

    Source: J. Haldane, "The Estimation and Significance of the Logarithm of a Ratio of Frequencies",
    Annals of Human Genetics 20 (1956) 309-311; the variance of log odds: B. Woolf, ibid. 19 (1955) 251-253.
    """
    return float((right.sum() + 0.5) / (len(right) + 1))


def _logit(share: Array | float) -> Array:
    return np.asarray(np.log(share / (1 - np.asarray(share))))


def _drawn(level: Array, spread: Array, generator: np.random.Generator, count: int = DRAWS) -> Beliefs:
    values, vectors = np.linalg.eigh((spread + spread.T) / 2)
    factor = vectors * np.sqrt(np.maximum(values, 0))
    odds = level + generator.standard_normal((count, len(level))) @ factor.T
    return Beliefs(1 / (1 + np.exp(-odds)))
