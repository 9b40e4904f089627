"""Boxes on objects set off their insides; the same boxes elsewhere do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from signet.box_contrast import ELSEWHERE, leads

GREY, RED = (120, 120, 120), (220, 20, 20)


def drawn(boxes, size=(90, 120)):
    """Red rectangles on grey."""
    pixels = np.full((*size, 3), GREY, np.uint8)
    for left, top, right, bottom in np.array(boxes, int):
        pixels[top:bottom, left:right] = RED
    return pixels


def test_a_box_on_an_object_leads_everywhere_by_all_there_is():
    boxes = np.array([[8.0, 8, 28, 26]])
    found = leads(drawn(boxes), boxes)
    assert set(found) == set(ELSEWHERE) - {"with x and y exchanged"}, (
        "exchanged it overlaps by more than half"
    )
    assert list(found.values()) == [1.0] * 3


@pytest.mark.parametrize("where", list(ELSEWHERE))
def test_a_box_that_was_not_moved_with_its_image_is_behind(where):
    boxes = np.array([[70.0, 6, 90, 30]])
    moved = ELSEWHERE[where](boxes, 120, 90)
    assert leads(drawn(moved), boxes)[where] == -1.0


@given(
    seed=some.integers(0, 1000),
    left=some.integers(0, 60),
    top=some.integers(0, 60),
    side=some.integers(8, 30),
)
def test_mirroring_image_and_boxes_together_changes_nothing(seed, left, top, side):
    pixels = np.random.default_rng(seed).integers(0, 256, (90, 120, 3), np.uint8)
    boxes = np.array([[left, top, left + side, top + side]], np.float64)
    mirrored = ELSEWHERE["mirrored left to right"](boxes, 120, 90)
    before, after = leads(pixels, boxes), leads(pixels[:, ::-1], mirrored)
    for name in ("mirrored left to right", "mirrored top to bottom", "turned by 180 degrees"):
        assert after.get(name) == pytest.approx(before.get(name))


@pytest.mark.parametrize(
    "box",
    [(0, 0, 120, 90), (10, 10, 17, 40), (30, 0, 90, 90)],
    ids=["fills the image", "too narrow", "lies the same when it is mirrored"],
)
def test_boxes_that_cannot_be_compared_say_nothing(box):
    assert "mirrored left to right" not in leads(drawn([]), np.array([box], np.float64))


def test_an_image_without_boxes_says_nothing():
    assert leads(drawn([]), np.zeros((0, 4))) == {}


def test_a_large_image_is_looked_at_in_steps():
    small = np.array([[8.0, 6, 28, 20]])
    large = np.kron(drawn(small), np.ones((12, 12, 1), np.uint8))
    assert leads(large, small * 12) == pytest.approx(leads(drawn(small), small), abs=0.01)
