"""How well frozen features or a network's own answers foretell a task, without any training.

LogME and the H-score ask features; LEEP and NCE ask what the network answers in its own labels. Each is a
figure to rank networks *on one dataset* by, higher for better; none is an accuracy, and none compares between
datasets. They are columns beside a probe, not a replacement for it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from signet.arrays import Array, Integers
from signet.errors import BadInput

_NOTHING = 1e-12  # of the largest squared singular value: below it a direction is rounding
_CONSTANT = 1e-20  # of the features' sum of squares: all that is left of constant ones when they are centred
_STARTS = 17  # on a grid over the ratio of prior to noise precision, where the fixed point is sought from
_STEPS = 100
_TOLERANCE = 1e-9
_LEAST_NOISE = 1e-8  # variance of a 0 or 1: a perfect fit has none, and its evidence would be infinite


class _Spectrum(NamedTuple):
    """Features seen along their principal directions.

    Attributes:
        squares: float64 (R,), squared singular values of the features, largest first, all above 0.
        targets: float64 (R, K), the one-hot targets along the left singular vectors.
        width: D.
    """

    squares: Array
    targets: Array
    width: int


def logme(features: Array, targets: Integers) -> float:
    """LogME: the log evidence, for each image, of a Bayesian linear model from features to each class.

    Args:
        features: float (N, D), as they come from the network: they are not centred, and their scale does
            not matter. Constant features and D > N are no trouble.
        targets: int (N,), any whole numbers; a class may have one image.

    Returns:
        The mean over classes of log p(y | F) / N, y being 1 for the images of the class and 0 for others.
        Where the features fit a class exactly the noise is taken to have a variance of 1e-8, or the evidence
        would have no bound.

    Raises:
        BadInput: shapes that do not fit, fewer than 2 classes, features that are not finite.

    Source: K. You et al., "LogME", ICML 2021, arXiv:2102.11005, section 4.2; the fixed point over the ratio
        of the two precisions: K. You et al., JMLR 23 (2022), arXiv:2110.10545, algorithm 3. At a fixed point
        the evidence depends on that ratio alone, which is how it is computed here. The search starts from
        the best of a grid of ratios, where the paper starts from 1.
    """
    rows, hot = _checked(features, targets)
    seen = _spectrum(_scaled(rows), hot)
    count, norms = len(rows), hot.sum(axis=0)
    if not seen.squares.size:
        return float(_no_features(norms, count).mean())
    grid = seen.squares[0] * np.logspace(-10, 6, _STARTS)
    ratios = np.repeat(grid[:, None], len(norms), axis=1)
    known = np.stack([_evidence(row, seen, norms, count) for row in ratios])
    best = known.argmax(axis=0)
    ratio = _fixed_point(grid[best], seen, norms, count)
    found = np.maximum(_evidence(ratio, seen, norms, count), known.max(axis=0))
    return float(np.maximum(found, _no_features(norms, count)).mean())


def h_score(features: Array, targets: Integers, *, shrunk: bool = False) -> float:
    """The H-score: the variance of the features between classes, each direction in units of its own.

    Args:
        features: float (N, D); shifting them or mixing them linearly changes nothing.
        targets: int (N,), any whole numbers; a class may have one image.
        shrunk: shrink the covariance towards a multiple of the identity, by the amount of Ledoit and
            Wolf. Without it the score is K - 1 for any K classes as soon as D >= N - 1, and ranks nothing.

    Returns:
        0 to K - 1.

    Raises:
        BadInput: as `logme`.

    Source: Y. Bao et al., "An information-theoretic approach to transferability in task transfer learning",
        ICIP 2019, definition 2; shrunk: S. Ibrahim, N. Ponomareva, R. Mazumder, "Newer is not always better",
        arXiv:2110.06893, section 4; the amount: O. Ledoit, M. Wolf, Journal of Multivariate Analysis 88
        (2004) 365-411, section 3.
    """
    rows, hot = _checked(features, targets)
    table = _scaled(rows)
    level = table.mean(axis=0)
    centred = table - level
    if (centred**2).sum() <= _CONSTANT * (table**2).sum():
        return 0.0
    seen = _spectrum(centred, hot)
    between = (seen.targets**2 / hot.sum(axis=0)).sum(axis=1)
    if not shrunk:
        return float(between.sum())
    variances = seen.squares / len(rows)
    amount = _shrinkage(centred, variances)
    kept = (1 - amount) * variances
    return float((between * kept / (kept + amount * variances.sum() / seen.width)).sum())


def leep(scores: Array, targets: Integers) -> float:
    """LEEP: the mean log probability of the right class, told through the network's own labels.

    Args:
        scores: float (N, Z), the network's probabilities for its own Z labels, 0 to 1, each row summing to 1.
        targets: int (N,), any whole numbers.

    Returns:
        At most 0.

    Raises:
        BadInput: shapes that do not fit, fewer than 2 classes, rows that are not probabilities.

    Source: C. Nguyen et al., "LEEP", ICML 2020, arXiv:2002.12462, equations 1 and 2.
    """
    table, hot = _checked(scores, targets)
    _check_probabilities(table)
    joint = hot.T @ table / len(table)
    marginal = joint.sum(axis=0)
    given = np.divide(joint, marginal, out=np.zeros_like(joint), where=marginal > 0)
    own = (table @ given.T)[hot > 0]  # one in each row
    return float(np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean())


def nce(answers: Integers, targets: Integers) -> float:
    """NCE: minus the entropy of the classes, in nats, once the network's own answer is known.

    Args:
        answers: int (N,), the network's own label for each image.
        targets: int (N,), any whole numbers.

    Returns:
        At most 0, where each answer goes with one class only. At least minus the entropy of the classes.

    Raises:
        BadInput: shapes that do not fit, no image, values that are not whole numbers.

    Source: A. Tran, C. Nguyen, T. Hassner, "Transferability and hardness of supervised classification tasks",
        ICCV 2019, arXiv:1908.08142, equations 8 and 10.
    """
    given, truth = np.asarray(answers), np.asarray(targets)
    whole = all(np.issubdtype(row.dtype, np.integer) for row in (given, truth))
    if given.ndim != 1 or given.shape != truth.shape or not given.size or not whole:
        raise BadInput(
            "NCE: expected whole numbers, one answer and one target for each image, "
            f"got {given.dtype} {given.shape} and {truth.dtype} {truth.shape}."
        )
    _, columns = np.unique(given, return_inverse=True)
    _, rows = np.unique(truth, return_inverse=True)
    width = int(columns.max()) + 1
    pairs, counts = np.unique(rows.astype(np.int64) * width + columns, return_counts=True)
    alone = np.bincount(columns)[pairs % width]
    return float((counts * np.log(counts / alone)).sum() / len(given))


def _checked(values: Array, targets: Integers) -> tuple[Array, Array]:
    """The table as it is, and its one-hot targets, float64 (N, K), for the classes that occur."""
    truth = np.asarray(targets)
    if truth.ndim != 1 or not np.issubdtype(truth.dtype, np.integer):
        raise BadInput(f"targets: expected whole numbers (images,), got {truth.dtype} {truth.shape}.")
    names, local = np.unique(truth, return_inverse=True)
    table = np.asarray(values)
    if table.ndim != 2 or len(table) != len(truth) or not table.size:
        raise BadInput(
            f"features and targets: expected shapes (images, width) and (images,), got {table.shape} and "
            f"{truth.shape}."
        )
    if not np.isfinite(table).all():
        raise BadInput("features or scores: expected finite numbers, got NaN or infinity.")
    if len(names) < 2:
        raise BadInput(f"targets: expected images of at least 2 classes, got {len(names)}.")
    hot = np.zeros((len(truth), len(names)))
    hot[np.arange(len(truth)), local] = 1
    return table, hot


def _check_probabilities(table: Array) -> None:
    if table.min() < 0 or np.abs(table.sum(axis=1, dtype=np.float64) - 1).max() > 1e-3:
        raise BadInput(
            "LEEP: expected probabilities, at least 0 and summing to 1 in each row; "
            f"got rows that sum to {table.sum(axis=1).min():.4g} to {table.sum(axis=1).max():.4g}. "
            "Give the softmax of the network's logits."
        )


def _scaled(rows: Array) -> Array:
    """Float64 (N, D) of at most 1 in size, by a power of two, which rounds nothing."""
    most = max(float(rows.max()), -float(rows.min()), np.finfo(np.float64).tiny)
    return np.asarray(rows.astype(np.float64) * 2.0 ** -np.ceil(np.log2(most)))


def _spectrum(rows: Array, hot: Array) -> _Spectrum:
    """One eigendecomposition of the smaller of the two Gram matrices."""
    count, width = rows.shape
    gram, sums = (rows.T @ rows, rows.T @ hot) if width <= count else (rows @ rows.T, hot)
    values, vectors = np.linalg.eigh(gram)
    alive = np.flatnonzero(values > max(float(values[-1]) * _NOTHING, np.finfo(np.float64).tiny))[::-1]
    along = vectors[:, alive].T @ sums
    if width <= count:
        along /= np.sqrt(values[alive])[:, None]
    return _Spectrum(values[alive], along, width)


def _fixed_point(ratio: Array, seen: _Spectrum, norms: Array, count: int) -> Array:
    """The ratio of prior to noise precision, of each class, that maximises its evidence: float64 (K,)."""
    lowest, highest = seen.squares[0] * 1e-12, seen.squares[0] * 1e8
    for _ in range(_STEPS):
        degrees, length, residual = _parts(ratio, seen, norms)
        prior = degrees / np.maximum(length, np.finfo(np.float64).tiny)
        noise = (count - degrees) / np.maximum(residual, count * _LEAST_NOISE)
        moved = np.clip(prior / noise, lowest, highest)
        if (np.abs(moved - ratio) <= _TOLERANCE * ratio).all():
            break
        ratio = moved
    return ratio


def _parts(ratio: Array, seen: _Spectrum, norms: Array) -> tuple[Array, Array, Array]:
    """Effective degrees of freedom, squared length of the weights, sum of squared residuals; each (K,)."""
    squares = seen.squares[:, None]
    power = seen.targets**2
    below = squares + ratio
    length = (squares * power / below**2).sum(axis=0)
    outside = np.maximum(norms - power.sum(axis=0), 0)
    residual = (power * (ratio / below) ** 2).sum(axis=0) + outside
    return (squares / below).sum(axis=0), length, residual


def _evidence(ratio: Array, seen: _Spectrum, norms: Array, count: int) -> Array:
    """Log evidence for each image, of each class, the noise being the best for the ratio: float64 (K,)."""
    _, length, residual = _parts(ratio, seen, norms)
    noise = np.maximum((residual + ratio * length) / count, _LEAST_NOISE)
    volume = np.log1p(seen.squares[:, None] / ratio).sum(axis=0)
    return np.asarray(-(volume / count + np.log(noise) + 1 + np.log(2 * np.pi)) / 2)


def _no_features(norms: Array, count: int) -> Array:
    """The evidence when the features are ignored, which is what an infinite prior precision comes to."""
    return np.asarray(-(np.log(norms / count) + 1 + np.log(2 * np.pi)) / 2)


def _shrinkage(rows: Array, variances: Array) -> float:
    """Ledoit and Wolf's share of the identity, 0 to 1; of centred rows and their covariance's eigenvalues."""
    count, width = rows.shape
    squared = float((variances**2).sum())
    apart = squared - float(variances.sum()) ** 2 / width
    noise = (float(((rows**2).sum(axis=1) ** 2).mean()) - squared) / count
    return min(max(noise, 0.0), apart) / apart if apart > 0 else 0.0
