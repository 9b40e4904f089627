"""Whether scores mean what they say: of the answers given with 80 %, are 80 % right?"""

from __future__ import annotations

import numpy as np

from signet.arrays import Array, Integers
from signet.errors import BadInput
from signet.metrics.inputs import several_labels, single_label
from signet.records import Calibration

BINS = 15
"""Equal-width bins. Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 5."""

_TEMPERATURES = (0.02, 50.0)  # beyond these scores are 0 and 1, or all alike
_ROWS = 8192  # images at once: their float64 copies stay small


def bin_of(confidence: Array, bins: int = BINS) -> Integers:
    """The bin of each score: int64 (N,); bin m holds (m / bins, (m + 1) / bins], the first also 0.

    Raises:
        BadInput: a score outside 0 to 1.
    """
    values = np.asarray(confidence, np.float64)
    # Sums of float32 exponentials may end a little above 1.
    if values.size and not (values.min() >= 0 and values.max() <= 1 + 1e-5):
        raise BadInput(
            f"confidence: expected scores from 0 to 1, got {values.min():.6g} to {values.max():.6g}."
        )
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    return np.searchsorted(inner, values, side="left").astype(np.int64)


def reliability(confidence: Array, right: Array, bins: int = BINS) -> Calibration:
    """Mean score and fraction right in each bin of scores.

    Args:
        confidence: float (N,), the score of each answer, 0 to 1.
        right: bool (N,), whether it was right.
        bins: how many of equal width.

    Raises:
        BadInput: different lengths, or a score outside 0 to 1.
    """
    if np.shape(confidence) != np.shape(right):
        raise BadInput(
            f"reliability: expected two rows of one length, got {np.shape(confidence)} and {np.shape(right)}."
        )
    place = bin_of(confidence, bins)
    counts = np.bincount(place, minlength=bins).astype(np.int64)
    empty = np.full(bins, np.nan)
    sums = [np.bincount(place, np.asarray(part, np.float64), bins) for part in (confidence, right)]
    means = [np.divide(total, counts, out=empty.copy(), where=counts > 0) for total in sums]
    return Calibration(np.linspace(0, 1, bins + 1), means[0], means[1], counts)


def expected_calibration_error(
    confidence: Array, right: Array, weights: Array | None = None, bins: int = BINS
) -> Array:
    """Mean gap between score and fraction right, over bins weighted by their images.

    Args:
        confidence: float (N,), 0 to 1.
        right: bool (N,).
        weights: float (R, N), how often each image counts, in each of R draws; once when None.
        bins: how many of equal width.

    Returns:
        float64 (R,), 0 to 1.

    Raises:
        BadInput: a score outside 0 to 1.

    The figure is biased upwards: chance alone leaves gaps, about 0.03 for 1,000 images of a model without
    any. Percentiles of a bootstrap add that bias once more; the mirrored interval (`basic`) removes it.

    Source: Guo et al., ICML 2017, equation 3.
    """
    gaps = np.asarray(right, np.float64) - np.asarray(confidence, np.float64)
    members = bin_of(confidence, bins)[:, None] == np.arange(bins)
    drawn = np.ones((1, gaps.size)) if weights is None else np.asarray(weights, np.float64)
    totals = np.abs(drawn @ (members * gaps[:, None])).sum(axis=1)
    return np.asarray(totals / drawn.sum(axis=1))


def label_calibration_error(
    scores: Array, truth: Array, weights: Array | None = None, bins: int = BINS
) -> Array:
    """Expected calibration error where several labels can be right, over all pairs of image and label.

    A label's score is the chance that the image has it; of the pairs in a bin of scores, so many should.

    Args:
        scores: float (N, C), 0 to 1.
        truth: (N, C), 1 or True where the image has the label.
        weights: float (R, N), how often each image counts, in each of R draws; once when None.
        bins: how many of equal width.

    Returns:
        float64 (R,), 0 to 1; biased upwards as `expected_calibration_error`.

    Raises:
        BadInput: as `inputs.several_labels`, or a score outside 0 to 1.

    Source: Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015, the
        expected calibration error of binary outcomes, of which each pair is one.
    """
    gaps = label_gaps(scores, truth, bins)
    drawn = np.ones((1, len(gaps))) if weights is None else np.asarray(weights, np.float64)
    return np.asarray(np.abs(drawn @ gaps).sum(axis=1) / drawn.sum(axis=1))


def label_gaps(scores: Array, truth: Array, bins: int = BINS) -> Array:
    """What each image adds to the gaps that `label_calibration_error` sums: float64 (N, bins).

    Args:
        scores: float (N, C), 0 to 1.
        truth: (N, C), 1 or True where the image has the label.
        bins: how many of equal width.

    Raises:
        BadInput: as `label_calibration_error`.
    """
    table, right = several_labels(scores, truth)
    places = bin_of(table.ravel(), bins).reshape(table.shape)
    gaps = right - table.astype(np.float64)
    each = [(gaps * (places == number)).sum(axis=1) for number in range(bins)]
    return np.asarray(np.stack(each, axis=1) / table.shape[1])


def negative_log_likelihood(scores: Array, truth: Array) -> float:
    """Mean of -log of the right label's score; a score of 0 counts as the smallest float32.

    Raises:
        BadInput: as `inputs.single_label`.
    """
    table, right = single_label(scores, truth)
    own = np.take_along_axis(table, right[:, None], axis=1).astype(np.float64)
    return float(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean())


def brier_score(scores: Array, truth: Array) -> float:
    """Mean squared distance between scores and truth, summed over the classes: 0 to 2.

    Raises:
        BadInput: as `inputs.single_label`.

    Source: Brier, Monthly Weather Review 78 (1950) 1-3, equation 2.
    """
    table, right = single_label(scores, truth)
    table = table.astype(np.float64)
    own = np.take_along_axis(table, right[:, None], axis=1)[:, 0]
    return float(((table**2).sum(axis=1) - 2 * own + 1).mean())


def log_softmax(logits: Array, temperature: float = 1.0) -> Array:
    """Logarithm of the softmax of logits / temperature over the last axis; float64, of the same shape."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True)))


def fit_temperature(logits: Array, truth: Array) -> float:
    """The temperature of the highest likelihood: answers stay as they are, scores become honest.

    The scores as they came count as one image more. Without it, a few images that are all answered right
    would make every score 1: the likelihood alone has its optimum at infinity then.

    Args:
        logits: float (N, C), before the softmax, of images that the model was not trained on.
        truth: int (N,).

    Returns:
        The divisor of the logits, 0.02 to 50.

    Raises:
        BadInput: as `inputs.single_label`.

    Source: Guo et al., ICML 2017, section 4.2. In 1 / T, the natural parameter of an exponential family, the
        loss is convex, so one search finds it; the image more is the conjugate prior (Diaconis & Ylvisaker,
        Annals of Statistics 7 (1979) 269-281) whose mean is T = 1.
    """
    from scipy.optimize import minimize_scalar

    table, right = single_label(logits, truth)
    parts = [table[first : first + _ROWS] for first in range(0, len(table), _ROWS)]
    own = float(table[np.arange(len(right)), right].sum(dtype=np.float64))
    expected = sum(float((np.exp(log_softmax(part)) * part).sum()) for part in parts) / len(right)
    mean = (own + expected) / (len(right) + 1)

    def loss(inverse: float) -> float:
        return (
            sum(float(_log_sums(part * np.float64(inverse)).sum()) for part in parts) / len(right)
            - inverse * mean
        )

    coldest, hottest = _TEMPERATURES
    found = minimize_scalar(
        loss, bounds=(1 / hottest, 1 / coldest), method="bounded", options={"xatol": 1e-6}
    )
    return float(1 / found.x)


def _log_sums(scaled: Array) -> Array:
    """Logarithm of the sum of the exponentials over the last axis."""
    greatest = scaled.max(axis=-1, keepdims=True)
    return np.asarray(greatest[..., 0] + np.log(np.exp(scaled - greatest).sum(axis=-1)))


def label_log_loss(logits: Array, truth: Array) -> float:
    """Mean over the images of the sum over the labels of -log of the right answer's score.

    Args:
        logits: float (N, C), before the logistic function, of labels that can all be right.
        truth: bool (N, C).

    Raises:
        BadInput: as `inputs.several_labels`.
    """
    table, right = several_labels(logits, truth)
    wide = table.astype(np.float64)
    return float((np.logaddexp(0, wide) - right * wide).sum(axis=1).mean())


def fit_label_temperature(logits: Array, truth: Array) -> float:
    """As `fit_temperature`, where several labels of an image can be right: one temperature for all labels.

    Each pair of image and label is a question with two answers, whose logits are 0 and that of the label.

    Args:
        logits: float (N, C), before the logistic function.
        truth: bool (N, C).

    Raises:
        BadInput: as `inputs.several_labels`.
    """
    table, right = several_labels(logits, truth)
    own = table.ravel()
    return fit_temperature(np.stack([np.zeros_like(own), own], axis=1), right.ravel().astype(np.int64))
