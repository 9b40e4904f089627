"""A segment map over its picture, and the legend below it."""

from __future__ import annotations

import numpy as np
import pytest

from signet.drawing import Style, colour_of, draw
from signet.errors import BadInput, BadRequest
from signet.images import Image
from signet.segments import SegmentMap


def picture(height, width):
    return Image(np.full((height, width, 3), 100, np.uint8), source="a.png")


def halves(height, width, labels=("sky", "road", "car"), left=0, right=1, **more):
    indices = np.full((height, width), left, np.int32)
    indices[:, width // 2 :] = right
    return SegmentMap(indices, labels, **more)


def has(pixels, colour):
    return (pixels == np.array(colour, np.uint8)).all(axis=-1)


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (100, 75), (480, 640), (3000, 4000)])
def test_any_size_gets_a_legend(size):
    drawn = draw(picture(*size), halves(*size))
    factor = max(1, min(224 // size[1], 224 // size[0]))
    assert drawn.height > size[0] * factor
    assert drawn.width == max(224, size[1] * factor)
    strip = drawn.pixels[size[0] * factor :]
    assert strip.max() > 200
    assert has(strip, Style().ground).any()


def test_each_label_has_its_colour_and_the_full_one_where_two_meet():
    drawn = draw(picture(300, 400), halves(300, 400)).pixels
    for column, index in ((100, 0), (300, 1)):
        mixed = 0.5 * 100 + 0.5 * np.array(colour_of(index))
        np.testing.assert_allclose(drawn[150, column], mixed, atol=1)
    np.testing.assert_array_equal(drawn[150, 199], colour_of(0))
    np.testing.assert_array_equal(drawn[150, 200], colour_of(1))


def test_background_and_unlabelled_are_not_painted_nor_listed():
    image = picture(300, 400)
    drawn = draw(image, halves(300, 400, left=-1, right=1, background=0)).pixels
    np.testing.assert_array_equal(drawn[:300, :195], image.pixels[:, :195])
    assert has(drawn[300:], colour_of(1)).any()
    drawn = draw(image, halves(300, 400, background=0)).pixels
    np.testing.assert_array_equal(drawn[:300, :195], image.pixels[:, :195])
    assert not has(drawn[300:], colour_of(0)).any()
    empty = draw(image, SegmentMap(np.zeros((300, 400), np.int32), ("none",), background=0))
    np.testing.assert_array_equal(empty.pixels[:300], image.pixels)
    assert empty.pixels[300:].max() > 200


def test_only_labels_that_occur_are_listed_the_largest_first():
    indices = np.full((300, 400), 2, np.int32)
    indices[:100] = 0
    strip = draw(picture(300, 400), SegmentMap(indices, ("a", "b", "c"))).pixels[300:]
    first = {index: has(strip, colour_of(index)).any(axis=0) for index in range(3)}
    assert not first[1].any()
    assert first[2].argmax() < first[0].argmax()


@pytest.mark.parametrize("labels", [("l",) * 60, tuple("name " * 40 + str(n) for n in range(60))])
def test_a_legend_of_a_number_of_lines_has_one_height_whatever_occurs(labels):
    image = picture(240, 320)
    many = SegmentMap((np.arange(240 * 320) % 60).reshape(240, 320), labels)
    one = SegmentMap(np.zeros((240, 320), np.int32), labels)
    style = Style(legend_rows=3)
    assert draw(image, many, style).size == draw(image, one, style).size
    assert draw(image, many).height > draw(image, one).height


def test_hostile_labels_and_opacity():
    image = picture(300, 400)
    names = ("two\nlines\x1b[31m" + "x" * 500, "日本語")
    assert draw(image, halves(300, 400, names)).width == 400
    np.testing.assert_array_equal(
        draw(image, halves(300, 400), Style(opacity=0)).pixels[:300, :190], image.pixels[:, :190]
    )
    np.testing.assert_array_equal(
        draw(image, halves(300, 400), Style(opacity=1)).pixels[150, 100], colour_of(0)
    )


def test_bands_of_a_large_picture_join_without_a_seam(monkeypatch):
    rng = np.random.default_rng(0)
    image = Image(rng.integers(0, 256, (260, 250, 3), dtype=np.uint8))
    segments = SegmentMap(rng.integers(-1, 5, (13, 10)).repeat(20, 0).repeat(25, 1), tuple("abcde"))
    whole = draw(image, segments).pixels
    monkeypatch.setattr("signet.drawing.segments._BAND", 250 * 7)
    np.testing.assert_array_equal(draw(image, segments).pixels, whole)


def test_what_does_not_fit_is_said():
    with pytest.raises(BadInput, match="expected a segment map of a picture of 30x40"):
        draw(picture(30, 40), halves(40, 30))
    with pytest.raises(BadRequest, match="legend_rows"):
        Style(legend_rows=0)
