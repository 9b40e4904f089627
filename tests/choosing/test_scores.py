"""The columns beside a probe: each there, each higher for features that tell the classes apart."""

import math

import numpy as np
import pytest

from signet.choosing.scores import NAMES, scores_of
from signet.errors import BadInput


def columns(apart: float, logits: bool = True) -> dict[str, float | None]:
    generator = np.random.default_rng(0)
    targets, folds = np.arange(120) % 4, (np.arange(120) // 4) % 5
    means = generator.normal(size=(4, 16))
    features = (generator.normal(size=(120, 16)) + apart * means[targets]).astype(np.float32)
    answers = features @ generator.normal(size=(16, 9)).astype(np.float32)
    return scores_of(features, answers if logits else None, targets, folds)


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
    found = columns(1.0, logits=False)
    assert found["leep"] is None
    assert found["nce"] is None
    assert math.isfinite(found["logme"] or math.nan)


def test_logits_of_other_images_are_refused() -> None:
    with pytest.raises(BadInput, match=r"\(5, 3\) and \(6,\)"):
        scores_of(np.ones((6, 2)), np.zeros((5, 3)), np.arange(6) % 2, np.arange(6) % 3)
