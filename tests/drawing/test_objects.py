"""Boxes and instances: where lines, masks and names stand, at any size and with any label."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.boxes import Boxes
from signet.drawing import Style, colour_of, contrast, cutouts, draw, ink_on
from signet.drawing.instances import rim
from signet.drawing.letters import font_of
from signet.drawing.plates import places
from signet.errors import BadInput, BadRequest
from signet.images import Image
from signet.instances import Instances
from signet.masks import Mask

HOSTILE = ["", "two\nlines\x1b[31m", "日本語", "x" * 500, "Straße café", "\u202egnp.exe", "\ud800"]


def picture(height, width, grey=128):
    return Image(np.full((height, width, 3), grey, np.uint8), source="a.png")


def boxes(xyxy, size, labels=None, scores=None, indices=None):
    count = len(xyxy)
    return Boxes(
        np.array(xyxy, np.float64).reshape(-1, 4),
        np.full(count, 0.9) if scores is None else np.array(scores, np.float64),
        np.arange(count) if indices is None else np.array(indices),
        tuple(labels or (f"l{number}" for number in range(count))),
        size,
    )


def instances(image, *windows, **more):
    masks = []
    for left, top, right, bottom in windows:
        inside = np.zeros(image.size, bool)
        inside[top:bottom, left:right] = True
        masks.append(Mask.of(inside))
    return Instances(boxes(windows, image.size, **more), tuple(masks))


def has(pixels, colour):
    return (pixels == np.array(colour, np.uint8)).all(axis=-1)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 3000), (3000, 1), (100, 75), (223, 225), (480, 640), (3000, 4000)]
)
def test_any_size_is_drawn_on(size):
    height, width = size
    image = picture(*size)
    given = boxes([[0, 0, width, height], [0, 0, width / 2, height]], size, ["car", "x" * 500])
    drawn = draw(image, given)
    factor = max(1, min(224 // width, 224 // height))
    assert drawn.size == (max(96, height * factor), max(96, width * factor))
    assert drawn.source == "a.png"
    assert has(drawn.pixels, colour_of(0)).any()


def test_the_line_lies_on_the_border_of_the_box_and_its_inside_is_left_alone():
    image = picture(400, 500)
    drawn = draw(image, boxes([[100, 150, 300, 350]], image.size, ["car"], indices=[4])).pixels
    line = has(drawn, colour_of(4))
    assert line[349, 100:300].all()
    assert line[150:350, 299].all()
    np.testing.assert_array_equal(drawn[160:340, 110:290], image.pixels[160:340, 110:290])
    np.testing.assert_array_equal(drawn[360:], image.pixels[360:])


def test_a_small_picture_grows_and_its_boxes_with_it():
    image = picture(50, 60)
    drawn = draw(image, boxes([[10, 20, 40, 45]], image.size, indices=[2])).pixels
    assert drawn.shape == (150, 180, 3)
    line = has(drawn, colour_of(2))
    assert line[134, 30:120].all()
    assert not line[138:].any()


def test_a_label_has_one_colour_in_every_picture():
    for order in ([3, 1], [1, 3]):
        image = picture(300, 300)
        scores = [0.9, 0.8] if order == [3, 1] else [0.4, 0.9]
        drawn = draw(image, boxes([[10, 200, 90, 280], [150, 200, 250, 280]], image.size, scores=scores,
                                  indices=order)).pixels  # fmt: skip
        assert has(drawn, colour_of(order[0]))[279, 10:90].all()
        assert has(drawn, colour_of(order[1]))[279, 150:250].all()


def test_low_scores_are_left_out_and_the_style_says_which():
    image = picture(300, 300)
    given = boxes([[10, 100, 90, 180], [150, 100, 250, 180]], image.size, scores=[0.9, 0.2])
    assert not has(draw(image, given).pixels, colour_of(1)).any()
    assert has(draw(image, given, Style(object_score=0.1)).pixels, colour_of(1)).any()
    few = draw(image, given, Style(object_score=0, most_objects=1)).pixels
    assert has(few, colour_of(0)).any()
    assert not has(few, colour_of(1)).any()


@pytest.mark.parametrize("label", HOSTILE)
def test_no_label_stops_it_and_its_plate_stays_inside(label):
    image = picture(120, 160)
    drawn = draw(image, boxes([[150, 110, 160, 120]], image.size, [label], indices=[5]))
    assert drawn.size == (120, 160)
    plate = has(drawn.pixels, colour_of(5))
    assert plate.any(axis=0).sum() <= 0.7 * 160 + 1


def test_the_score_is_never_cut():
    image = picture(200, 300)
    short, long = (
        draw(image, boxes([[50, 100, 250, 180]], image.size, [label])).pixels for label in ("w", "w" * 500)
    )
    font = font_of(None, 12)
    assert has(long, colour_of(0)).any(axis=0).sum() >= has(short, colour_of(0)).any(axis=0).sum()
    assert font.getlength("0.90") > 0
    other = draw(image, boxes([[50, 100, 250, 180]], image.size, ["w" * 500], scores=[0.41])).pixels
    assert (other != long).any()


def test_ink_stands_out_from_every_plate():
    assert all(contrast(ink_on(colour_of(index)), colour_of(index)) >= 4.5 for index in range(400))


def overlap(first, second):
    sides = [min(first[2 + i], second[2 + i]) - max(first[i], second[i]) for i in range(2)]
    return max(0, sides[0]) * max(0, sides[1])


def test_plates_of_objects_at_one_place_stand_side_by_side():
    count = 8
    found = places([np.array([100.0, 100, 220, 260])] * count, np.full((count, 2), (90.0, 20)), (400, 400))
    plates = [(left, top, left + 90, top + 20) for left, top in found.tolist()]
    assert all(overlap(one, two) == 0 for one, two in itertools.combinations(plates, 2))


def test_in_a_crowd_names_are_left_out_and_the_objects_are_seen():
    rng = np.random.default_rng(0)
    crowd = [np.array([left, top, left + 12, top + 12]) for left, top in rng.uniform(0, 240, (80, 2))]
    found = places(crowd, np.full((80, 2), (75.0, 16)), (256, 256))
    there = np.isfinite(found[:, 0])
    assert there[0]
    assert 8 <= there.sum() <= 0.25 * 256 * 256 / (75 * 16)


def test_a_name_hides_no_other_object_where_it_need_not():
    below, above = np.array([100.0, 100, 200, 200]), np.array([100.0, 75, 200, 98])
    (first, _) = places([below, above], np.full((2, 2), (90.0, 20)), (400, 400))
    assert overlap((*first, first[0] + 90, first[1] + 20), above) == 0


@settings(max_examples=60)
@given(
    st.lists(st.tuples(*[st.floats(-50, 450)] * 4), max_size=12),
    st.floats(5, 300),
    st.floats(5, 60),
    st.tuples(st.integers(60, 500), st.integers(300, 500)),
)
def test_plates_are_inside_the_picture_whatever_the_boxes(corners, width, height, size):
    given = [np.array([min(a, c), min(b, d), max(a, c), max(b, d)]) for a, b, c, d in corners]
    found = places(given, np.tile((width, height), (len(given), 1)), size)
    there = found[np.isfinite(found[:, 0])]
    assert (there >= 0).all()
    assert (there + np.array([width, height]) <= (size[1] + 1, size[0] + 1)).all()
    plates = [(left, top, left + width, top + height) for left, top in there.tolist()]
    assert all(overlap(one, two) == 0 for one, two in itertools.combinations(plates, 2))
    assert not given or np.isfinite(found[0]).all()


def test_an_answer_about_another_picture_is_refused():
    with pytest.raises(BadInput, match=r"a\.png: expected boxes of a picture of 40x50 pixels, got boxes of "):
        draw(picture(40, 50), boxes([[0, 0, 9, 9]], (50, 40)))
    with pytest.raises(BadInput, match="instances of a picture of 40x50"):
        draw(picture(40, 50), instances(picture(50, 40), (0, 0, 9, 9)))
    with pytest.raises(BadRequest, match="object_score: expected 0 to 1, got 30"):
        Style(object_score=30)


def test_no_objects_leave_the_picture_as_it_is():
    image = Image(np.random.default_rng(0).integers(0, 256, (230, 240, 3), dtype=np.uint8))
    np.testing.assert_array_equal(draw(image, boxes([], image.size)).pixels, image.pixels)
    np.testing.assert_array_equal(draw(image, instances(image)).pixels, image.pixels)


def test_a_mask_is_tinted_and_outlined_and_nothing_else_is():
    image = picture(300, 300, 100)
    given = instances(image, (50, 120, 150, 220), indices=[3])
    drawn = draw(image, given).pixels
    tint = np.round(0.5 * 100 + 0.5 * np.array(colour_of(3)))
    np.testing.assert_array_equal(drawn[170, 100], tint)
    assert has(drawn, colour_of(3))[120:220, 50].all()
    np.testing.assert_array_equal(drawn[221:], image.pixels[221:])
    clear = draw(image, given, Style(opacity=0)).pixels
    np.testing.assert_array_equal(clear[170, 100], (100, 100, 100))


def test_a_small_object_is_drawn_over_a_large_one_whatever_its_score():
    image = picture(300, 300)
    for scores in ([0.9, 0.5], [0.5, 0.9]):
        given = instances(image, (20, 60, 280, 280), (200, 200, 240, 240), scores=scores)
        drawn = draw(image, given, Style(opacity=1)).pixels
        np.testing.assert_array_equal(drawn[220, 220], colour_of(1))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_the_rim_is_what_an_erosion_takes(seed, width):
    inside = np.random.default_rng(seed).random((9, 11)) < 0.8
    padded = np.pad(inside, width)
    eroded = np.ones_like(inside)
    for down, right in itertools.product(range(2 * width + 1), repeat=2):
        eroded &= padded[down : down + 9, right : right + 11]
    np.testing.assert_array_equal(rim(inside, width), inside & ~eroded)


def test_a_cutout_has_the_objects_pixels_and_nothing_of_what_is_around_it():
    image = Image(np.random.default_rng(0).integers(1, 256, (40, 50, 3), dtype=np.uint8))
    ring = np.zeros((40, 50), bool)
    ring[5:20, 10:30] = True
    ring[10:15, 15:25] = False
    masks = (Mask.of(ring), Mask.of(np.zeros((40, 50), bool)), Mask.of(np.ones((40, 50), bool)))
    given = Instances(boxes([[0, 0, 50, 40]] * 3, image.size, ["cup", "none", "all"]), masks)
    first, last = cutouts(image, given)
    assert (first.number, first.label, first.corner, first.pixels.shape) == (0, "cup", (5, 10), (15, 20, 4))
    inside = ring[5:20, 10:30]
    np.testing.assert_array_equal(first.pixels[..., 3], inside * 255)
    np.testing.assert_array_equal(first.pixels[inside][:, :3], image.pixels[ring])
    assert not first.pixels[~inside].any()
    assert (last.number, last.pixels.shape) == (2, (40, 50, 4))
    assert first.to_pillow().mode == "RGBA"
