"""The way home: where a prepared pixel lay in the original, on every size that there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from signet.geometry import Geometry
from signet.images import Image
from signet.preprocessing import prepare
from signet.programs import Program
from signet.steps import Crop, Pad, Read, Resize

SIDE = some.integers(1, 333)
LETTERBOX = (Resize(size=(96, 128), fit="pad", rounding="round"), Pad(to=(96, 128), value=114))
TOP_LEFT = (Resize(size=(96, 128), fit="pad"), Pad(to=(96, 128), value=114, anchor="top-left"))
SHORT = (Resize(short=64, longest=99, rounding="round"), Pad(multiple=32, value=114))


def content(array: np.ndarray) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of what is not padding, in corners."""
    inside = (array != 114).any(axis=2)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


@pytest.mark.parametrize("steps", [LETTERBOX, TOP_LEFT, SHORT], ids=["letterbox", "top left", "multiple"])
@given(height=SIDE, width=SIDE)
def test_the_corners_of_the_picture_come_home(steps: tuple[object, ...], height: int, width: int) -> None:
    """The corners are found in the pixels, not computed, then mapped to the original."""
    image = Image(np.full((height, width, 3), 255, np.uint8))
    batch = prepare([image], Program((Read(), *steps)))
    (place,) = batch.geometry
    array = np.asarray(batch.arrays)[0]
    top, left, bottom, right = content(array)
    home = place.to_original(np.array([[left, top], [right, bottom]], np.float64))
    assert np.abs(home - [[0, 0], [width, height]]).max() < 0.01
    assert place.original == (height, width)
    assert place.prepared == array.shape[:2]


@given(height=some.integers(20, 200), width=some.integers(20, 200), data=some.data())
def test_a_marked_pixel_comes_home(height: int, width: int, data: some.DataObject) -> None:
    """One bright pixel, moved by crops and pads only: its place is exact."""
    y, x = data.draw(some.integers(0, height - 1)), data.draw(some.integers(0, width - 1))
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y, x] = 255
    steps = (Pad(multiple=32), Crop(size=(300, 211)), Crop(size=(299, 300), anchor="top-left"))
    batch = prepare([Image(pixels)], Program((Read(), *steps)))
    marked = np.argwhere(np.asarray(batch.arrays)[0].max(axis=2) == 255)
    if len(marked):
        row, column = marked[0]
        home = batch.geometry[0].to_original(np.array([column + 0.5, row + 0.5]))
        assert np.abs(home - [x + 0.5, y + 0.5]).max() < 1e-6


SPOTS = (
    (Resize(short=120), Crop(size=(112, 112))),
    (Crop(fraction=0.875), Resize(size=(112, 112), fit="stretch")),
    (Pad(multiple=64), Resize(size=(112, 112), fit="stretch"), Crop(size=(110, 110))),
)


@pytest.mark.parametrize("steps", SPOTS, ids=["resize, crop", "crop, resize", "pad, resize, crop"])
@given(height=some.integers(64, 300), width=some.integers(64, 300))
def test_the_middle_of_a_smooth_spot_comes_home(steps: tuple[object, ...], height: int, width: int) -> None:
    """The centre of mass of a spot, measured in the prepared pixels, lies where it lay before."""
    rows, columns = np.mgrid[0:height, 0:width]
    y, x = height * 0.5 + 3.3, width * 0.5 - 2.7
    spot = 250 * np.exp(-((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2) / 60)
    image = Image(np.repeat(np.rint(spot).astype(np.uint8)[..., None], 3, axis=2))
    batch = prepare([image], Program((Read(), *steps)))
    weights = np.asarray(batch.arrays)[0, ..., 0].astype(np.float64)
    rows, columns = np.indices(weights.shape) + 0.5
    middle = np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()
    home = batch.geometry[0].to_original(middle)
    assert np.abs(home - [x, y]).max() < 0.15


@given(
    original=some.tuples(SIDE, SIDE),
    to=some.tuples(SIDE, SIDE),
    corner=some.tuples(some.integers(-50, 50), some.integers(-50, 50)),
    point=some.tuples(
        some.floats(-500, 500, allow_subnormal=False), some.floats(-500, 500, allow_subnormal=False)
    ),
)
def test_there_and_back_is_the_identity(
    original: tuple[int, int], to: tuple[int, int], corner: tuple[int, int], point: tuple[float, float]
) -> None:
    place = Geometry.of(original).resized(to).cropped(*corner, (10, 10)).resized((20, 5))
    back = place.to_original(place.to_prepared(np.array([point])))
    np.testing.assert_allclose(back, [point], atol=1e-6)


def test_the_frame_has_its_origin_at_the_corner_of_the_first_pixel() -> None:
    place = Geometry.of((100, 200)).resized((50, 50)).cropped(10, 5, (30, 30))
    assert place.to_prepared(np.array([20.0, 20.0])).tolist() == [0.0, 0.0]
    assert place.to_original(np.array([[0.0, 0.0], [30.0, 30.0]])).tolist() == [[20, 20], [140, 80]]
