"""The way from an original to a prepared pixel and home."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from signet.geometry import Geometry


def test_geometry_starts_as_the_identity_and_is_a_value() -> None:
    place = Geometry.of((10, 20))
    assert place == Geometry((10, 20), (10, 20))
    with pytest.raises(dataclasses.FrozenInstanceError):
        place.scale = (2.0, 2.0)
    assert place.to_original(np.array([[3, 4]])).tolist() == [[3, 4]]


@given(
    sizes=some.lists(some.tuples(some.integers(1, 500), some.integers(1, 500)), min_size=1, max_size=4),
    x=some.floats(0, 1, allow_subnormal=False),
    y=some.floats(0, 1, allow_subnormal=False),
)
def test_resizes_keep_the_place_within_the_picture(sizes: list[tuple[int, int]], x: float, y: float) -> None:
    place = Geometry.of(sizes[0])
    for size in sizes:
        place = place.resized(size)
    assert place.prepared == sizes[-1]
    (height, width), (rows, columns) = place.prepared, place.original
    home = place.to_original(np.array([x * width, y * height]))
    np.testing.assert_allclose(home, [x * columns, y * rows], atol=1e-6)
