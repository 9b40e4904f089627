"""Linear classifiers on rows of features, for a path of regularisation strengths: numpy and scipy alone.

All solvers standardise inside and give weights for the rows as they came. Each is a generator of one fit
for each strength, so that several can go in step and all be left when it only gets worse.

A logistic loss is brought to its least in coordinates in which it bends about alike in all directions, which
takes half the steps or fewer. How much it bends by the weights is taken as where all answers are as likely:
the covariance of the features, as in the bound of D. Böhning, Annals of the Institute of Statistical
Mathematics 44 (1992) 197-200. Of few images only the directions that they span are looked at; it lies there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from signet.arrays import Array, Floats, Integers
from signet.errors import MissingExtra

_ITERATIONS = 300
_TOLERANCE = 3e-4
"""Largest slope at which a loss counts as least, in coordinates in which it bends by 1. The loss of 3,360
images of CIFAR-10 was then within 2e-5 of that of three times the steps, at each of four strengths."""
_LEAST_LOSS_GAIN = 1e-7
_LEAST_LOGIT = -60.0
_ROWS_AT_ONCE = 8192
_ROWS_A_DIRECTION = 4
"""Images for each feature by which a covariance is known well enough to choose coordinates by."""
_SPARE_DIRECTIONS = 2
"""Features for each image from which on the directions that no image has are left out first."""


class Problem(NamedTuple):
    """Images to fit on: float32 (N, D) features, int64 (N,) targets, and how many classes there are."""

    rows: Floats
    truth: Integers
    classes: int

    def subset(self, inside: Array) -> Problem:
        """The problem of some of its images, by positions or mask."""
        return Problem(self.rows[inside], self.truth[inside], self.classes)

    def scales(self, evenness: float) -> tuple[Array, Array]:
        """(mean, divisor) of each feature, float64 (D,).

        Divided by the deviation to the power `evenness`, and by what all features have in common to the
        rest. A feature that never varies is divided by infinity: it counts nothing.
        """
        mean = self.rows.mean(axis=0, dtype=np.float64)
        deviation = self.rows.std(axis=0, dtype=np.float64)
        alive = deviation > 1e-6 * np.abs(mean).max(initial=1e-6)
        common = float(np.sqrt((deviation[alive] ** 2).mean())) if alive.any() else 1.0
        divisor = np.where(alive, deviation, 1.0) ** evenness * common ** (1 - evenness)
        return mean, np.where(alive, divisor, np.inf)


class Fitted(NamedTuple):
    """One fit: float64 weights (D, C) and bias (C,), for features as they come."""

    weights: Array
    bias: Array

    def logits(self, rows: Floats) -> Floats:
        """Float32 (N, C)."""
        return np.asarray(rows @ self.weights.astype(np.float32) + self.bias.astype(np.float32), np.float32)


_Objective = Callable[[Array], tuple[float, Array]]
"""Loss and slope of weights and biases, float64 (D * C + C,)."""

FitPath = Callable[[Problem, Sequence[float], float], Iterator[Fitted]]
"""A solver: the fits of a problem for strengths, strongest first, at one evenness of standardisation."""


def logistic_path(problem: Problem, strengths: Sequence[float], evenness: float) -> Iterator[Fitted]:
    """Multinomial logistic regression by L-BFGS, each strength started from the one before.

    The loss is the mean log loss and `strength / 2` times the squared norm of the weights on standardised
    features; the bias is not regularised.

    Source: D. Liu, J. Nocedal, Mathematical Programming 45 (1989) 503-528.
    """
    bend = (1 - 1 / problem.classes) / problem.classes

    def loss(rows: Floats, strength: float) -> _Objective:
        return _logistic_objective(rows, problem.truth, problem.classes, strength)

    yield from _least(problem, strengths, evenness, loss, bend)


def ridge_path(problem: Problem, strengths: Sequence[float], evenness: float) -> Iterator[Fitted]:
    """Ridge regression on one-hot targets, all strengths from one decomposition.

    Source: R. Rifkin, R. Lippert, "Notes on Regularized Least Squares", MIT-CSAIL-TR-2007-025, section 3.
    """
    mean, divisor = problem.scales(evenness)
    count, width = problem.rows.shape
    gram = np.zeros((width, width))
    sums = np.zeros((width, problem.classes))
    shares = np.bincount(problem.truth, minlength=problem.classes) / count
    for start in range(0, count, _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        block = (problem.rows[some] - mean.astype(np.float32)) / divisor.astype(np.float32)
        hot = np.zeros((len(block), problem.classes), np.float32)
        hot[np.arange(len(block)), problem.truth[some]] = 1
        gram += np.asarray(block.T @ block, np.float64)
        sums += np.asarray(block.T @ (hot - shares.astype(np.float32)), np.float64)
    # What is left of the images is in these sums: with those of other folds they would fill the memory.
    del problem, block, hot
    values, vectors = np.linalg.eigh(gram / count)
    turned = vectors.T @ (sums / count)
    for strength in strengths:
        weights = vectors @ (turned / (np.maximum(values, 0)[:, None] + strength)) / divisor[:, None]
        yield Fitted(weights, shares - mean @ weights)


def _logistic_objective(rows: Floats, truth: Integers, classes: int, strength: float) -> _Objective:
    """Loss and gradient as a function of all weights and biases, float64 (D * C + C,)."""
    count, width = rows.shape
    cells = width * classes
    places = np.arange(count)

    def objective(values: Array) -> tuple[float, Array]:
        weights = values[:cells].reshape(width, classes)
        logits = rows @ weights.astype(np.float32) + values[cells:].astype(np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[places, truth].mean(dtype=np.float64)
        # Less than this is nothing, and powers too small for float32 make the processor crawl.
        shares = np.exp(np.maximum(logits, _LEAST_LOGIT))
        sums = shares.sum(axis=1, keepdims=True)
        loss = float(np.log(sums).mean(dtype=np.float64) - own + 0.5 * strength * (weights**2).sum())
        shares /= sums * count
        shares[places, truth] -= np.float32(1 / count)
        slope = (rows.T @ shares).astype(np.float64) + strength * weights
        return loss, np.concatenate([slope.ravel(), shares.sum(axis=0, dtype=np.float64)])

    return objective


class _Coordinates(NamedTuple):
    """Coordinates in which a loss bends by about 1 in every direction.

    Attributes:
        lower: float32 (D, D), lower triangular; times its transpose it is how the loss bends by weights.
        inverse: float32 (D, D), of it.
        bend: by the bias of a class.
        classes: C.
    """

    lower: Floats
    inverse: Floats
    bend: float
    classes: int

    @classmethod
    def of(cls, covariance: Floats, bend: float, strength: float, classes: int) -> _Coordinates:
        """Those of features with a covariance, float32 (D, D)."""
        width = len(covariance)
        curvature = np.float32(bend) * covariance
        # Less than the second is lost to rounding (N. Higham, Accuracy and Stability, 2002, theorem 10.7).
        rounding = 4 * width * float(np.finfo(np.float32).eps) * float(curvature.diagonal().max(initial=0))
        curvature[np.diag_indices(width)] += np.float32(max(strength, rounding))
        lower = np.linalg.cholesky(curvature)
        return cls(lower, _scipy().linalg.lapack.strtri(lower, lower=1)[0], bend, classes)

    def into(self, values: Array) -> Array:
        """The coordinates of weights and biases, float64 (D * C + C,)."""
        return self._changed(self.lower.T, values, self.bend**0.5)

    def back(self, values: Array) -> Array:
        """Weights and biases at some coordinates."""
        return self._changed(self.inverse.T, values, self.bend**-0.5)

    def seen(self, objective: _Objective) -> _Objective:
        """A loss and its slope as a function of the coordinates."""

        def inside(values: Array) -> tuple[float, Array]:
            loss, slope = objective(self.back(values))
            return loss, self._changed(self.inverse, slope, self.bend**-0.5)

        return inside

    def _changed(self, change: Floats, values: Array, factor: float) -> Array:
        cells = len(change) * self.classes
        weights = change @ values[:cells].reshape(-1, self.classes).astype(np.float32)
        return np.concatenate([weights.astype(np.float64).ravel(), values[cells:] * factor])


def _least(
    problem: Problem,
    strengths: Sequence[float],
    evenness: float,
    loss: Callable[[Floats, float], _Objective],
    bend: float,
) -> Iterator[Fitted]:
    """The fits of least loss for strengths, each started from the one before.

    Args:
        problem: the images.
        strengths: strongest first.
        evenness: of the standardisation.
        loss: that of standardised rows at a strength.
        bend: second derivative of an image's loss by a logit where all answers are as likely.
    """
    mean, divisor = problem.scales(evenness)
    rows = ((problem.rows - mean.astype(np.float32)) / divisor.astype(np.float32)).astype(np.float32)
    rows, spanned = _spanned(rows)
    width, classes = rows.shape[1], problem.classes
    some = rows[:: max(1, len(rows) // (_ROWS_A_DIRECTION * width))] if width else rows
    covariance = some.T @ some / np.float32(len(some))
    state = np.zeros((width + 1) * classes)
    for strength in strengths:
        places = _Coordinates.of(covariance, bend, strength, classes)
        state = places.back(_minimise(places.seen(loss(rows, strength)), places.into(state)))
        weights = state[: width * classes].reshape(width, classes)
        weights = (weights if spanned is None else spanned @ weights) / divisor[:, None]
        yield Fitted(weights, state[width * classes :] - mean @ weights)


def _spanned(rows: Floats) -> tuple[Floats, Floats | None]:
    """(rows (N, N) by the directions that few of them span, these as (D, N)), or the rows as they are."""
    count, width = rows.shape
    if width < _SPARE_DIRECTIONS * count:
        return rows, None
    directions, triangle = np.linalg.qr(rows.T)
    return np.ascontiguousarray(triangle.T), directions


def _minimise(objective: _Objective, start: Array) -> Array:
    options = {"maxiter": _ITERATIONS, "gtol": _TOLERANCE, "ftol": _LEAST_LOSS_GAIN}
    found = _scipy().optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x)


def _scipy() -> Any:
    try:
        import scipy.linalg.lapack
        import scipy.optimize
    except ImportError as error:
        raise MissingExtra("Fitting a probe", "fit", "scipy") from error
    return scipy


def label_path(problem: Problem, strengths: Sequence[float], evenness: float) -> Iterator[Fitted]:
    """Logistic regression of each label on its own, all in one L-BFGS, each strength from the one before.

    The loss is the mean over the images of the sum over the labels, and `strength / 2` times the squared norm
    of the weights. One image more, in the middle of all, has every label by half: the bias of a label that
    all images have, or none, stays finite.

    Args:
        problem: `truth` is int64 (N, C), 0 or 1.
        strengths: strongest first.
        evenness: of the standardisation.

    Source: as `logistic_path`; the image more is the conjugate prior of P. Diaconis, D. Ylvisaker, Annals of
        Statistics 7 (1979) 269-281.
    """

    def loss(rows: Floats, strength: float) -> _Objective:
        return _label_objective(rows, problem.truth, strength)

    yield from _least(problem, strengths, evenness, loss, 0.25)


def _label_objective(rows: Floats, truth: Integers, strength: float) -> _Objective:
    """Loss and gradient as a function of all weights and biases, float64 (D * C + C,)."""
    count, width = rows.shape
    classes = truth.shape[1]
    cells = width * classes
    right = truth.astype(np.float32)

    def objective(values: Array) -> tuple[float, Array]:
        weights, bias = values[:cells].reshape(width, classes), values[cells:]
        logits = rows @ weights.astype(np.float32) + bias.astype(np.float32)
        costs = np.logaddexp(0, logits) - right * logits
        prior = np.logaddexp(0, bias) - bias / 2
        loss = (costs.sum(dtype=np.float64) + prior.sum()) / count + 0.5 * strength * (weights**2).sum()
        shares = 0.5 + 0.5 * np.tanh(logits / 2)
        gaps = (shares - right) / np.float32(count)
        slope = (rows.T @ gaps).astype(np.float64) + strength * weights
        aside = gaps.sum(axis=0, dtype=np.float64) + np.tanh(bias / 2) / 2 / count
        return float(loss), np.concatenate([slope.ravel(), aside])

    return objective
