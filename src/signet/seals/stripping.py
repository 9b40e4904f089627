"""An image file without its metadata, the pixels untouched: only the orientation stays.

JPEG files lose segments, PNG files chunks; nothing is encoded again. What is kept is a list, not what is
dropped, so that a kind of metadata that nobody thought of is gone too.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from signet.headers import exif_orientation, jpeg_header

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_APP0, _APP1, _APP14 = 0xE0, 0xE1, 0xEE
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
# Frames, tables, restart interval, scan: all that a decoder needs and nothing that it does not.
_KEPT = frozenset((*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDD)) - {0xC8}
_JFIF = b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
_ADOBE_BYTES = 12

_PNG_START = b"\x89PNG\r\n\x1a\n"
# Of the ancillary chunks only transparency changes what is read.
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def exif_block(orientation: int) -> bytes:
    """EXIF data (a TIFF structure) that states an orientation, 1 to 8, and nothing else.

    Source: TIFF 6.0, section 2; Exif 2.32, tag 0x0112.
    """
    return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def stripped_jpeg(data: bytes) -> bytes | None:
    """A JPEG file with frames, tables and scans only, and its orientation when that is not 1.

    Of the application segments a bare JFIF header stays, and Adobe's colour transform: both say how the
    colours are to be read. None where the file's structure is unusual.

    Source: ITU-T T.81, annex B.
    """
    header = jpeg_header(data)
    if header is None:
        return None
    out = [b"\xff\xd8"]
    jfif = adobe = False
    try:
        for marker, segment in _segments(data):
            if marker == _APP0 and segment[4:9] == b"JFIF\0" and not jfif:
                jfif = True
                out.append(_segment(_APP0, _JFIF))
            elif marker == _APP14 and segment[4:9] == b"Adobe" and len(segment) >= 4 + _ADOBE_BYTES:
                if not adobe:
                    out.append(_segment(_APP14, segment[4 : 4 + _ADOBE_BYTES]))
                adobe = True
            elif marker in _KEPT:
                out.append(segment)
    except (IndexError, struct.error, ValueError):
        return None
    if header.orientation != 1:
        # After the JFIF header, which has to be the first segment.
        position = 2 if jfif and out[1][1] == _APP0 else 1
        out.insert(position, _segment(_APP1, b"Exif\0\0" + exif_block(header.orientation)))
    return b"".join((*out, b"\xff\xd9"))


def stripped_png(data: bytes) -> bytes | None:
    """A PNG file with its picture and transparency only, and its orientation when that is not 1.

    None where the file is no plain PNG. Source: PNG 3rd edition, section 5 (chunks), eXIf in 11.3.4.7.
    """
    out: list[bytes] = []
    orientation = 1
    try:
        for kind, content in _chunks(data):
            if kind == b"eXIf":
                orientation = exif_orientation(content)
            elif kind in _PNG_KEPT:
                out.append(_chunk(kind, content))
    except (struct.error, ValueError):
        return None
    if orientation != 1:
        out.insert(1, _chunk(b"eXIf", exif_block(orientation)))
    return _PNG_START + b"".join(out)


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG file that begins with a JFIF segment, with an orientation put in after it."""
    if orientation == 1:
        return jpeg
    (length,) = struct.unpack_from(">H", jpeg, 4)
    place = 4 + length
    return jpeg[:place] + _segment(_APP1, b"Exif\0\0" + exif_block(orientation)) + jpeg[place:]


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, whole segment) up to the end of the image; a scan's segment has its coded data with it."""
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ValueError("no marker where one must be")
        while data[position + 1] == 0xFF:
            position += 1
        marker = data[position + 1]
        if marker == _EOI:
            return
        if marker in _ALONE:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if length < 2 or end > len(data):
            raise ValueError("a segment reaches beyond the file")
        if marker == _SOS:
            end = _scan_end(data, end)
        yield marker, data[position:end]
        position = end


def _scan_end(data: bytes, position: int) -> int:
    """Where the coded data of a scan ends: at the first marker that is no restart and no stuffed byte."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            raise ValueError("a scan without an end")
        following = data[position + 1]
        if following == 0xFF:
            position += 1
        elif following == 0 or 0xD0 <= following <= 0xD7:
            position += 2
        else:
            return position


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of a PNG's chunks up to its end; a wrong checksum is an error."""
    if not data.startswith(_PNG_START):
        raise ValueError("not a PNG")
    position = len(_PNG_START)
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position)
        content = data[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        if checksum != zlib.crc32(kind + content):
            raise ValueError("a chunk with a wrong checksum")
        yield kind, content
        position += 12 + length


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
