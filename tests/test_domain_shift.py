"""Second moments that are carried over, distances, and how sure and how wide answers are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.domain_shift import RIDGE, aligned, entropies, frechet, spread
from signet.errors import BadInput


def rows(count: int, width: int, seed: int, scale: float = 1.0) -> np.ndarray:
    """Correlated features."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(width, width))
    return ((random.normal(size=(count, width)) @ mixing + random.normal(size=width)) * scale).astype("f4")


@settings(max_examples=25, deadline=None)
@given(width=st.integers(1, 6), seed=st.integers(0, 999))
def test_the_mean_is_the_targets_and_the_covariance_comes_closer(width: int, seed: int) -> None:
    source, target = rows(80, width, seed), rows(60, width, seed + 1, scale=3.0)
    moved = aligned(source, target)
    spreads = [np.atleast_2d(np.cov(one, rowvar=False)) for one in (source, target, moved)]
    np.testing.assert_allclose(moved.mean(axis=0), target.mean(axis=0), atol=1e-3 * np.abs(target).max())
    assert np.linalg.norm(spreads[2] - spreads[1]) < np.linalg.norm(spreads[0] - spreads[1])


def test_it_is_the_published_algorithm_on_centred_features_of_unit_variance() -> None:
    one, two = rows(300, 4, 0), rows(200, 4, 1)
    one, two = ((part - part.mean(0)) / part.std(0, ddof=1) for part in (one, two))
    whiten, colour = (
        np.linalg.eigh(np.cov(part.astype("f8"), rowvar=False) + RIDGE * np.eye(4)) for part in (one, two)
    )
    expected = one.astype("f8") @ (whiten[1] * whiten[0] ** -0.5) @ whiten[1].T
    expected = expected @ (colour[1] * colour[0] ** 0.5) @ colour[1].T
    np.testing.assert_allclose(aligned(one, two), expected, atol=1e-4)


def test_images_of_one_kind_stay_about_what_they_are() -> None:
    source = rows(500, 5, 3)
    np.testing.assert_allclose(aligned(source, source[::-1]), source, atol=2e-3)


def test_moments_of_other_images_of_the_source_can_be_what_is_carried_over() -> None:
    source, like, target = rows(80, 4, 0), rows(70, 4, 1), rows(60, 4, 2)
    np.testing.assert_array_equal(aligned(source, target, source), aligned(source, target))
    # One map for all: what it makes of the others is what it would make of them alone.
    both = aligned(np.concatenate([source, like]), target, like)
    np.testing.assert_allclose(both[80:], aligned(like, target), atol=1e-4)
    np.testing.assert_allclose(both[:80], aligned(source, target, like), atol=1e-4)


def test_what_never_varies_is_moved_and_not_divided_by_nothing() -> None:
    still = np.full((4, 3), 2.0, np.float32)
    np.testing.assert_array_equal(aligned(still, still + 1), still + 1)
    assert frechet(still, still) == 0
    assert frechet(still, still + 1) == np.inf


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(0, 4), seed=st.integers(0, 99))
def test_the_distance_is_that_of_the_means_in_deviations(shift: float, seed: int) -> None:
    source = rows(100, 3, seed)
    source = (source - source.mean(0)) / source.std(0)
    assert frechet(source, source + np.float32(shift)) == pytest.approx(shift**2, abs=1e-3)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (np.zeros((1, 3), "f4"), "features of the target: expected at least 2 rows of finite numbers, got 1"),
        (np.full((4, 3), np.nan, "f4"), "with NaN or infinity"),
        (np.zeros((4, 2), "f4"), r"features of the target"),
    ],
)
def test_what_cannot_be_aligned_is_refused_in_words(target: np.ndarray, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        aligned(np.zeros((5, 3), "f4"), target)


def test_entropies_and_spread_tell_sure_from_unsure_and_wide_from_narrow() -> None:
    sure = np.eye(4)
    np.testing.assert_allclose(entropies(np.vstack([sure, np.full((1, 4), 0.25)])), [0, 0, 0, 0, 1])
    assert spread(sure) == pytest.approx(1)
    assert spread(sure[[0, 0, 0]]) == 0
    assert spread(sure[[0, 1]]) == pytest.approx(0.5)
