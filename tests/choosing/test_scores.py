"""The columns beside a probe: each there, each higher for features that tell the classes apart."""

import math

import numpy as np
import pytest

from signet.choosing.scores import NAMES, scores_of
from signet.errors import BadInput
from signet.metrics.calibration import log_softmax


def columns(apart: float, scores: bool = True) -> dict[str, float | None]:
    generator = np.random.default_rng(0)
    targets, folds = np.arange(120) % 4, (np.arange(120) // 4) % 5
    means = generator.normal(size=(4, 16))
    features = (generator.normal(size=(120, 16)) + apart * means[targets]).astype(np.float32)
    answers = np.exp(log_softmax(features @ generator.normal(size=(16, 9)).astype(np.float32)))
    return scores_of(features, answers if scores else None, targets, folds)


def test_every_column_rises_with_features_that_tell_more() -> None:
    useless, good = columns(0.0), columns(3.0)
    assert tuple(good) == NAMES
    for name in NAMES:
        low, high = useless[name], good[name]
        assert low is not None
        assert high is not None
        assert low < high, name
    assert useless["knn"] == pytest.approx(0.25, abs=0.12)
    assert good["knn"] == pytest.approx(1.0, abs=0.02)


def test_a_network_without_a_classifier_has_no_leep_and_no_nce() -> None:
    found = columns(1.0, scores=False)
    assert found["leep"] is None
    assert found["nce"] is None
    assert math.isfinite(found["logme"] or math.nan)


def test_scores_of_other_images_are_refused() -> None:
    with pytest.raises(BadInput, match=r"each of 6 images, got shape \(5, 4\)"):
        scores_of(np.ones((6, 2)), np.full((5, 4), 0.25), np.arange(6) % 2, np.arange(6) % 3)


def test_logits_are_no_scores_and_quantised_scores_are() -> None:
    targets, folds = np.arange(12) % 2, np.arange(12) % 3
    features = np.random.default_rng(0).normal(size=(12, 3))
    with pytest.raises(BadInput, match=r"answers\.probabilities"):
        scores_of(features, features, targets, folds)
    whole = np.full((12, 4), 0.25)
    more = scores_of(features, whole * 1.03, targets, folds)  # each rounded up
    assert more == pytest.approx(scores_of(features, whole, targets, folds))


def test_a_background_that_is_left_out_of_the_scores_counts_as_a_label() -> None:
    targets, folds = np.arange(12) % 2, np.arange(12) % 3
    features = np.random.default_rng(0).normal(size=(12, 3))
    background = np.where(targets == 0, 0.0, 1.0)[:, None]  # of one class nothing is known but that
    known = np.hstack([1 - background, np.zeros((12, 2))])
    found = scores_of(features, known, targets, folds)
    assert found["leep"] == pytest.approx(0)
    assert found["nce"] == pytest.approx(0)
