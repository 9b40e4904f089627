"""An image's size and turn from its header are those of the decoded image; label images keep their values."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.decoding import read
from signet.errors import BadInput
from signet.extents import extent_of, read_values


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_the_size_is_that_of_the_decoded_image(tmp_path, suffix, orientation):
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"a.{suffix}"
    PillowImage.new("RGB", (31, 17)).save(file, exif=exif)
    extent = extent_of(file)
    image = read(file)
    assert (extent.stored, extent.orientation) == ((17, 31), orientation)
    assert extent.upright == image.size
    assert extent.stored == image.stored


@pytest.mark.parametrize("suffix", ["bmp", "gif"])
def test_formats_without_a_turn(tmp_path, suffix):
    PillowImage.new("RGB", (31, 17)).save(tmp_path / f"a.{suffix}")
    assert extent_of(tmp_path / f"a.{suffix}").upright == (17, 31)


def test_every_hostile_file_has_its_size_or_an_error(hostile_cases):
    wrong, right = [], 0
    for case in hostile_cases:
        try:
            size = extent_of(case.path).upright
        except BadInput:
            size = None
        if case.expectation == "ok":
            right += size == tuple(case.size)
            wrong += [case.kind] * (size != tuple(case.size))
    assert wrong == []
    assert right > 50


def test_a_large_colour_profile_before_the_frame(tmp_path):
    profile = bytes(300_000)
    PillowImage.new("RGB", (31, 17)).save(tmp_path / "a.jpg", icc_profile=profile)
    assert extent_of(tmp_path / "a.jpg").upright == (17, 31)


@pytest.mark.parametrize(
    ("mode", "value", "wanted"),
    [("L", 200, 200), ("1", 1, 1), ("RGB", (1, 2, 3), 0x010203), ("RGBA", (1, 2, 3, 0), 0x010203),
     ("I;16", 40_000, 40_000), ("LA", (9, 0), 9)],
)  # fmt: skip
def test_values_as_stored(tmp_path, mode, value, wanted):
    PillowImage.new(mode, (3, 2), value).save(tmp_path / "a.png")
    values = read_values(tmp_path / "a.png")
    assert values.shape == ((2, 3, 1) if mode.startswith("RGB") else (2, 3))
    assert values.dtype == np.int32
    assert (values == wanted).all()


def test_positions_in_a_palette(tmp_path):
    image = PillowImage.frombytes("P", (2, 2), bytes([0, 7, 200, 255]))
    image.putpalette(bytes(range(256)) * 3)
    image.save(tmp_path / "a.png", transparency=0)
    assert read_values(tmp_path / "a.png").tolist() == [[0, 7], [200, 255]]


def test_what_is_no_label_image(tmp_path):
    PillowImage.new("L", (3, 2)).save(tmp_path / "a.jpg")
    PillowImage.new("CMYK", (3, 2)).save(tmp_path / "a.tif")
    (tmp_path / "a.png").write_bytes(b"")
    for name, words in (
        ("a.jpg", "a format that keeps each value"),
        ("a.tif", "got mode CMYK"),
        ("a.png", "an empty file"),
        ("none", "got none"),
    ):
        with pytest.raises(BadInput, match=words):
            read_values(tmp_path / name)
    PillowImage.new("L", (300, 200)).save(tmp_path / "b.png")
    with pytest.raises(BadInput, match="at most 100 pixels, got 300 x 200"):
        read_values(tmp_path / "b.png", max_pixels=100)
