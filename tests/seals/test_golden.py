"""Which images become golden, and what is left of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.decoding import read
from signet.errors import BadInput
from signet.images import Image
from signet.seals import golden_images
from signet.seals.made import TURNED, made_images


def _traits(golden):
    return {trait for image in golden for trait in image.entry.traits}


def test_own_images_are_preferred_for_what_they_show(photos):
    golden = golden_images(photos, "own", (32, 32))
    assert {image.entry.source for image in golden} == {"own"}
    assert _traits(golden) == {"turned", "oblong", "grey"}
    assert {image.origin for image in golden} == {str(path) for path in photos}
    assert [image.entry.file for image in golden] == [f"golden/{n}{p.suffix}" for n, p in enumerate(photos)]
    for image in golden:
        assert np.array_equal(read(image.data).pixels, read(image.origin).pixels)
        assert b"SECRETMAKER" not in image.data
        assert image.origin in image.words()


def test_what_own_images_do_not_show_is_shown_by_made_ones(photos):
    square = [path for path in photos if path.name == "square.jpg"]
    golden = golden_images(square * 9, "own", (32, 32))
    assert [image.entry.source for image in golden] == ["own"] * 2 + ["made"] * 3
    assert _traits(golden) == {"turned", "oblong", "grey"}
    assert golden[-1].words().startswith("an image made by Signet")


@pytest.mark.parametrize("kind", ["grey", "flat"])
def test_grey_and_flat_images_get_company_in_colour(tmp_path, kind):
    generator = np.random.default_rng(0)
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    paths = []
    for place, size in enumerate([(40, 60), (50, 40), (50, 50)]):
        noise = generator.integers(0, 256, size).astype(np.uint8)
        flat = np.full((*size, 3), (9, 99, 200), np.uint8) if place else np.full(size, 7, np.uint8)
        paths.append(tmp_path / f"{place}.jpg")
        PillowImage.fromarray(noise if kind == "grey" else flat).save(paths[-1], exif=exif)
    chosen = golden_images(paths, "own", (16, 16))
    assert [image.entry.source for image in chosen] == ["own", "own", "own", "made"]
    pixels = read(chosen[-1].data).pixels.astype(int)
    assert np.abs(pixels - pixels[..., ::-1]).mean() > 10
    assert np.abs(np.diff(pixels, axis=1)).mean() > 3


def test_images_smaller_than_the_input_get_made_company(photos):
    golden = golden_images(photos, "own", (400, 400))
    made = [image for image in golden if image.entry.source == "made"]
    assert len(made) == 3
    assert all(min(read(image.data).size) > 400 for image in made)


def test_made_takes_none_of_the_users(photos):
    golden = golden_images(photos, "made", (32, 32))
    assert {image.entry.source for image in golden} == {"made"}
    assert all(not image.origin for image in golden)


def test_made_images_are_the_same_each_time_and_of_three_kinds():
    first, again = made_images((64, 64)), made_images((64, 64))
    assert first == again
    turned, wide, grey = (read(data) for _, data in first)
    stored = read(first[0][1], orient=False)
    assert stored.size == turned.size[::-1]
    assert TURNED == 6
    assert wide.height < wide.width
    assert (grey.pixels[..., 0] == grey.pixels[..., 2]).all()
    for image in (turned, wide, grey):
        assert min(image.size) > 64
        assert image.pixels.std() > 40


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_image_is_encoded_smaller_and_says_so(tmp_path, orientation):
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SECRETMAKER"
    path = tmp_path / "large.jpg"
    PillowImage.linear_gradient("L").resize((1500, 900)).convert("RGB").save(path, exif=exif)
    (image, *_) = golden_images([path], "own", (224, 224))
    assert image.entry.note == "encoded again, smaller"
    assert ("turned" in image.entry.traits) == (orientation == 6)
    small, large = read(image.data), read(path)
    assert small.height * small.width < 400_000
    assert (small.height > small.width) == (large.height > large.width)
    assert min(small.size) > 224
    assert b"SECRETMAKER" not in image.data


def test_a_large_image_stays_larger_than_the_input(tmp_path):
    path = tmp_path / "long.png"
    PillowImage.new("RGB", (4000, 300), (9, 8, 7)).save(path)
    (image, *_) = golden_images([path], "own", (224, 224))
    assert min(read(image.data).size) > 224


@pytest.mark.parametrize("form", ["WebP", "BMP", "TIFF", "GIF"])
def test_other_formats_are_written_as_png(tmp_path, form):
    path = tmp_path / f"picture.{form.lower()}"
    PillowImage.linear_gradient("L").convert("RGB").resize((90, 60)).save(path)
    (image, *_) = golden_images([path], "own", (32, 32))
    assert image.entry.file.endswith(".png")
    assert image.entry.note == "written as PNG"
    assert np.array_equal(read(image.data).pixels, read(path).pixels)


def test_a_decoded_image_can_be_golden():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    (image, *_) = golden_images([Image(pixels, source="memory")], "own", (32, 32))
    assert np.array_equal(read(image.data).pixels, pixels)
    assert image.entry.note == "written as PNG"


def test_an_animated_png_keeps_its_first_picture_only(tmp_path):
    buffer = io.BytesIO()
    frames = [PillowImage.new("RGB", (60, 40), colour) for colour in ("red", "green")]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    path = tmp_path / "a.png"
    path.write_bytes(buffer.getvalue())
    (image, *_) = golden_images([path], "own", (32, 32))
    assert b"fdAT" not in image.data
    assert np.array_equal(read(image.data).pixels, read(path).pixels)


def test_unreadable_images_are_passed_over_unless_all_are(tmp_path, photos):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nothing")
    golden = golden_images([bad, photos[0]], "own", (32, 32))
    assert [image.origin for image in golden if image.entry.source == "own"] == [str(photos[0])]
    with pytest.raises(BadInput, match=r"bad\.jpg"):
        golden_images([bad], "own", (32, 32))
