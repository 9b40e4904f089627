import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from signet.errors import BadInput, BadRequest
from signet.statistics import (
    Resampling,
    bootstrap,
    f1_proportion,
    holm,
    mcnemar,
    paired_difference,
    proportion,
    weights,
    wilson,
)
from signet.summaries import summarise


def mean_of(values):
    return lambda drawn: (drawn @ values)[:, None] / len(values)


def test_wilson_equals_scipy_everywhere():
    for count in (1, 7, 30, 1000):
        for successes in range(0, count + 1, max(1, count // 20)):
            ours = wilson(successes, count)
            theirs = stats.binomtest(successes, count).proportion_ci(0.95, "wilson")
            assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_wilson_of_a_published_example():
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3: 81 of 263; 15 of 148; 0 of 20.
    for successes, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
    ):
        interval = wilson(successes, count)
        assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_wilson_of_nothing_is_everything():
    assert wilson(0, 0).to_dict() == {"value": 0.0, "low": 0.0, "high": 1.0}
    with pytest.raises(BadInput, match="expected 0 to 3 successes, got 4"):
        wilson(4, 3)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0.5, 0.999))
def test_wilson_holds_its_value_and_stays_a_fraction(right, wrong, level):
    interval = wilson(right, right + wrong, level)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


@pytest.mark.parametrize("method", ["percentile", "basic", "bca"])
def test_bootstrap_agrees_with_scipy(method):
    values = np.random.default_rng(1).gamma(2.0, size=80)
    (ours,) = bootstrap(mean_of(values), 80, Resampling(resamples=20_000, seed=3), method=method)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method=method, rng=4).confidence_interval
    spread = theirs.high - theirs.low
    assert ours.value == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * spread)


def test_same_seed_same_interval_and_another_seed_another():
    values = np.random.default_rng(2).normal(size=50)
    first, again = (bootstrap(mean_of(values), 50, Resampling(seed=7)) for _ in range(2))
    assert first == again
    assert first != bootstrap(mean_of(values), 50, Resampling(seed=8))


def test_every_draw_is_a_resample_and_strata_keep_their_sizes():
    strata = np.array([2, 0, 0, 2, 2, 9])
    drawn = np.concatenate(list(weights(6, Resampling(resamples=200), strata)))
    assert drawn.shape == (200, 6)
    for group in (0, 2, 9):
        assert (drawn[:, strata == group].sum(axis=1) == (strata == group).sum()).all()
    assert (np.concatenate(list(weights(6, Resampling(resamples=50)))).sum(axis=1) == 6).all()
    with pytest.raises(BadInput, match="one group for each of 6 images"):
        next(weights(6, Resampling(), strata[:3]))


def test_every_image_is_drawn_alike():
    drawn = np.concatenate(list(weights(20, Resampling(resamples=5000))))
    assert drawn.mean(axis=0) == pytest.approx(np.ones(20), abs=0.06)
    assert drawn.var() == pytest.approx(1 - 1 / 20, abs=0.03)  # of a binomial


def test_undefined_draws_are_left_out():
    present = np.array([1.0, 0, 0, 0, 0, 0])

    def share(drawn):
        total = drawn @ present
        return np.divide(total, total, out=np.full_like(total, np.nan), where=total > 0)[:, None]

    (interval,) = bootstrap(share, 6)
    assert (interval.low, interval.high) == (1, 1)
    (nothing,) = bootstrap(lambda drawn: np.full((len(drawn), 1), np.nan), 6)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_settings_are_checked():
    with pytest.raises(BadRequest, match="0 or more"):
        Resampling(resamples=-1)
    with pytest.raises(BadRequest, match="between 0 and 1"):
        Resampling(level=95)
    with pytest.raises(BadInput, match="at least one image"):
        bootstrap(mean_of(np.ones(1)), 0)
    (bare,) = bootstrap(mean_of(np.ones(3)), 3, Resampling(resamples=0))
    assert bare.low == bare.value == bare.high == 1


def coverage(make, truth, trials=400):
    return np.mean([interval.low <= truth <= interval.high for interval in map(make, range(trials))])


def test_the_interval_of_an_accuracy_holds_the_truth_as_often_as_it_says():
    def one(seed):
        right = np.random.default_rng(seed).random(200) < 0.9
        (drawn,) = bootstrap(mean_of(right), 200, Resampling(resamples=400, seed=seed))
        return proportion(int(right.sum()), 200, drawn)

    assert 0.92 <= coverage(one, 0.9) <= 0.98


def test_near_the_edge_the_bootstrap_fails_and_the_score_interval_does_not():
    def draw(seed):
        right = np.random.default_rng(seed).random(60) < 0.98
        (interval,) = bootstrap(mean_of(right), 60, Resampling(resamples=200, seed=seed))
        return right, interval

    assert coverage(lambda seed: draw(seed)[1], 0.98) < 0.8
    assert coverage(lambda seed: proportion(int(draw(seed)[0].sum()), 60, draw(seed)[1]), 0.98) >= 0.93


def test_a_perfect_f1_has_an_interval():
    nothing = wilson(0, 0)
    assert f1_proportion(20, 20, nothing).low == pytest.approx(2 * 0.8389 / 1.8389, abs=1e-4)
    assert f1_proportion(100, 150, nothing) is nothing  # enough of both: the bootstrap's own


def test_paired_differences_are_told_apart_where_separate_intervals_are_not():
    generator = np.random.default_rng(5)
    hard = generator.random(1000)
    first, second = hard < 0.80, hard < 0.77  # the same images are hard for both
    gap = paired_difference(first, second)
    assert gap.value == pytest.approx(first.mean() - second.mean())
    assert 0 < gap.low < 0.03 < gap.high + 0.01
    assert wilson(first.sum(), 1000).low < wilson(second.sum(), 1000).high


def test_paired_difference_holds_the_truth_as_often_as_it_says():
    def one(seed):
        generator = np.random.default_rng(seed)
        both = generator.random(300)
        return paired_difference(both < 0.8, (both + generator.normal(0, 0.1, 300)) < 0.75)

    truth = 0.8 - np.mean(
        np.random.default_rng(0).random(10**6) + np.random.default_rng(1).normal(0, 0.1, 10**6) < 0.75
    )
    assert 0.92 <= coverage(one, truth, 200) <= 0.985


def test_paired_difference_of_equal_answers_is_not_certain():
    same = np.ones(40, bool)
    gap = paired_difference(same, same)
    assert gap.value == 0
    assert gap.low < -0.03
    assert gap.high > 0.03
    assert paired_difference(np.linspace(0, 1, 40), np.linspace(0, 1, 40)).high == 0  # not proportions


def test_adjusted_wald_by_hand():
    # 4 better, 1 worse of 30: (5 - 2) / 32, half width 1.96 sqrt((7/32 - (3/32)^2) / 32).
    first = np.r_[np.ones(4), np.zeros(1), np.ones(25)]
    second = np.r_[np.zeros(4), np.ones(1), np.ones(25)]
    gap = paired_difference(first, second)
    assert gap.value == pytest.approx(0.1)
    assert (gap.low, gap.high) == pytest.approx((-0.06510, 0.25260), abs=2e-4)


def test_paired_difference_refuses_rows_of_different_lengths():
    with pytest.raises(BadInput, match=r"shapes \(3,\) and \(1,\)"):
        paired_difference(np.ones(3), np.ones(1))


def test_ten_thousand_images_a_thousand_times_in_about_a_second():
    generator = np.random.default_rng(0)
    scores = generator.dirichlet(np.ones(100), 10_000)
    truth = generator.integers(0, 100, 10_000)
    start = time.process_time()
    summarise(scores, truth, tuple(map(str, range(100))))
    assert time.process_time() - start < 5  # 0.5 s on a free core; wide, for busy machines


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_mcnemar_is_the_exact_binomial_test(better: int, worse: int, both: int) -> None:
    from scipy.stats import binomtest

    first = np.array([1] * better + [0] * worse + [1] * both + [0], bool)
    second = np.array([0] * better + [1] * worse + [1] * both + [0], bool)
    expected = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == pytest.approx(expected)


def test_mcnemar_of_many_images_does_not_underflow() -> None:
    first = np.arange(200_000) % 2 == 0
    second = np.arange(200_000) % 5 == 0
    assert 0 <= mcnemar(first, second) < 1e-300
    with pytest.raises(BadInput, match="right or wrong"):
        mcnemar(first, second * 2)
    with pytest.raises(BadInput, match="right or wrong"):
        mcnemar(first[1:], second)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_the_step_down_procedure(chances: list[float]) -> None:
    """Slow: each adjusted p is the least level at which the step-down procedure rejects that hypothesis."""
    adjusted = holm(chances)
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    for rank, place in enumerate(order):
        before = [(len(chances) - other) * chances[order[other]] for other in range(rank + 1)]
        assert adjusted[place] == pytest.approx(min(1.0, max(before)))
        assert adjusted[place] >= chances[place]
