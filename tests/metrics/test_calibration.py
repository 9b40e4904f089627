import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import calibration as sklearn_calibration
from sklearn import metrics as sklearn_metrics

from signet.errors import BadInput
from signet.metrics import calibration
from signet.metrics.calibration import (
    bin_of,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    label_calibration_error,
    log_softmax,
    negative_log_likelihood,
    reliability,
)
from signet.statistics import Resampling, bootstrap


@pytest.fixture
def sample():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (2000, 8))
    scores = np.exp(log_softmax(logits))
    truth = np.array([generator.choice(8, p=row) for row in scores])
    return logits, scores, truth


def test_calibration_error_by_hand():
    # Bin (0.6, 0.667]: 0.62, 0.64 with one right: gap |0.5 - 0.63|; bin (0.933, 1]: 0.95 right, gap 0.05.
    error = expected_calibration_error(np.array([0.62, 0.64, 0.95]), np.array([True, False, True]))
    assert error == pytest.approx([(2 * 0.13 + 0.05) / 3])


def test_reliability_equals_scikit_learn(sample):
    _, scores, truth = sample
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    ours = reliability(confidence, right)
    theirs = sklearn_calibration.calibration_curve(right, confidence, n_bins=15)
    filled = ours.counts > 0
    np.testing.assert_allclose(ours.accuracy[filled], theirs[0])
    np.testing.assert_allclose(ours.confidence[filled], theirs[1])
    assert ours.counts.sum() == 2000
    gap = np.abs(ours.accuracy - ours.confidence)[filled] @ ours.counts[filled] / 2000
    assert expected_calibration_error(confidence, right) == pytest.approx([gap])


def test_calibration_error_of_labels_by_hand():
    # Pairs in bin (0.6, 0.667]: 0.62 had, 0.64 not; in (0.933, 1]: 0.95 had; in the first: 0.01 not.
    scores, truth = np.array([[0.62, 0.95], [0.64, 0.01]]), np.array([[1, 1], [0, 0]])
    error = label_calibration_error(scores, truth)
    assert error == pytest.approx([(abs((1 - 0.62) - 0.64) + 0.05 + 0.01) / 4])


def test_calibration_error_of_labels_is_that_of_all_pairs(sample):
    _, scores, _ = sample
    truth = np.random.default_rng(1).random(scores.shape) < scores**2
    pairs = expected_calibration_error(scores.ravel(), truth.ravel())
    assert label_calibration_error(scores, truth) == pytest.approx(pairs)
    counts = np.random.default_rng(2).integers(0, 3, (4, len(scores)))
    copies = [label_calibration_error(scores.repeat(row, 0), truth.repeat(row, 0))[0] for row in counts]
    np.testing.assert_allclose(label_calibration_error(scores, truth, counts), copies)
    honest = np.random.default_rng(3).random(scores.shape) < scores
    assert label_calibration_error(scores, honest) < 0.01 < pairs


def test_weights_count_as_copies(sample):
    _, scores, truth = sample
    confidence, right = scores.max(axis=1)[:50], (scores.argmax(axis=1) == truth)[:50]
    copies = np.random.default_rng(1).integers(0, 4, 50)
    weighted = expected_calibration_error(confidence, right, copies[None].astype(float))
    repeated = expected_calibration_error(np.repeat(confidence, copies), np.repeat(right, copies))
    assert weighted == pytest.approx(repeated)


def test_edges_belong_to_the_bin_below():
    assert bin_of(np.array([0.0, 0.2, 0.2001, 1.0, 1.000001]), 5).tolist() == [0, 0, 1, 4, 4]
    with pytest.raises(BadInput, match=r"from 0 to 1, got -0\.1 to 0\.5"):
        bin_of(np.array([-0.1, 0.5]))
    with pytest.raises(BadInput, match="got nan"):
        bin_of(np.array([np.nan]))
    with pytest.raises(BadInput, match="one length"):
        reliability(np.array([0.5]), np.array([True, False]))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_an_error_lies_between_0_and_1_and_is_at_least_the_overall_gap(rows):
    confidence, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    (error,) = expected_calibration_error(confidence, right)
    assert abs(confidence.mean() - right.mean()) - 1e-9 <= error <= 1


def test_the_mirrored_interval_of_the_error_holds_the_truth_and_percentiles_do_not():
    generator = np.random.default_rng(0)

    def draw(count):
        confidence = 0.1 + 0.9 * generator.beta(4, 1.5, count)
        return confidence, generator.random(count) < np.clip(confidence - 0.05 * (confidence > 0.5), 0, 1)

    (truth,) = expected_calibration_error(*draw(1_000_000))
    found = {"percentile": 0, "basic": 0}
    for seed in range(100):
        confidence, right = draw(600)
        for method in found:
            (interval,) = bootstrap(
                lambda drawn, c=confidence, r=right: expected_calibration_error(c, r, drawn)[:, None],
                600,
                Resampling(resamples=200, seed=seed),
                method=method,
            )
            found[method] += interval.low <= truth <= interval.high
    assert found["basic"] >= 85
    assert found["percentile"] <= 65


def test_likelihood_and_brier_equal_scikit_learn(sample):
    _, scores, truth = sample
    expected = sklearn_metrics.log_loss(truth, scores, labels=np.arange(8))
    assert negative_log_likelihood(scores, truth) == pytest.approx(expected)
    theirs = sklearn_metrics.brier_score_loss(truth, scores, labels=np.arange(8), scale_by_half=False)
    assert brier_score(scores, truth) == pytest.approx(theirs)
    assert np.isfinite(negative_log_likelihood(np.array([[0.0, 1.0]]), np.array([0])))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_spoilt_the_logits_is_found(sample, temperature):
    logits, _, truth = sample
    assert fit_temperature(logits * temperature, truth) == pytest.approx(temperature, rel=0.08)


def test_scaling_by_the_temperature_mends_the_calibration(sample):
    logits, _, truth = sample
    spoilt = logits * 3

    def error(temperature):
        scores = np.exp(log_softmax(spoilt, temperature))
        return expected_calibration_error(scores.max(axis=1), scores.argmax(axis=1) == truth)[0]

    assert error(1.0) > 0.2
    assert error(fit_temperature(spoilt, truth)) < 0.04


def test_temperatures_stay_finite_when_all_is_right_or_all_is_wrong():
    logits = np.array([[4.0, 0.0], [0.0, 4.0]])
    assert 0.02 <= fit_temperature(logits, np.array([0, 1])) < 0.9
    assert 10 < fit_temperature(logits, np.array([1, 0])) <= 50


@pytest.mark.parametrize(("count", "low", "high"), [(3, 0.93, 0.98), (12, 0.98, 0.995), (500, 0.999, 0.9999)])
def test_a_few_right_answers_do_not_make_the_scores_certain(count, low, high):
    """Scores of 0.86, all right: how sure one may be after so many, and no surer."""
    logits = np.zeros((count, 3), np.float32)
    logits[:, 0] = 2.5
    temperature = fit_temperature(logits, np.zeros(count, np.int64))
    assert low < np.exp(log_softmax(logits[0], temperature))[0] < high


def test_the_temperature_does_not_depend_on_how_the_rows_are_cut(sample, monkeypatch):
    logits, _, truth = sample
    whole = fit_temperature(logits, truth)
    monkeypatch.setattr(calibration, "_ROWS", 300)
    assert fit_temperature(logits, truth) == pytest.approx(whole, rel=1e-6)
