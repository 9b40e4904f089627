"""Linear classifiers on rows of features, for a path of regularisation strengths: numpy and scipy alone.

Both solvers standardise inside and give weights for the rows as they came. Each is a generator of one fit
for each strength, so that several can go in step and all be left when it only gets worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from signet.arrays import Array, Floats, Integers
from signet.errors import MissingExtra

_ITERATIONS = 300
_TOLERANCE = 1e-4
_LEAST_LOGIT = -60.0
_ROWS_AT_ONCE = 8192


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


FitPath = Callable[[Problem, Sequence[float], float], Iterator[Fitted]]
"""A solver: the fits of a problem for strengths, strongest first, at one evenness of standardisation."""


def logistic_path(problem: Problem, strengths: Sequence[float], evenness: float) -> Iterator[Fitted]:
    """Multinomial logistic regression by L-BFGS, each strength started from the one before.

    The loss is the mean log loss and `strength / 2` times the squared norm of the weights on standardised
    features; the bias is not regularised.

    Source: D. Liu, J. Nocedal, Mathematical Programming 45 (1989) 503-528.
    """
    mean, divisor = problem.scales(evenness)
    rows = ((problem.rows - mean.astype(np.float32)) / divisor.astype(np.float32)).astype(np.float32)
    width, classes = rows.shape[1], problem.classes
    state = np.zeros((width + 1) * classes)
    for strength in strengths:
        state = _minimise(_logistic_objective(rows, problem.truth, classes, strength), state)
        weights = state[: width * classes].reshape(width, classes) / divisor[:, None]
        yield Fitted(weights, state[width * classes :] - mean @ weights)


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


def _logistic_objective(
    rows: Floats, truth: Integers, classes: int, strength: float
) -> Callable[[Array], tuple[float, Array]]:
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


def _minimise(objective: Callable[[Array], tuple[float, Array]], start: Array) -> Array:
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise MissingExtra("Fitting a probe", "fit", "scipy") from error
    options = {"maxiter": _ITERATIONS, "gtol": _TOLERANCE, "ftol": 1e-9}
    return np.asarray(minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x)


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
    mean, divisor = problem.scales(evenness)
    rows = ((problem.rows - mean.astype(np.float32)) / divisor.astype(np.float32)).astype(np.float32)
    width, classes = rows.shape[1], problem.classes
    state = np.zeros((width + 1) * classes)
    for strength in strengths:
        state = _minimise(_label_objective(rows, problem.truth, strength), state)
        weights = state[: width * classes].reshape(width, classes) / divisor[:, None]
        yield Fitted(weights, state[width * classes :] - mean @ weights)


def _label_objective(
    rows: Floats, truth: Integers, strength: float
) -> Callable[[Array], tuple[float, Array]]:
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
