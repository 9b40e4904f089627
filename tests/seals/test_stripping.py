"""Metadata goes, pixels and orientation stay, and nothing is encoded again."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from signet.decoding import read
from signet.headers import exif_orientation, jpeg_header
from signet.seals.stripping import exif_block, stripped_jpeg, stripped_png, with_orientation

SECRET = b"SECRETPLACE"


def _picture(mode="RGB"):
    values = np.random.default_rng(1).integers(0, 256, (8, 11, 3)).astype(np.uint8)
    return PillowImage.fromarray(values).resize((66, 48), PillowImage.Resampling.BICUBIC).convert(mode)


def _saved(picture, form="JPEG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _exif(orientation):
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[29] = SECRET.decode()
    return exif


def _segment(marker, content):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _stuffed(jpeg):
    """A JPEG with every kind of metadata in it, also between the scans' tables and behind the end."""
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + SECRET
    extra = b"".join(
        _segment(marker, start + SECRET)
        for marker, start in [
            (0xE0, b"JFXX\0\x10"),
            (0xE1, xmp),
            (0xE2, b"ICC_PROFILE\0\x01\x01"),
            (0xE2, b"MPF\0"),
            (0xED, b"Photoshop 3.0\0"),
            (0xEF, b"vendor\0"),
            (0xFE, b""),
        ]
    )
    end = jpeg.rindex(b"\xff\xda")
    return jpeg[:2] + extra + jpeg[2:end] + _segment(0xFE, SECRET) + jpeg[end:] + SECRET


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"subsampling": 2}]
)
def test_a_jpeg_keeps_pixels_and_orientation_only(orientation, options):
    data = _stuffed(_saved(_picture(), exif=_exif(orientation), comment=SECRET, **options))
    assert data.count(SECRET) > 8
    clean = stripped_jpeg(data)
    assert clean is not None
    assert SECRET not in clean
    for trace in (b"http://", b"ICC", b"Photoshop", b"MPF", b"JFXX", b"\xff\xfe"):
        assert trace not in clean
    assert clean.count(b"Exif") == (orientation != 1)
    header = jpeg_header(clean)
    assert header is not None
    assert header.orientation == orientation
    assert np.array_equal(read(clean).pixels, read(data).pixels)
    assert np.array_equal(read(clean, orient=False).pixels, read(data, orient=False).pixels)
    with PillowImage.open(io.BytesIO(clean)) as opened:
        assert dict(opened.getexif()) == ({} if orientation == 1 else {0x0112: orientation})
        # Pillow says 72 dots an inch of any EXIF without a resolution.
        assert not {"comment", "icc_profile", "xmp", "photoshop", "mp"} & set(opened.info)


@pytest.mark.parametrize("mode", ["L", "CMYK", "YCbCr"])
def test_the_colour_transform_survives(mode):
    data = _saved(_picture(mode), quality=80)
    clean = stripped_jpeg(_stuffed(data))
    assert clean is not None
    assert SECRET not in clean
    assert np.array_equal(read(clean).pixels, read(data).pixels)


def test_the_coded_data_is_not_encoded_again():
    data = _saved(_picture(), quality=77)
    clean = stripped_jpeg(data)
    assert clean is not None
    assert data[data.rindex(b"\xff\xda") :] == clean[clean.rindex(b"\xff\xda") :]


def test_an_orientation_that_only_xmp_states_becomes_exif():
    xmp = b'http://ns.adobe.com/xap/1.0/\0<rdf tiff:Orientation="8" place="' + SECRET + b'"/>'
    data = _saved(_picture())
    data = data[:2] + _segment(0xE1, xmp) + data[2:]
    clean = stripped_jpeg(data)
    assert clean is not None
    assert SECRET not in clean
    assert np.array_equal(read(clean).pixels, read(data).pixels)
    assert read(clean).size != read(clean, orient=False).size


def test_broken_jpegs_are_no_error_but_none():
    data = _saved(_picture(), exif=_exif(6))
    generator = random.Random(4)
    assert stripped_jpeg(b"") is None
    assert stripped_jpeg(b"\xff\xd8\xff") is None
    for _ in range(200):
        harmed = bytearray(data[: generator.randrange(2, len(data) + 1)])
        harmed[generator.randrange(len(harmed))] = generator.randrange(256)
        stripped_jpeg(bytes(harmed))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
@pytest.mark.parametrize("orientation", [1, 5])
def test_a_png_keeps_picture_transparency_and_orientation(mode, orientation):
    info = PngInfo()
    info.add_text("Comment", SECRET.decode())
    info.add_text("Long", SECRET.decode() * 50, zip=True)
    info.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    picture = _picture(mode if mode != "LA" else "L").convert(mode)
    options = {"transparency": 3} if mode == "P" else {}
    data = _saved(picture, "PNG", pnginfo=info, exif=_exif(orientation), dpi=(30, 30), **options) + SECRET
    clean = stripped_png(data)
    assert clean is not None
    assert SECRET not in clean
    assert not {b"tEXt", b"zTXt", b"iTXt", b"pHYs", b"iCCP", b"tIME"} & {
        clean[place + 4 : place + 8] for place in _chunk_places(clean)
    }
    assert (b"eXIf" in clean) == (orientation != 1)
    assert np.array_equal(read(clean).pixels, read(data).pixels)
    assert np.array_equal(read(clean, orient=False).pixels, read(data, orient=False).pixels)


def _chunk_places(data):
    place = 8
    while place < len(data):
        yield place
        place += 12 + struct.unpack_from(">I", data, place)[0]


def test_broken_pngs_are_no_error_but_none():
    data = _saved(_picture(), "PNG")
    assert stripped_png(b"") is None
    assert stripped_png(data[:-8]) is None
    harmed = data.replace(b"IHDR", b"IHDX")
    assert stripped_png(harmed) is None
    assert zlib.crc32(b"") == 0


def test_the_exif_block_says_what_it_should():
    for orientation in range(1, 9):
        assert exif_orientation(exif_block(orientation)) == orientation
        assert len(exif_block(orientation)) < 40


def test_an_orientation_can_be_put_in():
    jpeg = _saved(_picture())
    assert with_orientation(jpeg, 1) is jpeg
    header = jpeg_header(with_orientation(jpeg, 6))
    assert header is not None
    assert header.orientation == 6
