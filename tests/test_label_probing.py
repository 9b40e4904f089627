"""One logistic regression a label: beside scikit-learn's, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest

from signet.errors import BadDataset, BadInput
from signet.label_probing import fit_label_probe, nested_label_logits, refit_labels
from signet.linear_fits import Problem, label_path
from signet.metrics.calibration import fit_label_temperature, label_log_loss
from signet.probing import ProbeSettings

pytest.importorskip("scipy")


def made(count: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, 6)).astype(np.float32)
    truth = np.stack([rows[:, 0] > 0, rows[:, 1] + rows[:, 0] > 0.5, rows[:, 2] > 1], axis=1)
    return rows, truth ^ (random.random(truth.shape) < 0.05)


def test_each_label_is_fitted_as_alone_and_as_scikit_learn_does() -> None:
    from sklearn.linear_model import LogisticRegression

    rows, truth = made()
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    strength = 0.03
    problem = Problem(rows, truth.astype(np.int64), 3)
    fitted = next(label_path(problem, (strength,), 1.0))
    for label in range(3):
        alone = next(label_path(Problem(rows, truth[:, [label]].astype(np.int64), 1), (strength,), 1.0))
        np.testing.assert_allclose(alone.weights[:, 0], fitted.weights[:, label], atol=5e-3)
        other = LogisticRegression(C=1 / (strength * len(rows)), tol=1e-8, max_iter=1000)
        other.fit(rows, truth[:, label])
        # The image more that has every label by half moves the bias, and by it the weights, by about 1 / N.
        np.testing.assert_allclose(fitted.weights[:, label], other.coef_[0], atol=0.03)
        assert fitted.bias[label] == pytest.approx(other.intercept_[0], abs=0.05)


def test_the_gradient_is_that_of_the_loss() -> None:
    from scipy.optimize import check_grad

    from signet.linear_fits import _label_objective

    rows, truth = made(40)
    objective = _label_objective(rows.astype(np.float64), truth.astype(np.int64), 0.1)
    start = np.random.default_rng(1).normal(size=7 * 3)
    error = check_grad(lambda x: objective(x)[0], lambda x: objective(x)[1], start, epsilon=1e-3)
    assert error < 2e-3 * np.linalg.norm(objective(start)[1]) + 2e-3


def test_a_label_that_all_have_is_answered_surely_but_not_infinitely() -> None:
    rows, truth = made()
    truth[:, 1] = True
    fitted = next(label_path(Problem(rows, truth.astype(np.int64), 3), (0.1,), 1.0))
    assert np.isfinite(fitted.bias).all()
    assert 3 < fitted.bias[1] < 10


def test_the_strength_is_chosen_by_images_that_the_fit_did_not_see() -> None:
    rows, truth = made()
    noise = np.random.default_rng(3).normal(size=(120, 60)).astype(np.float32)
    wide = np.concatenate([rows, noise], axis=1)
    probe = fit_label_probe(wide, truth, np.arange(120) % 5, settings=ProbeSettings())
    losses = {tried.strength: tried.loss for tried in probe.curve if tried.evenness == probe.evenness}
    assert losses[probe.strength] == min(losses.values()) == min(tried.loss for tried in probe.curve)
    assert probe.strength > 1e-3  # weaker fits learn the noise
    assert label_log_loss(probe.out_of_fold, truth) == pytest.approx(losses[probe.strength])
    weights, bias = refit_labels(probe, wide, truth)
    np.testing.assert_allclose(weights, probe.weights, atol=1e-6)
    np.testing.assert_allclose(bias, probe.bias, atol=1e-6)
    again = fit_label_probe(wide, truth, np.arange(120) % 5, settings=ProbeSettings())
    assert np.array_equal(again.weights, probe.weights)


def test_nested_folds_never_see_their_images() -> None:
    rows, truth = made(80)
    folds = np.arange(80) % 4
    table = nested_label_logits(rows, truth, folds)
    other = truth.copy()
    other[folds == 2] = ~other[folds == 2]
    changed = nested_label_logits(rows, other, folds)
    assert np.array_equal(table[folds == 2], changed[folds == 2])
    assert not np.array_equal(table[folds == 1], changed[folds == 1])
    assert ((table > 0) == truth).mean() > 0.8


def test_a_label_of_one_fold_alone_is_answered_with_next_to_nothing() -> None:
    rows, truth = made(40)
    folds = np.arange(40) % 4
    truth[:, 2] = folds == 1
    table = nested_label_logits(rows, truth, folds)
    assert (table[folds == 1, 2] == -10).all()
    assert np.isfinite(table).all()


def test_one_temperature_makes_the_scores_of_all_labels_honest() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(3000, 3)) * 2
    truth = random.random(logits.shape) < 1 / (1 + np.exp(-logits))
    assert fit_label_temperature(logits, truth) == pytest.approx(1, abs=0.06)
    assert fit_label_temperature(3 * logits, truth) == pytest.approx(3, rel=0.06)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda rows, truth: (rows, truth[:5]), BadInput, "expected 0 and 1 in the shape"),
        (lambda rows, truth: (rows, truth[:, 0]), BadInput, "expected 0 and 1"),
        (lambda rows, truth: (rows * np.float32(np.nan), truth), BadInput, "finite"),
        (
            lambda rows, truth: (rows, truth & [True, False, True]),
            BadDataset,
            r"got none of 1 of them \(label 1",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change, error, words) -> None:
    rows, truth = change(*made(40))
    with pytest.raises(error, match=words):
        fit_label_probe(rows, truth, np.arange(40) % 4)


def test_one_fold_is_none() -> None:
    rows, truth = made(40)
    with pytest.raises(BadInput, match="folds: expected at least 2, got 1"):
        fit_label_probe(rows, truth, np.zeros(40, np.int64))
