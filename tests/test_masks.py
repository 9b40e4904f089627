"""Regions as run lengths: what goes in comes out, and COCO's own strings are read and written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from signet.errors import BadInput
from signet.masks import Mask

PICTURES = arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@given(PICTURES)
def test_what_goes_in_comes_out(inside):
    mask = Mask.of(inside)
    assert np.array_equal(mask.to_array(), inside)
    assert mask.area == inside.sum()
    assert Mask.from_coco(mask.to_coco()) == mask
    assert Mask.from_coco({"size": list(mask.size), "counts": mask.counts.tolist()}) == mask


@given(PICTURES)
def test_bounds_are_those_of_the_pixels(inside):
    rows, columns = np.nonzero(inside)
    expected = [0] * 4
    if len(rows):
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert Mask.of(inside).bounds.tolist() == expected


@given(st.data())
def test_overlap_is_that_of_the_pixels(data):
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    one, other = (data.draw(arrays.arrays(np.bool_, shape)) for _ in range(2))
    both, either = (one & other).sum(), (one | other).sum()
    assert Mask.of(one).overlap(Mask.of(other)) == both
    assert Mask.of(one).iou(Mask.of(other)) == pytest.approx(both / either if either else 0)


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_the_strings_are_those_of_pycocotools(inside):
    coco = pytest.importorskip("pycocotools.mask")
    theirs = coco.encode(np.asfortranarray(inside.astype(np.uint8)))
    assert Mask.of(inside).to_coco()["counts"] == theirs["counts"].decode()
    assert np.array_equal(Mask.from_coco(theirs).to_array(), inside)


def test_a_known_string():
    """2 rows, 3 columns; the middle column: runs 2, 2, 2."""
    mask = Mask.of(np.array([[0, 1, 0], [0, 1, 0]]))
    assert mask.counts.tolist() == [2, 2, 2]
    assert mask.to_coco() == {"size": [2, 3], "counts": "222"}
    assert Mask.of(np.ones((40, 40))).to_coco()["counts"] == "0Pb1"


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"size": [2, 3], "counts": [1, 2]}, "sum to 6"),
        ({"size": [2, 3], "counts": [8, -2]}, "whole numbers"),
        ({"size": [2, 3], "counts": [True, 5]}, "whole numbers"),
        ({"size": [2], "counts": [6]}, "a size"),
        ({"size": [0, 3], "counts": []}, "the size of an image"),
        ({"size": [2, 3], "counts": "2 2"}, "the character ' '"),
        ({"size": [2, 3], "counts": "22P"}, "ends within a number"),
        ({"size": [2, 3], "counts": "o" * 40}, "the character 'o'"),
        ({"size": [1 << 20, 1 << 20], "counts": [1 << 40]}, "whole numbers"),
        ({"size": [1 << 20, 1 << 20], "counts": "1"}, "the size of an image"),
        ({"size": [2, 3], "counts": None}, "text or whole numbers"),
    ],
)
def test_what_is_no_mask_is_refused_in_words(stated, words):
    with pytest.raises(BadInput, match=words):
        Mask.from_coco(stated)


def test_pixels_of_other_kinds_are_refused():
    with pytest.raises(BadInput, match="0 and 1"):
        Mask.of(np.array([[0, 2]]))
    with pytest.raises(BadInput, match="shape"):
        Mask.of(np.zeros((2, 3, 1)))
    with pytest.raises(BadInput, match="one size"):
        Mask.of(np.ones((2, 3))).overlap(Mask.of(np.ones((3, 2))))
