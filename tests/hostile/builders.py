"""Writers of single image files, without Signet: what `make.py` puts into the hostile folder."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

Colour = tuple[int, int, int]

HEIGHT, WIDTH = 32, 48
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
QUADRANTS = (RED, GREEN, BLUE, WHITE)
GREYS = (0, 85, 170, 255)
GREY_QUADRANTS = tuple((grey, grey, grey) for grey in GREYS)
ORIENTED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture is stored so that its EXIF orientation brings it back."""


def quadrants(colours: tuple = QUADRANTS, mode: str = "RGB") -> Image.Image:
    """The test picture in a mode, one colour a quadrant."""
    picture = Image.new(mode, (WIDTH, HEIGHT), colours[3])
    picture.paste(colours[0], (0, 0, WIDTH // 2, HEIGHT // 2))
    picture.paste(colours[1], (WIDTH // 2, 0, WIDTH, HEIGHT // 2))
    picture.paste(colours[2], (0, HEIGHT // 2, WIDTH // 2, HEIGHT))
    return picture


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """A picture's file; JPEG without chroma subsampling, so that corners keep their colours."""
    if kind == "JPEG":
        options = {"quality": 95, "subsampling": 0, **options}
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(bits: int, colour_type: int, rows: bytes, *, size: tuple[int, int], extra: bytes = b"") -> bytes:
    """A PNG written by hand: `rows` unfiltered samples, `extra` chunks before the pixels."""
    height, width = size
    stride = len(rows) // height
    lines = b"".join(b"\0" + rows[line * stride : (line + 1) * stride] for line in range(height))
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            extra,
            chunk(b"IDAT", zlib.compress(lines)),
            chunk(b"IEND", b""),
        )
    )


def chunk(name: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(samples: bytes, bits: int, *, photometric: int = 1, size: tuple[int, int], form: int = 1) -> bytes:
    """A one-channel little-endian TIFF without compression, written by hand."""
    height, width = size
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric),
        (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(samples)), (339, 3, form),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, 8 + len(samples)) + samples + directory


def deep(colours: tuple) -> np.ndarray:
    """uint16 (H, W, C) quadrants of 8-bit colours, stretched over 16 bits."""
    eight = np.array([np.atleast_1d(colour) for colour in colours], np.uint16)
    grid = np.repeat(np.repeat(eight.reshape(2, 2, -1), HEIGHT // 2, 0), WIDTH // 2, 1)
    return grid * 257


def exif(orientation: int, order: str = ">") -> bytes:
    """A smallest EXIF block with one tag."""
    magic = b"MM" if order == ">" else b"II"
    body = struct.pack(order + "2sHIHHHIHHI", magic, 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return b"Exif\0\0" + body


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    """A JPEG file with an APP1 segment put in front."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]
