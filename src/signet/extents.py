"""How large an image file is and how it is turned, from its header alone; and a label image's own values."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from signet.arrays import Array
from signet.decoding import MAX_PIXELS, PLUGINS, stated_orientation
from signet.errors import BadInput
from signet.geometry import Size
from signet.headers import described, jpeg_header, kind_of
from signet.naming import shown

# A JPEG's EXIF segment has at most 64 KiB and stands before its frame; large colour profiles stand between.
_HEADER_BYTES = 1 << 17
_MOST_HEADER_BYTES = 1 << 20
_LOSSLESS = ("PNG", "TIFF", "BMP", "GIF")
_STORED_WIDTH, _STORED_HEIGHT, _ORIENTATION = 256, 257, 274


@dataclass(frozen=True, slots=True)
class Extent:
    """The size of an image as its file stores it, and the turn that makes it upright.

    Attributes:
        stored: (height, width) in the file.
        orientation: as EXIF has it, 1 to 8; 1 is upright.
    """

    stored: Size
    orientation: int = 1

    @property
    def upright(self) -> Size:
        """(height, width) of the upright image: those of `decoding.read`."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored


def extent_of(path: str | Path) -> Extent:
    """The extent of an image file; only its header is read.

    Raises:
        BadInput: there is no such file, it is no image that Signet reads, or its header is broken.
    """
    file = Path(path)
    try:
        with _regular(file).open("rb") as stream:
            start = stream.read(_HEADER_BYTES)
            source: BinaryIO = stream
            if kind_of(start) == "JPEG":
                header = jpeg_header(start)
                if header is not None and header.height and header.width:
                    return Extent((header.height, header.width), header.orientation)
                # Pillow looks for markers byte by byte: it must not do so through gigabytes.
                source = io.BytesIO(start + stream.read(_MOST_HEADER_BYTES - len(start)))
            source.seek(0)
            picture = _opened(file, start, source)
            if not isinstance(picture, TiffImageFile):
                return Extent((picture.height, picture.width), stated_orientation(picture))
            tags = picture.tag_v2
            orientation = int(tags.get(_ORIENTATION, 1))
            stored = (int(tags[_STORED_HEIGHT]), int(tags[_STORED_WIDTH]))
            return Extent(stored, orientation if 1 <= orientation <= 8 else 1)
    except (OSError, ValueError) as error:
        raise BadInput(f"{shown(file)}: the image file cannot be read: {shown(error)}.") from error


def read_values(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Array:
    """The values of a label image as they are stored, without turning colours into grey or back.

    Returns:
        int32 (H, W): the grey level, or the position in the palette; of a colour image its red * 65,536 +
        green * 256 + blue, shape (H, W, 1), so that the two kinds cannot be mistaken for each other.

    Raises:
        BadInput: no such file, no image, of a format that loses values (JPEG, WebP), or of another kind.
    """
    file = Path(path)
    try:
        with _regular(file).open("rb") as stream:
            start = stream.read(_HEADER_BYTES)
            _refuse_lossy(file, start)
            stream.seek(0)
            picture = _opened(file, start, stream)
            _check_pixels(file, picture, max_pixels)
            picture.load()
            return _values(picture, file)
    except BadInput:
        raise
    except Exception as error:  # Pillow raises nearly every kind of exception for a broken file.
        raise BadInput(f"{shown(file)}: the label image is cut off or damaged ({shown(error)}).") from error


def _regular(file: Path) -> Path:
    if not file.is_file():
        raise BadInput(f"{shown(file)}: expected an image file, got none.")
    return file


def _refuse_lossy(file: Path, start: bytes) -> None:
    kind = kind_of(start)
    if kind in PLUGINS and kind not in _LOSSLESS:
        raise BadInput(
            f"{shown(file)}: expected a label image in a format that keeps each value (PNG), got {kind}, "
            "which blurs labels into others. Save the labels as PNG again."
        )


def _check_pixels(file: Path, picture: PillowImage.Image, max_pixels: int) -> None:
    if picture.width * picture.height > max_pixels:
        raise BadInput(
            f"{shown(file)}: expected a label image of at most {max_pixels:,} pixels, got "
            f"{picture.width} x {picture.height}."
        )


def _opened(file: Path, start: bytes, stream: BinaryIO) -> ImageFile.ImageFile:
    kind = kind_of(start)
    if kind is None:
        came = described(start) if start else "an empty file"
        raise BadInput(f"{shown(file)}: expected an image, got {came}.")
    try:
        return PLUGINS[kind](stream)
    except Exception as error:  # Pillow raises nearly every kind of exception for a broken file.
        raise BadInput(f"{shown(file)}: the image's header is damaged ({shown(error)}).") from error


def _values(picture: PillowImage.Image, file: Path) -> Array:
    if picture.mode in ("L", "P", "I", "1") or picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.int32)
    if picture.mode in ("RGB", "RGBA"):
        parts = np.asarray(picture)[..., :3].astype(np.int32)
        return np.asarray(parts[..., :1] << 16 | parts[..., 1:2] << 8 | parts[..., 2:])
    if picture.mode in ("LA", "PA"):
        return np.asarray(picture.getchannel(0)).astype(np.int32)
    raise BadInput(
        f"{shown(file)}: expected a label image of grey levels, a palette or colours, got mode "
        f"{picture.mode}."
    )
