"""Boxes and masks against the pixels: what was painted is where the box says, however it is viewed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from signet.boxes import Boxes
from signet.geometry import Geometry
from signet.instances import Instances
from signet.masks import Mask
from signet.training.augmentation import generator_of
from signet.training.contents import LEAST_VISIBLE, Contents, Cutout, Shown, joined
from signet.training.mosaics import in_use, mosaic
from signet.training.views import VIEW_STRENGTHS, View, ViewStrength, drawn

# Each label has channels of its own, so that no mixture of one with the ground looks like another.
COLOURS = np.array([(220, 5, 5), (5, 220, 5), (5, 5, 220), (220, 220, 5)], np.uint8)
GROUND = 5
# Nothing changes but the place and the size: a painted colour can be found again.
STILL = dataclasses.replace(VIEW_STRENGTHS["medium"], colour=0.0, operations=0)

Rectangle = tuple[int, int, int, int]


def painted(shape: tuple[int, int], rectangles: list[Rectangle], *, masks: bool = True) -> Shown:
    """A picture in which each rectangle (left, top, right, bottom) has a colour of its own."""
    pixels = np.full((*shape, 3), GROUND, np.uint8)
    regions = []
    for place, (left, top, right, bottom) in enumerate(rectangles):
        pixels[top:bottom, left:right] = COLOURS[place]
        region = np.zeros(shape, np.bool_)
        region[top:bottom, left:right] = True
        regions.append(region)
    boxes = Boxes.truth(rectangles, range(len(rectangles)), "abcd", shape)
    truth = Instances(boxes, tuple(map(Mask.of, regions))) if masks else boxes
    return Shown(pixels, Contents.of(truth))


@st.composite
def pictures(draw: st.DrawFn, most: int = 1) -> Shown:
    """A picture of odd or even sides with rectangles apart from each other: each has columns of its own."""
    height, count = draw(st.integers(30, 75)), draw(st.integers(0 if most > 1 else 1, most))
    wide = draw(st.integers(30, 39))
    rectangles = []
    for place in range(count):
        left = draw(st.integers(4, wide - 18)) + place * wide
        top = draw(st.integers(0, height - 20))
        right = draw(st.integers(left + 12, (place + 1) * wide - 4))
        rectangles.append((left, top, right, draw(st.integers(top + 12, height))))
    return painted((height, wide * max(1, count) + draw(st.integers(0, 3))), rectangles)


def region_of(shown: Shown, label: int) -> NDArray[np.bool_]:
    """The pixels that are by half or more of a label's colour."""
    found: NDArray[np.bool_] = ((shown.pixels > 112) == (COLOURS[label] > 112)).all(axis=-1)
    return found


def check_against_pixels(shown: Shown, label: int, place: int) -> None:
    """The box of an object lies around its colour, and its mask on it, to about a pixel at each side."""
    size = shown.pixels.shape[:2]
    left, top, right, bottom = shown.contents.xyxy[place]
    assert 0 <= left < right <= size[1]
    assert 0 <= top < bottom <= size[0]
    mask = shown.contents.target(size)["masks"][place].numpy().astype(bool)
    rows, columns = np.nonzero(mask)
    bounds = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(bounds - (left, top, right, bottom)).max() <= 1
    coloured = np.argwhere(region_of(shown, label))
    (high, near), (low, far) = coloured.min(axis=0), coloured.max(axis=0) + 1
    assert np.abs(np.array([near, high, far, low]) - (left, top, right, bottom)).max() <= 1.5


@settings(max_examples=60, deadline=None)
@given(
    picture=pictures(), seed=st.integers(0, 2**32), size=st.tuples(st.integers(31, 66), st.integers(31, 66))
)
def test_a_painted_rectangle_is_found_where_its_box_says(
    picture: Shown, seed: int, size: tuple[int, int]
) -> None:
    view = drawn(picture.pixels.shape[:2], size, STILL, generator_of(seed), flip=True)
    shown = picture.through(view)
    ((x0, y0, x1, y1),) = view.boxes(picture.contents.xyxy)
    seen = max(0, min(x1, size[1]) - max(x0, 0)) * max(0, min(y1, size[0]) - max(y0, 0))
    share = seen / ((x1 - x0) * (y1 - y0))
    # A mask is counted in whole pixels, so near the limit either may be said.
    if share > LEAST_VISIBLE + 0.1:
        assert shown.contents.labels.tolist() == [0]
        check_against_pixels(shown, 0, 0)
    elif share < LEAST_VISIBLE - 0.1:
        assert len(shown.contents.labels) == 0


@settings(max_examples=30, deadline=None)
@given(picture=pictures(most=3), seed=st.integers(0, 2**32))
def test_each_object_keeps_its_label_and_its_mask(picture: Shown, seed: int) -> None:
    shown = picture.through(drawn(picture.pixels.shape[:2], (60, 90), STILL, generator_of(seed), flip=True))
    contents = shown.contents
    assert len(contents.xyxy) == len(contents.labels) == len(contents.cutouts or ())
    for place, label in enumerate(contents.labels.tolist()):
        check_against_pixels(shown, label, place)
    # Boxes alone go the same way; only the pixels of a cut object can draw its box in or end it.
    alone = Contents(picture.contents.xyxy, picture.contents.labels).through(
        drawn(picture.pixels.shape[:2], (60, 90), STILL, generator_of(seed), flip=True)
    )
    assert alone.cutouts is None
    assert set(contents.labels.tolist()) <= set(alone.labels.tolist())
    for label, box in zip(contents.labels, contents.xyxy, strict=True):
        assert np.abs(alone.xyxy[alone.labels == label] - box).max() <= 1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.tuples(st.integers(20, 70), st.integers(20, 70)))
def test_a_mask_moves_as_a_map_of_labels_does(seed: int, size: tuple[int, int]) -> None:
    generator = generator_of(seed)
    inside = np.zeros((57, 64), np.bool_)
    inside[9:40, 13:51] = generator.random((31, 38)) < 0.6
    box = Mask.of(inside).bounds
    view = drawn(inside.shape, size, STILL, generator, flip=True)
    contents = Contents.of(Instances(Boxes.truth([box], [0], ["a"], inside.shape), (Mask.of(inside),)))
    found = contents.through(view)
    if len(found.labels):
        expected = view.labels(inside.astype(np.int32), 0)
        # Pillow steps from pixel to pixel in another order of sums: a tie may fall to the other side.
        assert (found.target(size)["masks"][0].numpy() != expected).mean() < 0.02


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(pictures(), min_size=4, max_size=4),
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(48, 81), st.integers(48, 81)),
)
def test_a_mosaic_moves_boxes_and_masks_with_the_pixels(
    parts: list[Shown], seed: int, size: tuple[int, int]
) -> None:
    four = []
    for place, part in enumerate(parts):
        pixels = np.where(region_of(part, 0)[..., None], COLOURS[place], part.pixels)
        four.append(Shown(pixels, dataclasses.replace(part.contents, labels=np.array([place]))))
    made = mosaic(four, size, STILL, generator_of(seed), flip=True)
    assert made.pixels.shape == (*size, 3)
    for place, label in enumerate(made.contents.labels.tolist()):
        check_against_pixels(made, label, place)
    assert len(set(made.contents.labels.tolist())) == len(made.contents.labels)
    again = mosaic(four, size, STILL, generator_of(seed), flip=True)
    assert np.array_equal(made.pixels, again.pixels)
    assert np.array_equal(made.contents.xyxy, again.contents.xyxy)


def test_a_mosaic_shows_all_four_pictures_around_its_cut() -> None:
    parts = [painted((40, 40), [(0, 0, 40, 40)]) for _ in range(4)]
    parts = [
        part._replace(pixels=part.pixels * 0 + colour) for part, colour in zip(parts, COLOURS, strict=True)
    ]
    still = ViewStrength(scale=(1.0, 1.0), ratio=1.0, colour=0.0, operations=0)
    made = mosaic(parts, (40, 60), still, generator_of(3), flip=False)
    cut = []
    for place in range(4):
        rows, columns = np.nonzero(region_of(made, place))
        assert len(rows), place
        cut.append((rows.min() if place > 1 else rows.max(), columns.min() if place % 2 else columns.max()))
    assert max(row for row, _ in cut[:2]) < min(row for row, _ in cut[2:])
    assert max(column for _, column in cut[::2]) < min(column for _, column in cut[1::2])
    assert made.contents.labels.tolist() == [0, 0, 0, 0]


def test_a_mosaic_shows_objects_as_large_as_its_strength_says() -> None:
    parts = [painted((40, 40), [(15, 15, 25, 25)])] * 4
    half = ViewStrength(scale=(0.5, 0.5), ratio=1.0, colour=0.0, operations=0)
    made = [mosaic(parts, (80, 90), half, generator_of(seed), flip=True) for seed in range(12)]
    sides = np.concatenate([one.contents.xyxy[:, 2:] - one.contents.xyxy[:, :2] for one in made])
    # The whole canvas would show the picture at twice its size; half of that is as large as it is.
    assert sides.max() == pytest.approx(10)
    assert (np.abs(sides - 10) < 1e-6).all(axis=1).mean() > 0.5


@pytest.mark.parametrize(
    ("epochs", "last"), [(300, 285), (100, 95), (20, 19), (8, 7), (1, 0), (140, 133), (21, 19)]
)
def test_the_last_twentieth_of_the_epochs_has_no_mosaics(epochs: int, last: int) -> None:
    assert [epoch for epoch in range(1, epochs + 1) if in_use(epoch, epochs)] == list(range(1, last + 1))


def test_an_object_that_is_hardly_there_is_not_asked_for() -> None:
    picture = painted((40, 40), [(10, 10, 20, 20)])
    for left, there in ((18.5, False), (17.5, True), (20.0, False), (25.0, False)):
        for contents in (picture.contents, Contents(picture.contents.xyxy, picture.contents.labels)):
            found = contents.through(View(0, left, (2, 2), (40, 40)))
            assert len(found.labels) == there, left
    (box,) = picture.contents.through(View(0, 17.5, (2, 2), (40, 40))).xyxy
    assert box.tolist() == [0, 20, 5, 40]


def test_the_box_of_a_cut_object_shrinks_to_the_pixels_that_are_left() -> None:
    inside = np.zeros((20, 30), np.bool_)
    inside[2:18, 4:8] = inside[8:12, 4:26] = True
    truth = Instances(Boxes.truth([(4, 2, 26, 18)], [0], ["t"], (20, 30)), (Mask.of(inside),))
    view = View(0, 14, (1, 1), (20, 16))
    (box,) = Contents.of(truth).through(view).xyxy
    assert box.tolist() == [0, 8, 12, 12]
    (box,) = Contents.of(truth.boxes).through(view).xyxy
    assert box.tolist() == [0, 2, 12, 18]
    # Of the pixels only a sixth is left there, though of the box more is.
    assert len(Contents.of(truth).through(View(0, 20, (1, 1), (20, 10))).labels) == 0


def test_a_crowd_is_no_target_and_neither_is_an_empty_mask() -> None:
    masks = (np.zeros((8, 8), np.bool_), np.eye(8, dtype=np.bool_), np.eye(8, dtype=np.bool_))
    boxes = Boxes.truth([(0, 0, 8, 8)] * 3, [0, 1, 2], "abc", (8, 8), crowd=np.array([False, True, False]))
    assert Contents.of(Instances(boxes, tuple(map(Mask.of, masks)))).labels.tolist() == [2]
    assert Contents.of(boxes).labels.tolist() == [0, 2]


def test_the_evaluation_is_a_view_too() -> None:
    geometry = Geometry.of((30, 50)).resized((60, 75)).cropped(-4, 5, (70, 64))
    box = np.array([[10.0, 3.0, 20.0, 13.0]])
    corners = geometry.to_prepared(box.reshape(2, 2)).reshape(1, 4)
    np.testing.assert_allclose(View.of(geometry).boxes(box), corners)
    assert View.of(geometry).size == (70, 64)


@settings(max_examples=40, deadline=None)
@given(
    top=st.integers(0, 9), left=st.integers(0, 9), height=st.integers(1, 20), width=st.integers(1, 20),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_a_cutout_is_its_mask(top: int, left: int, height: int, width: int, seed: int) -> None:
    inside = np.zeros((32, 33), np.bool_)
    inside[top : top + height, left : left + width] = (
        np.random.default_rng(seed).random((height, width)) < 0.5
    )
    assume(inside.any())
    cutout = Cutout.of(Mask.of(inside))
    assert cutout.bounds.tolist() == Mask.of(inside).bounds.tolist()
    back = np.zeros_like(inside)
    back[cutout.top :, cutout.left :][: cutout.inside.shape[0], : cutout.inside.shape[1]] = cutout.inside
    assert np.array_equal(back, inside)
    view = View(0, 0, (1, 1), inside.shape, mirrored=True)
    contents = Contents.of(
        Instances(Boxes.truth([cutout.bounds], [0], ["a"], inside.shape), (Mask.of(inside),))
    )
    target = contents.through(view).target(inside.shape)
    assert np.array_equal(target["masks"][0].numpy().astype(bool), inside[:, ::-1])


def test_nothing_stays_nothing() -> None:
    empty = painted((20, 20), [])
    shown = joined([empty.contents, empty.contents.through(View(0, 0, (2, 2), (9, 9)))])
    assert {name: tuple(tensor.shape) for name, tensor in shown.target((9, 9)).items()} == {
        "boxes": (0, 4),
        "labels": (0,),
        "masks": (0, 9, 9),
    }
    boxes = Contents.of(Boxes.truth([], [], ["a"], (20, 20)))
    assert set(joined([boxes, boxes]).target((9, 9))) == {"boxes", "labels"}
