"""Which images a probe on a subset gets right, and how that grows with the number of images.

The probe is ridge regression on one-hot targets in its dual form, solved anew for each fold: for hundreds of
images and a thousand features that takes milliseconds.

Source: C. Saunders, A. Gammerman, V. Vovk, "Ridge Regression Learning Algorithm in Dual Variables",
ICML 1998.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from signet.arrays import Array, Floats, Integers
from signet.errors import MissingExtra
from signet.probing import ProbeSettings, fit_probe
from signet.splitting import stratified_group_folds

FOLDS = 5
PARTS = (0.25, 0.5, 1.0)
"""Shares of the images inside a fold that probes are fitted on, for the curve of learning."""

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Of the regularisation, in units of the kernel's mean diagonal."""

MOST_IMAGES = 2000
"""Images that a candidate is shown at most: kernels grow with their square."""

_MOST_CELLS = 200_000_000
"""Images x features x classes above which the final probe is a ridge: a logistic one would take minutes."""

_MOST_ROWS = 800
"""Rows times repeats: small subsets are dealt to folds several times, large ones once."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The images of a subset: what is the same for all candidates.

    Attributes:
        targets: int64 (N,), 0 to C - 1.
        groups: int64 (N,), small numbers; what stays on one side of a fold.
        names: N names that differ.
        seed: of the folds.
    """

    targets: Integers
    groups: Integers
    names: tuple[str, ...]
    seed: int = 0

    def head(self, count: int) -> Rows:
        """The first of them."""
        return Rows(self.targets[:count], self.groups[:count], self.names[:count], self.seed)

    def deals(self) -> list[Integers]:
        """int64 (N,) folds, once for each repeat."""
        count = len(self.targets)
        repeats = max(1, min(5, _MOST_ROWS // max(count, 1)))
        folds = max(2, min(FOLDS, len(np.unique(self.groups))))
        classes = [(int(target),) for target in self.targets]
        return [
            stratified_group_folds(
                classes, folds, names=self.names, groups=self.groups.tolist(), seed=self.seed + repeat
            )
            for repeat in range(repeats)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was found on one subset.

    Attributes:
        right: float64 (N,), how often each image was right over the repeats, each time by a probe that did
            not see it; fitted on all that the fold leaves.
        curve: float64 (len(PARTS),), the fraction right of probes fitted on a part of that.
        rows: float64 (len(PARTS),), how many images those were fitted on.
        groups: int64 (N,), which images belong together: their chances are one.
    """

    right: Array
    curve: Array
    rows: Array
    groups: Integers


def measure(features: Floats, rows: Rows) -> Measured:
    """Probe features by repeated, stratified, group-safe folds.

    Args:
        features: float32 (N, D).
        rows: their N targets and groups.
    """
    kernel = _kernel(features)
    count = len(rows.targets)
    deals = rows.deals()
    right = np.zeros((len(PARTS), count))
    sizes = np.zeros(len(PARTS))
    for repeat, folds in enumerate(deals):
        generator = np.random.default_rng([rows.seed, repeat, count])
        for place, part in enumerate(PARTS):
            answers, used = _out_of_fold(kernel, rows.targets, folds, (part, generator))
            right[place] += answers == rows.targets
            sizes[place] += used
    right /= len(deals)
    return Measured(right[-1], right.mean(axis=1), sizes / len(deals), rows.groups)


def final_right(features: Floats, rows: Rows) -> Array:
    """Float64 (N,): which images the probe that `finetune` fits gets right without having seen them.

    Args:
        features: float32 (N, D).
        rows: their N targets and groups.
    """
    known, targets = np.unique(rows.targets, return_inverse=True)
    folds = rows.deals()[0]
    large = features.size * len(known) > _MOST_CELLS
    settings = ProbeSettings(seed=rows.seed, method="ridge" if large else None)
    probe = fit_probe(features, targets.astype(np.int64), len(known), folds=folds, settings=settings)
    return np.asarray(probe.out_of_fold.argmax(axis=1) == targets, np.float64)


def _kernel(features: Floats) -> Array:
    """Float64 (N, N) inner products of features that are brought to one scale, as a probe brings them."""
    rows = features.astype(np.float32)
    deviation = rows.std(axis=0, dtype=np.float64)
    alive = deviation > 1e-6 * max(float(np.abs(rows).max(initial=0)), 1e-6)
    # The square root: features that vary more count for more, as in the better of a probe's two ways.
    scaled = (rows[:, alive] - rows[:, alive].mean(axis=0)) / np.sqrt(deviation[alive]).astype(np.float32)
    return np.asarray(scaled @ scaled.T, np.float64) + 1e-9 * np.eye(len(rows))


def _out_of_fold(
    kernel: Array, targets: Integers, folds: Integers, thinned: tuple[float, np.random.Generator]
) -> tuple[Integers, float]:
    """(the answer for each image by the strength with the least squared error, images fitted on)."""
    part, generator = thinned
    classes = int(targets.max()) + 1
    hot = np.eye(classes)[targets]
    scores = np.zeros((len(STRENGTHS), len(targets), classes))
    used = []
    for fold in np.unique(folds).tolist():
        outside = np.flatnonzero(folds == fold)
        inside = np.flatnonzero(folds != fold)
        if part < 1:
            inside = inside[_thin(targets[inside], part, generator)]
        used.append(len(inside))
        for place, fitted in enumerate(_fits(kernel, hot, inside, outside)):
            scores[place, outside] = fitted
    errors = ((scores - hot) ** 2).sum(axis=2).mean(axis=1)
    return np.asarray(scores[int(errors.argmin())].argmax(axis=1), np.int64), float(np.mean(used))


def _thin(targets: Integers, part: float, generator: np.random.Generator) -> Integers:
    """Positions of a part of the images, the same part of each class, at least one of it."""
    kept = []
    for one in np.unique(targets).tolist():
        mine = np.flatnonzero(targets == one)
        kept.append(generator.permutation(mine)[: max(1, round(part * len(mine)))])
    return np.sort(np.concatenate(kept))


def _fits(kernel: Array, hot: Array, inside: Integers, outside: Integers) -> Iterator[Array]:
    """Float64 (outside, C) scores for each strength."""
    try:
        from scipy.linalg import cho_factor, cho_solve
    except ImportError as error:
        raise MissingExtra("Choosing", "fit", "scipy") from error
    own = kernel[np.ix_(inside, inside)]
    mean, level = own.mean(axis=0), own.mean()
    centred = own - mean - mean[:, None] + level
    across = kernel[np.ix_(outside, inside)]
    across = across - across.mean(axis=1, keepdims=True) - mean + level
    shares = hot[inside].mean(axis=0)
    unit = max(float(np.trace(centred)) / len(inside), 1e-12)
    for strength in STRENGTHS:
        factor = cho_factor(centred + strength * unit * np.eye(len(inside)), check_finite=False)
        yield across @ cho_solve(factor, hot[inside] - shares, check_finite=False) + shares
