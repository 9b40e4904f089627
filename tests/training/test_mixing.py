"""Boxes of noise, and pictures mixed with the next of their batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.training.augmentation import generator_of
from signet.training.mixing import erased, mixed, mixed_targets


def generators(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [generator_of(seed, place) for place in range(count)]


def flat(count: int, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of one value each, 0 and 200 by turns, and their targets."""
    values = np.where(np.arange(count) % 2 == 0, 0, 200).astype(np.uint8)
    views = np.broadcast_to(values[:, None, None, None], (count, size, size, 3)).copy()
    return views, np.eye(2, dtype=np.float32)[np.arange(count) % 2]


def test_a_box_is_erased_as_often_as_was_said_and_of_the_size_that_was_said() -> None:
    pixels = np.full((40, 60, 3), 7, np.uint8)
    shares = []
    for place in range(300):
        view = erased(pixels, 0.25, generator_of(0, place))
        shares.append(float((view != 7).any(axis=2).mean()))
    hit = [share for share in shares if share > 0]
    assert 0.17 < len(hit) / 300 < 0.33
    assert min(hit) > 0.015
    assert max(hit) < 0.42
    assert (pixels == 7).all()  # the picture that is kept is not the one that is changed


@pytest.mark.parametrize(("chance", "changed"), [(0.0, 0), (1.0, 20)])
def test_erasing_never_and_always(chance: float, changed: int) -> None:
    pixels = np.full((32, 32, 3), 7, np.uint8)
    views = [erased(pixels, chance, generator_of(1, place)) for place in range(20)]
    assert sum((view != 7).any() for view in views) == changed


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 50)])
def test_a_picture_too_small_for_a_box_stays(shape: tuple[int, int]) -> None:
    pixels = np.full((*shape, 3), 7, np.uint8)
    for place in range(10):
        assert erased(pixels, 1.0, generator_of(0, place)).shape == pixels.shape


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9),
    st.sampled_from([(0.2, 0.0), (0.0, 1.0), (0.4, 1.0), (8.0, 0.0)]),
    st.integers(0, 2**32 - 1),
)
def test_targets_say_exactly_what_is_shown(count: int, alphas: tuple[float, float], seed: int) -> None:
    views, targets = flat(count)
    made, own = mixed(views, *alphas, generators(count, seed))
    shares = mixed_targets(targets, own)
    assert made.dtype == np.uint8
    assert made.shape == views.shape
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    # The mean brightness is the share of the bright picture, however it was mixed.
    np.testing.assert_allclose(made.mean(axis=(1, 2, 3)) / 200, shares[:, 1], atol=0.5 / 200 + 1e-6)


def test_without_an_alpha_nothing_is_mixed() -> None:
    views, targets = flat(4)
    made, own = mixed(views, 0.0, 0.0, generators(4))
    assert made is views
    assert own.tolist() == [1, 1, 1, 1]
    assert np.array_equal(mixed_targets(targets, own), targets)


def test_mixup_blends_everywhere_and_cutmix_covers_a_box() -> None:
    views, _ = flat(30)
    blended, _ = mixed(views, 1.0, 0.0, generators(30))
    assert all(len(np.unique(view)) == 1 for view in blended)
    assert ((blended[:, 0, 0, 0] >= 100) == (views[:, 0, 0, 0] == 200)).all()  # mainly itself
    covered, _ = mixed(views, 0.0, 1.0, generators(30))
    assert {int(value) for value in np.unique(covered)} == {0, 200}
    assert sum(len(np.unique(view)) == 2 for view in covered) > 15


def test_each_picture_has_its_own_share_and_both_ways_come() -> None:
    views, _ = flat(40)
    made, own = mixed(views, 1.0, 1.0, generators(40))
    by_box = np.array([set(np.unique(view)) <= {0, 200} for view in made])
    assert 8 < by_box.sum() < 32
    assert len(np.unique(own.round(4))) > 25


def test_floats_are_mixed_without_rounding() -> None:
    views = np.array([0.0, 1.0], np.float32)[:, None, None, None] * np.ones((2, 4, 4, 3), np.float32)
    made, own = mixed(views, 1.0, 0.0, generators(2))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made.mean(axis=(1, 2, 3)), [1 - own[0], own[1]], atol=1e-6)
