import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFont

from signet.drawing import (
    Style,
    contrast,
    draw,
    draw_classes,
    ink_on,
    legible,
    palette,
    percent,
    shortened,
)
from signet.errors import BadRequest, WrongTask
from signet.images import Image
from signet.predictions import Classes, Embedding

FONT = ImageFont.load_default(20)


def classes(*labels, scores=None):
    given = np.array(scores if scores is not None else np.linspace(0.9, 0.1, len(labels)), np.float32)
    return Classes(np.arange(len(labels)), given, labels)


def picture(height, width):
    return Image(np.full((height, width, 3), 180, np.uint8), source="a.png")


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 5000), (5000, 1), (32, 32), (223, 100), (240, 320), (1200, 1600)]
)
def test_any_size_gets_a_caption(size):
    drawn = draw(picture(*size), classes("cat", "dog", "a very long name " * 20))
    assert drawn.width >= max(224, size[1])
    assert drawn.height > size[0] + 40
    assert drawn.source == "a.png"
    strip = drawn.pixels[size[0] :]
    assert strip.max() > 200  # letters
    assert strip.min() < 40  # on a dark ground


def test_a_large_picture_keeps_its_pixels_above_the_strip():
    image = Image(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    drawn = draw(image, classes("cat"))
    np.testing.assert_array_equal(drawn.pixels[:300], image.pixels)


def test_a_small_picture_is_enlarged_by_a_whole_factor():
    image = Image(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    drawn = draw(image, classes("cat"))
    np.testing.assert_array_equal(drawn.pixels[3:224:7, 3:224:7], image.pixels)


def test_the_bar_is_as_long_as_the_score():
    def blue(score):
        pixels = draw(picture(100, 400), classes("", scores=[score])).pixels[100:]
        return int((np.abs(pixels.astype(int) - (86, 180, 233)).sum(axis=2) < 30).sum(axis=1).max())

    full = blue(1.0)
    assert blue(0.5) == pytest.approx(full / 2, abs=2)
    assert blue(0.0) == 0


def test_low_scores_are_left_out_but_never_the_best():
    tall = draw(picture(100, 300), classes("a", "b", "c", scores=[0.5, 0.3, 0.2]))
    one = draw(picture(100, 300), classes("a", "b", "c", scores=[0.008, 0.004, 0.001]))
    assert one.height < tall.height
    assert draw(picture(100, 300), classes("a", "b", "c"), Style(most=1)).height == one.height
    nothing = draw(picture(100, 300), classes())
    assert nothing.height == one.height


@pytest.mark.parametrize(
    "label",
    [
        "",
        "\n",
        "\x00\x1b[31m",
        "\ud800",
        "\u202egpj.exe",
        "日本語",
        "א" * 50,
        "👩‍👩‍👧",
        "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
        "\uffff",
        "\U0010ffff",
        "<script>alert(1)</script>",
        "ﷺ" * 30,
    ],
)
def test_no_label_stops_it(label):
    assert draw(picture(50, 50), classes(label, label)).height > 200


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=30))
def test_what_is_drawn_is_one_line_in_letters_that_the_font_has(label):
    line = legible(label, FONT)
    assert line == " ".join(line.split())
    assert "\n" not in line
    assert FONT.getlength(line) >= 0


def test_accents_are_dropped_where_the_font_lacks_them_and_unknown_scripts_given_up():
    assert legible("Siamese café", FONT) == "Siamese cafe"
    assert legible("two\nlines\u202e here", FONT) == "two lines here"
    assert legible("日本語", FONT) == ""
    assert legible("Sushi 寿", FONT) == "Sushi ·"


def test_long_labels_end_in_an_ellipsis_and_fit():
    text = "golden retriever, a dog that fetches"
    assert shortened(text, FONT, 1000) == text
    short = shortened(text, FONT, 150)
    assert short.endswith("…")
    assert FONT.getlength(short) <= 150
    assert text.startswith(short[:-1])
    assert shortened(text, FONT, 0) == "…"


@pytest.mark.parametrize(
    ("score", "words"),
    [(0, "0.0 %"), (0.0004, "< 0.1 %"), (0.832, "83.2 %"), (0.99999, "> 99.9 %"), (1.0, "100.0 %")],
)
def test_a_score_in_words(score, words):
    assert percent(score) == words


def test_letters_and_bars_stand_out_from_every_ground():
    for colour in palette(60):
        assert contrast(ink_on(colour), colour) >= 4.5
    assert contrast((255, 255, 255), (0, 0, 0)) == pytest.approx(21)
    assert contrast((86, 180, 233), Style().ground) > 3


def test_colours_differ_and_are_the_same_each_time():
    assert len(set(palette(60))) == 60
    assert palette(60)[:10] == palette(10)
    assert palette(0) == ()


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(WrongTask, match=r"a segment map, got Embedding"):
        draw(picture(5, 5), Embedding(np.ones(3, np.float32)))
    with pytest.raises(BadRequest, match="at least 1 label"):
        Style(most=0)
    with pytest.raises(BadRequest, match="bytes of a TrueType"):
        draw_classes(picture(5, 5), classes("a"), Style(font=b"no font"))


def test_a_font_of_ones_own():
    content = FONT.font_bytes if hasattr(FONT, "font_bytes") else io.BytesIO(FONT.path.getvalue()).getvalue()
    assert draw(picture(9, 9), classes("cat"), Style(font=content)).width == 224
