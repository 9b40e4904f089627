"""The solvers: equal to scikit-learn's, and never slow for numbers that are too small."""

from __future__ import annotations

import numpy as np
import pytest

from signet.linear_fits import Problem, logistic_path, ridge_path

pytest.importorskip("sklearn")


@pytest.fixture
def problem():
    random = np.random.default_rng(3)
    truth = random.integers(0, 4, 240)
    rows = random.normal(size=(240, 12)) * np.linspace(0.1, 9, 12) + np.eye(4, 12)[truth] * 2 + 5
    return Problem(rows.astype(np.float32), truth, 4)


def test_logistic_regression_is_scikit_learns(problem):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(problem.rows.astype(np.float64))
    strength = 0.02
    theirs = LogisticRegression(C=1 / (strength * 240), tol=1e-8, max_iter=2000).fit(scaled, problem.truth)
    ours = next(logistic_path(problem, (strength,), 1.0))
    expected = theirs.predict_proba(scaled)
    powers = np.exp(ours.logits(problem.rows) - ours.logits(problem.rows).max(axis=1, keepdims=True))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), expected, atol=2e-3)


def test_ridge_is_scikit_learns(problem):
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(problem.rows.astype(np.float64))
    for strength, ours in zip((1.0, 0.01), ridge_path(problem, (1.0, 0.01), 1.0), strict=True):
        theirs = Ridge(alpha=strength * 240).fit(scaled, np.eye(4)[problem.truth])
        np.testing.assert_allclose(ours.logits(problem.rows), theirs.predict(scaled), atol=1e-3)


@pytest.mark.parametrize("solver", [logistic_path, ridge_path])
def test_a_path_from_strong_to_weak_is_as_good_as_each_fit_alone(problem, solver):
    strengths = (1.0, 0.1, 0.01)
    for strength, found in zip(strengths, solver(problem, strengths, 0.5), strict=True):
        alone = next(solver(problem, (strength,), 0.5))
        np.testing.assert_allclose(found.logits(problem.rows), alone.logits(problem.rows), atol=0.05)


@pytest.mark.parametrize("solver", [logistic_path, ridge_path])
def test_a_feature_that_never_varies_counts_nothing(problem, solver):
    rows = problem.rows.copy()
    rows[:, 2] = 7.5
    (found,) = solver(Problem(rows, problem.truth, 4), (0.1,), 1.0)
    assert (found.weights[2] == 0).all()
    assert np.isfinite(found.weights).all()


@pytest.mark.parametrize("solver", [logistic_path, ridge_path])
def test_features_that_are_all_the_same_give_the_shares_of_the_classes(solver):
    truth = np.array([0, 0, 0, 1])
    (found,) = solver(Problem(np.ones((4, 3), np.float32), truth, 2), (0.1,), 1.0)
    logits = found.logits(np.ones((4, 3), np.float32))
    assert (logits[:, 0] > logits[:, 1]).all()


def test_few_images_of_many_features_are_fitted_as_scikit_learn_fits_them():
    """The fit looks at the directions only that the images span; scikit-learn's looks at all."""
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(5)
    truth = np.arange(30) % 3
    rows = (random.normal(size=(30, 200)) + 0.5 * np.eye(3, 200)[truth]).astype(np.float32)
    problem, strength = Problem(rows, truth, 3), 0.3
    mean, divisor = problem.scales(1.0)
    scaled = (rows - mean) / divisor
    theirs = LogisticRegression(C=1 / (strength * 30), tol=1e-8, max_iter=2000).fit(scaled, truth)
    ours = next(logistic_path(problem, (strength,), 1.0))
    assert ours.weights.shape == (200, 3)
    unseen = random.normal(size=(50, 200)).astype(np.float32)
    expected = theirs.decision_function((unseen - mean) / divisor)
    found = ours.logits(unseen).astype(np.float64)
    np.testing.assert_allclose(found - found.mean(axis=1, keepdims=True), expected, atol=5e-3)


@pytest.mark.parametrize("evenness", [0.0, 1.0])
def test_no_search_of_many_steps_finds_a_lower_loss(evenness, monkeypatch):
    """Features of a network: a few large directions, many small ones, all of them correlated."""
    from scipy.optimize import minimize

    from signet import linear_fits

    random = np.random.default_rng(7)
    truth = random.integers(0, 5, 600)
    mixed = random.normal(size=(40, 40)) * np.geomspace(10, 0.05, 40)[:, None]
    rows = ((random.normal(size=(600, 40)) + np.eye(5, 40)[truth]) @ mixed).astype(np.float32)
    problem, strengths = Problem(rows, truth, 5), (1.0, 0.1, 0.01)
    asked = []
    plain = linear_fits._logistic_objective

    def counted(*values):
        objective = plain(*values)
        return lambda at: (asked.append(1), objective(at))[1]

    monkeypatch.setattr(linear_fits, "_logistic_objective", counted)
    fits = list(logistic_path(problem, strengths, evenness))
    mean, divisor = problem.scales(evenness)
    scaled = ((rows - mean) / divisor).astype(np.float32)
    start, needed = np.zeros(41 * 5), 0
    for strength, fit in zip(strengths, fits, strict=True):
        objective = plain(scaled, truth, 5, strength)
        options = {"maxiter": 5000, "maxfun": 50000, "gtol": 1e-5, "ftol": 1e-9}
        long = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        start, needed = long.x, needed + long.nfev
        weights = fit.weights * divisor[:, None]
        ours, _ = objective(np.concatenate([weights.ravel(), fit.bias + mean @ fit.weights]))
        assert ours <= long.fun + 5e-5
    assert 2 * len(asked) < needed


def test_a_class_without_images_in_a_fold_is_the_least_likely(problem):
    without = Problem(problem.rows, np.where(problem.truth == 3, 0, problem.truth), 4)
    (found,) = logistic_path(without, (0.1,), 1.0)
    assert not (found.logits(problem.rows).argmax(axis=1) == 3).any()


def test_no_power_is_too_small_for_float32(problem):
    """What is subnormal makes a processor twenty times slower, which was the first thing that went wrong."""
    from signet import linear_fits

    seen = []
    objective = linear_fits._logistic_objective(problem.rows, problem.truth, 4, 0.0)
    values = np.random.default_rng(0).normal(size=13 * 4) * 200

    real = np.exp

    def spied(array, *rest, **named):
        powers = real(array, *rest, **named)
        seen.append(powers.copy())
        return powers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_fits.np, "exp", spied)
        loss, slope = objective(values)
    assert np.isfinite(loss)
    assert np.isfinite(slope).all()
    assert min(powers.min() for powers in seen) > np.finfo(np.float32).tiny
