"""What the first bytes of a file say: its kind, and a JPEG's size and orientation. Pure, no decoding."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

SNIFFED_BYTES = 64
"""How many bytes of a file `kind_of` and `described` want to see."""

_KINDS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

# Kinds that Signet does not read, so that the message can name what came.
_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"8BPS", "a Photoshop document"),
    (b"\x93NUMPY", "a numpy array"),
    (b"DICM", "a DICOM image"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
)

_MARKUP = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(!doctype html|html|head|body|\?xml|svg)", re.IGNORECASE)
_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_ORIENTATION_TAG = 0x0112

# Start-of-frame markers; C4, C8 and CC lie between them and mean other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_APP1 = 0xE1
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG file says before its first scan.

    Attributes:
        height: rows, as stored.
        width: columns, as stored.
        components: 1 grey, 3 colour, 4 CMYK or YCCK.
        precision: bits of a sample.
        frame: the start-of-frame marker: 0xC0 baseline, 0xC1 extended, 0xC2 progressive.
        orientation: EXIF orientation, 1 to 8; 1 where none is stated.
    """

    height: int
    width: int
    components: int
    precision: int
    frame: int
    orientation: int


def kind_of(start: bytes) -> str | None:
    """The image format that the first bytes of a file announce: "JPEG", "PNG", ... or None."""
    for magic, kind in _KINDS:
        if start.startswith(magic):
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    return None


def described(start: bytes) -> str:
    """What a file that is no readable image seems to be, in words for a message."""
    for magic, words in _FOREIGN:
        if start.startswith(magic):
            return words
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        if brand[:3] in (b"hei", b"hev", b"mif", b"msf"):
            return "a HEIC image"
        return "an AVIF image" if brand[:3] == b"avi" else "a video"
    markup = _MARKUP.match(start)
    if markup:
        svg = markup[1].lower() in (b"svg", b"?xml")
        return "SVG or XML text" if svg else "a web page (perhaps an error page saved as the image)"
    if not start.strip(b"\0"):
        return "nothing but zero bytes"
    text = start.decode("utf-8", errors="ignore")
    if text and all(character.isprintable() or character in "\r\n\t" for character in text):
        return f"text that begins {text[:24]!r}"
    return f"unknown data that begins {start[:8].hex(' ')}"


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, in a block of EXIF data; 1 where none is stated or the block is broken.

    Source: TIFF 6.0, section 2 (image file directory), and Exif 2.32, tag 0x0112.
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, first)
        for entry in range(first + 2, first + 2 + 12 * count, 12):
            tag, form = struct.unpack_from(order + "HH", block, entry)
            if tag == _ORIENTATION_TAG:
                # A SHORT (3) as the standard says; some writers use a LONG (4).
                (value,) = struct.unpack_from(order + ("I" if form == 4 else "H"), block, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def xmp_orientation(xmp: bytes) -> int:
    """The orientation, 1 to 8, in a block of XMP; 1 where none is stated."""
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 1


def jpeg_header(data: bytes) -> JpegHeader | None:
    """The header of a JPEG file, or None where anything about its markers is unusual.

    Orientation is that of the first EXIF block, else of XMP, as Pillow has it.

    Source: ITU-T T.81, annex B (markers), and Exif 2.32, section 4.7 (APP1).
    """
    position, frame = 2, None
    exif, xmp = b"", b""
    try:
        while True:
            if data[position] != 0xFF:
                return None
            while data[position] == 0xFF:
                position += 1
            marker = data[position]
            position += 1
            if marker in _ALONE:
                continue
            (length,) = struct.unpack_from(">H", data, position)
            if marker == _START_OF_SCAN:
                break
            if marker in _FRAMES:
                if frame is not None:
                    return None
                frame = (marker, *struct.unpack_from(">BHHB", data, position + 2))
            elif marker == _APP1:
                segment = data[position + 2 : position + length]
                if segment.startswith(b"Exif\0\0"):
                    exif = exif or segment
                elif segment.startswith(_XMP_HEADER):
                    xmp = xmp or segment
            position += length
    except (IndexError, struct.error):
        return None
    if frame is None or length < 2:
        return None
    marker, precision, height, width, components = frame
    orientation = exif_orientation(exif) if exif else 1
    if orientation == 1 and xmp:
        orientation = xmp_orientation(xmp)
    return JpegHeader(height, width, components, precision, marker, orientation)
