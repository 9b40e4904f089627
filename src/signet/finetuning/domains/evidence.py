"""What images without labels say for and against an adaptation.

No label of the target is looked at: what is compared are the answers of the network before and after, and
features of source and target.
"""

from __future__ import annotations

import numpy as np

from signet.arrays import Array, Floats
from signet.domain_shift import entropies
from signet.metrics.ranking import area_under_roc
from signet.probing import ProbeSettings, fit_probe
from signet.records import Interval
from signet.statistics import Resampling, bootstrap

LEAST_IMAGES = 50
"""Images of the target below which nothing is chosen by them."""

LEAST_AREA = 0.6
"""Lower end of the area under the curve from which on source and target are of different kinds; the same as
of splits in an audit."""

LEAST_GAIN = 0.01
"""Lower end of the gain in mutual information, in units of log C, from which on an adaptation is taken."""

_MOST_IMAGES = 1000
_STRENGTHS = (1.0, 0.1, 0.01)


def told_apart(source: Floats, target: Floats, seed: int) -> Interval | None:
    """How well a cross-validated probe tells source from target: area under its curve, 0.5 for not at all.

    Args:
        source: float32 (N, D) features.
        target: float32 (M, D).
        seed: of the sample and the folds.

    Returns:
        None where there are fewer than `LEAST_IMAGES` of either.

    Source: a classifier two-sample test: D. Lopez-Paz, M. Oquab (ICLR 2017), arXiv:1610.06545; by the area
        under the curve instead of accuracy, as in `signet audit`.
    """
    count = min(len(source), len(target), _MOST_IMAGES)
    if count < LEAST_IMAGES:
        return None
    generator = np.random.default_rng(seed)
    rows = np.concatenate([side[generator.permutation(len(side))[:count]] for side in (source, target)])
    targets = np.repeat([0, 1], count)
    probe = fit_probe(rows, targets, 2, settings=ProbeSettings(strengths=_STRENGTHS, seed=seed))
    return area_under_roc(probe.out_of_fold[:, 1] - probe.out_of_fold[:, 0], targets == 1)


def information(scores: Array) -> float:
    """Mutual information between image and answer, in units of log C: float, 0 to 1.

    1 where each answer is sure and all classes are answered alike often; 0 where all images get one answer.

    Args:
        scores: float (N, C), rows that sum to 1.

    Source: J. Bridle, A. Heading, D. MacKay, "Unsupervised Classifiers, Mutual Information and 'Phantom
        Targets'" (NIPS 1991), equation 4.
    """
    return float(_information(np.ones((1, len(scores))), np.asarray(scores, np.float64))[0])


def gain(after: Array, before: Array, seed: int) -> Interval:
    """By how much information grows from one network's answers to another's, on the same images.

    Args:
        after: float (N, C), rows that sum to 1.
        before: float (N, C).
        seed: of the bootstrap.
    """
    one, two = np.asarray(after, np.float64), np.asarray(before, np.float64)
    (found,) = bootstrap(
        lambda drawn: (_information(drawn, one) - _information(drawn, two))[:, None],
        len(one),
        Resampling(seed=seed),
    )
    return found


def _information(drawn: Array, scores: Array) -> Array:
    """float64 (R,) for float64 (R, N), how often each image counts."""
    counts = drawn.sum(axis=1)
    means = drawn @ scores / counts[:, None]
    return np.asarray(entropies(means) - drawn @ entropies(scores) / counts)
