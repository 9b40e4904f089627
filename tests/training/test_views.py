"""Views: pixels, labels and boxes go through the same numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.training.augmentation import generator_of
from signet.training.views import VIEW_STRENGTHS, View, drawn, recoloured

MISSING = -1


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    strength=st.sampled_from(sorted(VIEW_STRENGTHS)),
)
def test_labels_and_pixels_move_together(seed: int, shape: tuple[int, int], strength: str) -> None:
    # Labels are cells of 10 pixels, and the picture shows each label as one level of grey.
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    labels = ((rows // 10) * 10 + columns // 10).astype(np.int32)
    pixels = np.repeat((labels * 2 + 20).astype(np.uint8)[..., None], 3, axis=2)
    view = drawn(shape, (48, 56), VIEW_STRENGTHS[strength], generator_of(seed), flip=True)
    shown, named = view.pixels(pixels), view.labels(labels, MISSING)
    assert shown.shape == (48, 56, 3)
    assert named.shape == (48, 56)
    # Inside a cell, where no neighbour is mixed in, the grey says which label it must be.
    flat = np.zeros_like(named, bool)
    flat[2:-2, 2:-2] = True
    for down in range(-2, 3):
        for right in range(-2, 3):
            flat &= np.roll(named, (down, right), (0, 1)) == named
    expected = np.where(named == MISSING, 128, named * 2 + 20)
    assert (np.abs(shown[..., 0].astype(int) - expected)[flat] <= 1).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    corner=st.tuples(st.integers(3, 38), st.integers(3, 44)),
    sides=st.tuples(st.integers(12, 30), st.integers(12, 30)),
)
def test_boxes_move_with_the_pixels(seed: int, corner: tuple[int, int], sides: tuple[int, int]) -> None:
    (top, left), (height, width) = corner, sides
    labels = np.zeros((72, 80), np.int32)
    labels[top : top + height, left : left + width] = 1
    view = drawn(labels.shape, (64, 64), VIEW_STRENGTHS["medium"], generator_of(seed), flip=True)
    ((x0, y0, x1, y1),) = view.boxes(np.array([[left, top, left + width, top + height]], np.float64))
    rows, columns = np.nonzero(view.labels(labels, MISSING) == 1)
    if min(x0, y0) >= 0 and max(x1, y1) <= 64:
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(np.array(found) - (x0, y0, x1, y1)).max() <= 0.5 + 1e-6
    assert x1 > x0
    assert y1 > y0


def test_a_picture_smaller_than_the_view_lies_on_grey_and_unlabelled_ground() -> None:
    view = View(top=-10, left=-10, scale=(1, 1), size=(40, 40))
    shown = view.pixels(np.full((20, 20, 3), 7, np.uint8))
    named = view.labels(np.zeros((20, 20), np.int32), MISSING)
    assert (shown[10:30, 10:30] == 7).all()
    assert (named[10:30, 10:30] == 0).all()
    named[10:30, 10:30] = MISSING
    shown[10:30, 10:30] = 128
    assert (named == MISSING).all()
    assert (shown == 128).all()


def test_the_identity_is_the_picture_and_the_mirror_its_mirror_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    assert np.array_equal(View(0, 0, (1, 1), (12, 16)).pixels(pixels), pixels)
    assert np.array_equal(View(0, 0, (1, 1), (12, 16), mirrored=True).pixels(pixels), pixels[:, ::-1])


def test_scales_stay_within_their_strength_and_without_flip_nothing_is_mirrored() -> None:
    strength = VIEW_STRENGTHS["medium"]
    views = [drawn((60, 60), (30, 30), strength, generator_of(seed), flip=False) for seed in range(300)]
    factors = [math.sqrt(view.scale[0] * view.scale[1]) / 0.5 for view in views]
    assert min(factors) >= 0.5
    assert max(factors) <= 2
    assert min(factors) < 0.6
    assert max(factors) > 1.7
    assert not any(view.mirrored for view in views)
    again = drawn((60, 60), (30, 30), strength, generator_of(7), flip=False)
    assert again == views[7]
    mirrored = [drawn((60, 60), (30, 30), strength, generator_of(seed), flip=True) for seed in range(300)]
    assert 100 < sum(view.mirrored for view in mirrored) < 200


@pytest.mark.parametrize("strength", sorted(VIEW_STRENGTHS))
def test_colours_change_and_nothing_moves(strength: str) -> None:
    pixels = np.full((16, 16, 3), 90, np.uint8)
    pixels[4:8, 4:8] = (160, 120, 140)
    for seed in range(20):
        changed = recoloured(pixels, VIEW_STRENGTHS[strength], generator_of(seed))
        # Flat regions stay flat but for a sharpened edge of one pixel.
        assert (changed[5:7, 5:7] == changed[5, 5]).all()
        assert (changed[10:, 10:] == changed[15, 15]).all()
