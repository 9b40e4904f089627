"""Each score is what its authors' formula says, written out slowly here, and keeps to its known limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from signet.arrays import Array, Integers
from signet.errors import BadInput
from signet.metrics import transferability as scores

SEEDS = st.integers(0, 10_000)


def task(
    seed: int, count: int = 60, width: int = 8, classes: int = 4, apart: float = 1.0
) -> tuple[Array, Integers]:
    """Features float64 (N, D) with class means `apart` from each other, and targets with every class."""
    generator = np.random.default_rng(seed)
    truth = generator.permutation(np.arange(count) % classes)
    return generator.normal(size=(count, width)) + apart * generator.normal(size=(classes, width))[
        truth
    ], truth


def probabilities(seed: int, count: int = 60, width: int = 7) -> Array:
    table = np.exp(2 * np.random.default_rng(seed).normal(size=(count, width)))
    return table / table.sum(axis=1, keepdims=True)


def log_evidence(features: Array, one: Array, prior: float, noise: float) -> float:
    """Equation 2 of arXiv:2102.11005, as it is printed."""
    count, width = features.shape
    system = prior * np.eye(width) + noise * features.T @ features
    mean = noise * np.linalg.solve(system, features.T @ one)
    return (
        count / 2 * math.log(noise)
        + width / 2 * math.log(prior)
        - count / 2 * math.log(2 * math.pi)
        - noise / 2 * float(((features @ mean - one) ** 2).sum())
        - prior / 2 * float(mean @ mean)
        - np.linalg.slogdet(system)[1] / 2
    )


def logme_of_the_paper(features: Array, truth: Integers) -> float:
    """Algorithm 1 of arXiv:2102.11005: from 1 and 1, the two precisions in turn, until they stand."""
    found = []
    for name in np.unique(truth):
        one = (truth == name).astype(float)
        values = np.linalg.eigvalsh(features.T @ features)
        prior = noise = 1.0
        for _ in range(2000):
            system = prior * np.eye(features.shape[1]) + noise * features.T @ features
            mean = noise * np.linalg.solve(system, features.T @ one)
            degrees = (noise * values / (prior + noise * values)).sum()
            before = prior / noise
            prior = degrees / float(mean @ mean)
            noise = (len(one) - degrees) / float(((features @ mean - one) ** 2).sum())
            if abs(prior / noise - before) < 1e-10 * before or prior / noise > 1e12:  # no features at all
                break
        found.append(log_evidence(features, one, prior, noise) / len(one))
    return float(np.mean(found))


@given(SEEDS, st.sampled_from([(60, 8), (30, 3), (25, 20)]))
def test_logme_is_the_algorithm_of_the_paper(seed: int, shape: tuple[int, int]) -> None:
    features, truth = task(seed, *shape)
    assert scores.logme(features, truth) == pytest.approx(logme_of_the_paper(features, truth), abs=1e-6)


def test_logme_is_the_highest_evidence_that_a_search_over_both_precisions_finds() -> None:
    features, truth = task(3)
    best = []
    for name in np.unique(truth):
        one = (truth == name).astype(float)
        found = minimize(
            lambda at, one=one: -log_evidence(features, one, *np.exp(at)),
            np.zeros(2),
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-9, "maxiter": 4000},
        )
        best.append(-found.fun / len(one))
    assert scores.logme(features, truth) == pytest.approx(np.mean(best), abs=1e-7)


def test_logme_with_more_features_than_images_is_the_evidence_of_the_images_covariance() -> None:
    """With D > N: y is normal with covariance F F^T / prior + I / noise, whatever D is."""
    features, truth = task(5, count=20, width=50, apart=0.3)
    best = []
    for name in np.unique(truth):
        one = (truth == name).astype(float)

        def negative(at: Array, one: Array = one) -> float:
            covariance = features @ features.T / np.exp(at[0]) + np.eye(20) / np.exp(at[1])
            return (
                float(
                    np.linalg.slogdet(covariance)[1]
                    + one @ np.linalg.solve(covariance, one)
                    + 20 * math.log(2 * math.pi)
                )
                / 2
            )

        starts = [
            minimize(negative, (a, b), method="Nelder-Mead", bounds=[(-15, 25)] * 2)
            for a in (0, 5)
            for b in (0, 5)
        ]
        best.append(-min(found.fun for found in starts) / 20)
    assert scores.logme(features, truth) == pytest.approx(np.mean(best), abs=1e-4)


@settings(max_examples=40)
@given(SEEDS, st.sampled_from([1e-25, 1e-6, 0.3, 1e7, 1e30]))
def test_logme_does_not_depend_on_scale_order_rotation_or_names(seed: int, scale: float) -> None:
    features, truth = task(seed)
    value = scores.logme(features, truth)
    order = np.random.default_rng(seed).permutation(len(truth))
    turn = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(8, 8)))[0]
    assert scores.logme(features * scale, truth) == pytest.approx(value, abs=1e-8)
    assert scores.logme(features[order], truth[order]) == pytest.approx(value, abs=1e-8)
    assert scores.logme(features @ turn, truth) == pytest.approx(value, abs=1e-8)
    assert scores.logme(features, 7 - 3 * truth) == pytest.approx(value, abs=1e-8)


def test_logme_of_features_that_say_nothing_is_that_of_no_features() -> None:
    truth = np.arange(40) % 4
    nothing = -(math.log(0.25) + 1 + math.log(2 * math.pi)) / 2
    assert scores.logme(np.zeros((40, 5)), truth) == pytest.approx(nothing)
    orthogonal = np.tile([1.0, -1.0], 20)[np.argsort(truth, kind="stable").argsort()][:, None]
    assert abs(orthogonal[:, 0] @ (truth == 0)) < 1e-9
    assert scores.logme(orthogonal, truth) == pytest.approx(nothing)


def test_logme_of_a_perfect_fit_is_finite_and_above_all_others() -> None:
    features, truth = task(1)
    perfect = np.eye(4)[truth]
    value = scores.logme(perfect, truth)
    assert math.isfinite(value)
    assert value > scores.logme(perfect + 0.01 * features[:, :4], truth) > scores.logme(features, truth)


@given(SEEDS)
def test_logme_rises_as_classes_move_apart(seed: int) -> None:
    values = [scores.logme(*task(seed, apart=apart)) for apart in (0.0, 2.0, 20.0)]
    assert values == sorted(values)


def h_score_of_the_paper(features: Array, truth: Integers) -> float:
    """tr(cov(f)^-1 cov(E[f | y]))."""
    means = np.stack([features[truth == name].mean(axis=0) for name in truth])
    covariance = np.cov(features, rowvar=False, bias=True)
    return float(np.trace(np.linalg.solve(covariance, np.cov(means, rowvar=False, bias=True))))


def shrunk_h_score_of_the_paper(features: Array, truth: Integers) -> float:
    """tr(shrunk^-1 (1 - amount) cov(E[f | y])), amount and covariance as scikit-learn has them."""
    from sklearn.covariance import ledoit_wolf

    covariance, amount = ledoit_wolf(features)
    means = np.stack([features[truth == name].mean(axis=0) for name in truth])
    return float(np.trace(np.linalg.solve(covariance, (1 - amount) * np.cov(means, rowvar=False, bias=True))))


@given(SEEDS, st.sampled_from([(60, 8), (30, 3), (50, 40)]))
def test_the_h_score_is_the_formula_of_the_paper(seed: int, shape: tuple[int, int]) -> None:
    features, truth = task(seed, *shape)
    assert scores.h_score(features, truth) == pytest.approx(h_score_of_the_paper(features, truth), rel=1e-6)


@settings(max_examples=40)
@given(SEEDS, st.sampled_from([(60, 8), (30, 3), (50, 40), (20, 70)]))
def test_the_shrunk_h_score_is_the_formula_of_the_paper(seed: int, shape: tuple[int, int]) -> None:
    features, truth = task(seed, *shape)
    found = scores.h_score(features, truth, shrunk=True)
    assert found == pytest.approx(shrunk_h_score_of_the_paper(features, truth), rel=1e-6)


@given(SEEDS)
def test_the_h_score_does_not_depend_on_how_features_are_mixed_or_shifted(seed: int) -> None:
    features, truth = task(seed)
    mixing = np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))[0] * np.logspace(-2, 1, 8)
    value = scores.h_score(features, truth)
    assert scores.h_score(features @ mixing + 5, truth) == pytest.approx(value, rel=1e-5)
    assert 0 <= scores.h_score(features, truth, shrunk=True) <= value + 1e-9 <= 3 + 1e-6


def test_the_h_score_of_perfect_and_of_useless_features() -> None:
    truth = np.arange(40) % 4
    assert scores.h_score(np.eye(4)[truth], truth) == pytest.approx(3)
    assert scores.h_score(np.full((40, 6), np.float32(0.1)), truth) == 0
    assert scores.h_score(np.full((40, 6), np.float32(0.1)), truth, shrunk=True) == 0


def test_only_the_shrunk_h_score_says_something_when_there_are_more_features_than_images() -> None:
    (near, truth), (far, _) = task(2, 30, 80, apart=0.1), task(2, 30, 80, apart=2)
    assert scores.h_score(near, truth) == pytest.approx(scores.h_score(far, truth)) == pytest.approx(3)
    assert scores.h_score(near, truth, shrunk=True) < scores.h_score(far, truth, shrunk=True) < 3


def leep_of_the_paper(table: Array, truth: Integers) -> float:
    """Equations 1 and 2 of arXiv:2002.12462, sum by sum."""
    count, labels = table.shape
    total = 0.0
    for image in range(count):
        inside = 0.0
        for label in range(labels):
            joint = sum(table[other, label] for other in range(count) if truth[other] == truth[image]) / count
            marginal = sum(table[other, label] for other in range(count)) / count
            inside += joint / marginal * table[image, label]
        total += math.log(inside)
    return total / count


@given(SEEDS)
def test_leep_is_the_formula_of_the_paper(seed: int) -> None:
    table, truth = probabilities(seed, 24, 5), task(seed, 24, 2, 3)[1]
    assert scores.leep(table, truth) == pytest.approx(leep_of_the_paper(table, truth), abs=1e-10)


@given(SEEDS)
def test_leep_is_at_most_zero_and_at_least_what_the_class_sizes_alone_give(seed: int) -> None:
    table, truth = probabilities(seed), task(seed)[1]
    order = np.random.default_rng(seed).permutation(60)
    value = scores.leep(table, truth)
    assert scores.leep(table[order][:, ::-1], truth[order]) == pytest.approx(value)
    assert -math.log(4) - 1e-9 <= value <= 0  # the mean over images is a likelihood of the empirical joint


def test_leep_and_nce_of_perfect_and_of_useless_answers() -> None:
    truth = np.arange(40) % 4
    sure = np.eye(6)[truth]  # two of its labels never occur
    assert scores.leep(sure, truth) == pytest.approx(0)
    assert scores.nce(truth + 100, truth) == 0
    assert scores.leep(np.full((40, 6), 1 / 6), truth) == pytest.approx(-math.log(4))
    assert scores.nce(np.zeros(40, np.int64), truth) == pytest.approx(-math.log(4))


def nce_of_the_paper(answers: Integers, truth: Integers) -> float:
    """Minus H(Y | Z), sum by sum over the empirical joint."""
    total = 0.0
    for label in set(answers.tolist()):
        own = truth[answers == label]
        for name in set(own.tolist()):
            total += (own == name).sum() / len(truth) * math.log((own == name).sum() / len(own))
    return total


@given(SEEDS, st.integers(1, 12))
def test_nce_is_the_formula_of_the_paper(seed: int, labels: int) -> None:
    truth = task(seed)[1]
    answers = np.random.default_rng(seed).integers(0, labels, 60)
    value = scores.nce(answers, truth)
    assert value == pytest.approx(nce_of_the_paper(answers, truth))
    assert -math.log(4) - 1e-9 <= value <= 0
    assert scores.nce(-answers, truth * 9) == pytest.approx(value)


@given(SEEDS)
def test_leep_of_sure_answers_is_nce(seed: int) -> None:
    truth = task(seed)[1]
    answers = np.random.default_rng(seed).integers(0, 5, 60)
    assert scores.leep(np.eye(5)[answers], truth) == pytest.approx(scores.nce(answers, truth), abs=1e-9)


def test_classes_of_one_image_are_no_trouble() -> None:
    features, truth = np.random.default_rng(0).normal(size=(9, 30)).astype(np.float32), np.arange(9)
    assert math.isfinite(scores.logme(features, truth))
    assert 0 < scores.h_score(features, truth, shrunk=True) <= scores.h_score(features, truth) <= 8 + 1e-6
    assert scores.nce(truth % 2, truth) == pytest.approx(-(5 * math.log(5) + 4 * math.log(4)) / 9)


@pytest.mark.parametrize("score", [scores.logme, scores.h_score, scores.leep])
def test_what_does_not_fit_is_refused(score) -> None:
    good, truth = probabilities(0), task(0)[1]
    with pytest.raises(BadInput, match=r"\(59, 7\) and \(60,\)"):
        score(good[:-1], truth)
    with pytest.raises(BadInput, match="at least 2 classes, got 1"):
        score(good, np.zeros(60, np.int64))
    with pytest.raises(BadInput, match="NaN or infinity"):
        score(np.where(good > 0.5, np.nan, good), truth)
    with pytest.raises(BadInput, match="whole numbers"):
        score(good, truth.astype(float))


def test_logits_are_no_probabilities_and_scores_no_answers() -> None:
    with pytest.raises(BadInput, match="Give the softmax"):
        scores.leep(probabilities(0) * 2, task(0)[1])
    with pytest.raises(BadInput, match="float64"):
        scores.nce(np.zeros(60), task(0)[1])
