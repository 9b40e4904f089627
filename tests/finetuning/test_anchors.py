"""Anchors that fit the objects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from signet.finetuning.anchors import fitted, overlap_of, overlaps

SHAPES = arrays(
    np.float32,
    st.tuples(st.integers(9, 40), st.just(2)),
    elements=st.floats(1, 500, width=32, allow_subnormal=False),
)


def test_the_overlap_is_that_of_boxes_about_one_centre() -> None:
    shapes = np.array([[10, 20], [20, 10], [10, 20]], np.float32)
    assert overlaps(shapes, shapes[:2]) == pytest.approx(np.array([[1, 1 / 3], [1 / 3, 1], [1, 1 / 3]]))
    assert overlap_of(shapes, shapes[:1]) == pytest.approx((1 + 1 / 3 + 1) / 3)


def test_groups_of_shapes_are_found() -> None:
    centres = np.array([[8, 8], [10, 40], [40, 10], [60, 60], [200, 90]], np.float32)
    noise = np.random.default_rng(0).uniform(0.95, 1.05, (40, 5, 2)).astype(np.float32)
    shapes = (centres * noise).reshape(-1, 2)
    found = fitted(shapes, 5)
    order = np.lexsort(found.T)
    assert np.allclose(found[order], centres[np.lexsort(centres.T)], rtol=0.03)


@given(SHAPES)
def test_they_lie_among_the_objects_by_area_and_do_not_depend_on_the_order(shapes: np.ndarray) -> None:
    found = fitted(shapes, 9)
    assert found.shape == (9, 2)
    assert found.dtype == np.float32
    assert np.array_equal(found, fitted(shapes[::-1], 9))
    areas = found.prod(axis=1)
    assert (np.diff(areas) >= -1e-5 * areas[1:]).all()
    assert (found >= shapes.min(axis=0) * (1 - 1e-5)).all()
    assert (found <= shapes.max(axis=0) * (1 + 1e-5)).all()


def test_as_many_anchors_as_objects_are_the_objects() -> None:
    shapes = np.random.default_rng(1).uniform(5, 300, (9, 2)).astype(np.float32)
    assert overlap_of(shapes, fitted(shapes, 9)) == pytest.approx(1)
    same = np.full((20, 2), 24, np.float32)
    assert (fitted(same, 9) == 24).all()
