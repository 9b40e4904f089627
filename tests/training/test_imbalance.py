"""Classes of different sizes: weights and draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.training.augmentation import generator_of
from signet.training.imbalance import OVERLAP, balanced_draw, weights_of

COUNTS = st.lists(st.integers(1, 100_000), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.sampled_from(["none", "inverse", "balanced"]))
def test_weights_are_one_in_the_mean_over_images(counts: list[int], kind: str) -> None:
    each = np.array(counts)
    weights = weights_of(each, kind)
    assert weights.dtype == np.float32
    assert (weights > 0).all()
    assert float((weights * each).sum() / each.sum()) == pytest.approx(1, rel=1e-4)


def test_half_the_images_count_twice() -> None:
    weights = weights_of(np.array([100, 50, 25]), "inverse")
    assert weights[1] / weights[0] == pytest.approx(2)
    assert weights[2] / weights[0] == pytest.approx(4)
    assert weights_of(np.array([100, 50]), "none").tolist() == [1, 1]


def test_the_effective_number_is_the_papers() -> None:
    counts = np.array([3, 500, 50_000])
    weights = weights_of(counts, "balanced")
    # Equation 2: the number is 1 + beta + beta**2 ..., n terms.
    numbers = [sum(OVERLAP**k for k in range(count)) for count in counts.tolist()]
    expected = 1 / np.array(numbers)
    np.testing.assert_allclose(weights / weights[0], expected / expected[0], rtol=1e-5)
    # Of thousands a few more tell nothing new; of few each does.
    large = weights_of(np.array([20_000, 40_000]), "balanced")
    small = weights_of(np.array([10, 20]), "balanced")
    assert large[0] / large[1] == pytest.approx(1, abs=1e-3)
    assert small[0] / small[1] == pytest.approx(2, abs=0.02)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=5), st.integers(0, 1000))
def test_a_draw_has_every_class_alike(sizes: list[int], seed: int) -> None:
    targets = np.repeat(np.arange(len(sizes)), sizes)
    drawn = balanced_draw(targets, generator_of(seed))
    assert len(drawn) == len(targets)
    counts = np.bincount(targets[drawn], minlength=len(sizes))
    assert counts.max() - counts.min() <= 1
    for index, size in enumerate(sizes):
        times = np.bincount(drawn, minlength=len(targets))[targets == index]
        assert times.max() - times.min() <= 1  # none again before all have come
        assert times.sum() == counts[index]
        assert size == len(times)
    assert np.array_equal(drawn, balanced_draw(targets, generator_of(seed)))
