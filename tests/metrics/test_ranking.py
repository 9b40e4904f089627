"""The area under the ROC curve: by definition, by scikit-learn; how often its interval holds the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from signet.errors import BadInput
from signet.metrics.ranking import area_under_roc


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_it_is_the_share_of_pairs_in_order_and_scikit_learns(rows):
    scores = np.array([score for score, _ in rows], float)
    positive = np.array([flag for _, flag in rows])
    if positive.all() or not positive.any():
        return
    found = area_under_roc(scores, positive)
    gaps = scores[positive][:, None] - scores[~positive][None]
    assert found.value == pytest.approx(((gaps > 0) + 0.5 * (gaps == 0)).mean(), abs=1e-12)
    assert found.value == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    truth, held = 0.7602, 0  # of two normal distributions one deviation apart: Phi(1 / sqrt 2)
    for _ in range(400):
        scores = np.concatenate([generator.normal(1, 1, 80), generator.normal(0, 1, 60)])
        found = area_under_roc(scores, np.arange(140) < 80)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(BadInput, match="images of both kinds, got 2 and 0"):
        area_under_roc(np.array([1.0, 2.0]), np.array([True, True]))
    with pytest.raises(BadInput, match="finite scores"):
        area_under_roc(np.array([1.0, np.nan]), np.array([True, False]))
