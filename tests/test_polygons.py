"""Outlines give the masks that COCO's own tools give, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.errors import BadInput
from signet.masks import Mask
from signet.polygons import area_of_polygon, mask_of_polygons

pycocotools = pytest.importorskip("pycocotools.mask")

SIDES = st.integers(1, 40)
COORDINATES = st.one_of(
    st.integers(-10, 50).map(float),
    st.integers(-100, 500).map(lambda tenth: tenth / 10),
    st.floats(-10, 50, allow_nan=False, width=32),
)
RINGS = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=12)


def by_pycocotools(rings, size):
    flat = [[number for point in ring for number in point] for ring in rings]
    return Mask.from_coco(pycocotools.merge(pycocotools.frPyObjects(flat, *size)))


@given(rings=st.lists(RINGS, min_size=1, max_size=4), height=SIDES, width=SIDES)
def test_the_same_pixels_as_pycocotools(rings, height, width):
    ours = mask_of_polygons([np.array(ring) for ring in rings], (height, width))
    assert ours == by_pycocotools(rings, (height, width))


@given(ring=RINGS, repeats=st.integers(1, 3))
def test_points_that_repeat_change_nothing(ring, repeats):
    again = [point for point in ring for _ in range(repeats)] + [ring[0]]
    assert mask_of_polygons([np.array(again)], (30, 30)) == mask_of_polygons([np.array(ring)], (30, 30))


def test_a_square_is_its_pixels():
    mask = mask_of_polygons([np.array([[2, 1], [6, 1], [6, 4], [2, 4]])], (8, 10))
    wanted = np.zeros((8, 10), bool)
    wanted[1:4, 2:6] = True
    np.testing.assert_array_equal(mask.to_array(), wanted)


def test_every_outline_of_the_shared_images(shared):
    import json

    stated = json.loads((shared / "data/coco_tiny/annotations/instances_val2017.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in stated["images"]}
    compared = 0
    for annotation in stated["annotations"]:
        if isinstance(annotation["segmentation"], list):
            rings = [np.reshape(ring, (-1, 2)) for ring in annotation["segmentation"]]
            size = sizes[annotation["image_id"]]
            assert mask_of_polygons(rings, size) == by_pycocotools([ring.tolist() for ring in rings], size)
            compared += 1
    assert compared == 804


@pytest.mark.parametrize(
    ("ring", "words"),
    [
        ([[0, 0], [1, 1]], "at least 3 points"),
        ([[0, 0, 0]] * 3, "at least 3 points"),
        ([[0, 0], [1, float("nan")], [2, 2]], "far from any"),
        ([[0, 0], [1e9, 0], [2, 2]], "far from any"),
        ([[0, 0], [4e6, 0], [2, 2]], "longer than any"),
    ],
)
def test_what_is_no_outline(ring, words):
    with pytest.raises(BadInput, match=words):
        mask_of_polygons([np.array(ring)], (10, 10))


def test_the_area_within():
    assert area_of_polygon(np.array([[0, 0], [4, 0], [4, 3]])) == 6
