"""How far two sets of features lie apart, and features that are given the moments of others.

Shape suffixes: N images of the source, M of the target, D features, C classes.
"""

from __future__ import annotations

import numpy as np

from signet.arrays import Array, Floats, frozen
from signet.errors import BadInput

RIDGE = 1.0
"""Added to both covariances before roots are taken, in units of the mean variance of the features. Sun et al.
add the identity to those of features with unit variance, which is the same."""


def aligned(source_ND: Floats, target_MD: Floats, like_KD: Floats | None = None) -> Floats:
    """Features of the source with the mean and covariance of the target's (CORAL).

    Source features are whitened by their own covariance and coloured by the target's; a classifier that is
    fitted on the result, with the labels of the source, suits images like the target's.

    Args:
        source_ND: float32 (N, D).
        target_MD: float32 (M, D).
        like_KD: float32 (K, D), other features of the source, whose mean and covariance are whitened by
            instead: where a network learned from the images of `source_ND`, their features are spread
            otherwise than those of images that are new to it, as the target's are.

    Returns:
        float32 (N, D).

    Raises:
        BadInput: widths that differ, fewer than 2 rows, numbers that are not finite.

    Source: B. Sun, J. Feng, K. Saenko, "Return of Frustratingly Easy Domain Adaptation" (AAAI 2016),
        arXiv:1511.05547, algorithm 1, on features with the mean of each domain taken off.
    """
    source, target = _checked(source_ND, target_MD)
    like = source if like_KD is None else _checked(like_KD, target_MD)[0]
    means = like.mean(axis=0), target.mean(axis=0)
    covariances = [np.atleast_2d(np.cov(one, rowvar=False)) for one in (like, target)]
    unit = RIDGE * float(np.mean([np.trace(one) for one in covariances])) / source.shape[1]
    if unit == 0:
        return np.asarray(source - means[0] + means[1], np.float32)  # nothing varies: the mean is all
    ridge = unit * np.eye(source.shape[1])
    change_DD = _power(covariances[0] + ridge, -0.5) @ _power(covariances[1] + ridge, 0.5)
    return np.asarray((source - means[0]) @ change_DD + means[1], np.float32)


def frechet(source_ND: Floats, target_MD: Floats) -> float:
    """How far two sets of features lie apart, as normal densities of the same means and variances.

    The squared Fréchet distance with covariances taken as diagonal, over the mean variance of the source and
    the number of features: 0 for equal moments, 1 where means differ by one deviation in every feature.

    Args:
        source_ND: float32 (N, D).
        target_MD: float32 (M, D).

    Returns:
        At least 0; infinity where the source does not vary and the target differs.

    Raises:
        BadInput: as `aligned`.

    Source: D. Dowson, B. Landau, Journal of Multivariate Analysis 12 (1982) 450-455, equation 4.
    """
    source, target = _checked(source_ND, target_MD)
    gap = float(((source.mean(axis=0) - target.mean(axis=0)) ** 2).mean())
    gap += float(((source.std(axis=0) - target.std(axis=0)) ** 2).mean())
    unit = float(source.var(axis=0).mean())
    if unit == 0:
        return float("inf") if gap else 0.0
    return gap / unit


def entropies(scores_NC: Array) -> Array:
    """How unsure each answer is: float64 (N,), 0 for one that is sure, 1 for all classes alike.

    Args:
        scores_NC: float (N, C), rows that sum to 1, C at least 2.
    """
    scores = np.asarray(scores_NC, np.float64)
    logs = np.log(np.where(scores > 0, scores, 1.0))
    return np.asarray(np.clip(-(scores * logs).sum(axis=1) / np.log(scores.shape[1]), 0.0, 1.0))


def spread(scores_NC: Array) -> float:
    """How evenly the answers of a set fall on the classes: the entropy of the mean score, 0 to 1.

    A network that answers one class to everything has 0; on a set with all classes alike, a good one has
    about 1.
    """
    return float(entropies(np.asarray(scores_NC, np.float64).mean(axis=0, keepdims=True))[0])


def _power(matrix: Array, exponent: float) -> Array:
    """A symmetric positive matrix to a power, by its eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * values**exponent) @ vectors.T)


def _checked(source_ND: Floats, target_MD: Floats) -> tuple[Array, Array]:
    source = frozen(source_ND, "features of the source", "float32", (None, None))
    target = frozen(target_MD, "features of the target", "float32", (None, source.shape[1]))
    for name, rows in (("source", source), ("target", target)):
        if len(rows) < 2 or not np.isfinite(rows).all():
            raise BadInput(
                f"features of the {name}: expected at least 2 rows of finite numbers, got {len(rows)} rows"
                f"{'' if np.isfinite(rows).all() else ' with NaN or infinity'}."
            )
    return source.astype(np.float64), target.astype(np.float64)
