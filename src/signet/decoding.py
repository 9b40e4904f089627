"""Reading an image file into upright RGB pixels.

Two decoders, one result: simplejpeg (libjpeg-turbo) takes the plain JPEG files, where its pixels are
those of Pillow; Pillow takes all else. Both release the interpreter lock, so threads decode in parallel.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import simplejpeg
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL import Image as PillowImage

from signet.arrays import Array, Bytes
from signet.errors import BadInput, BadRequest, SignetError
from signet.geometry import Size
from signet.headers import (
    SNIFFED_BYTES,
    described,
    exif_orientation,
    jpeg_header,
    kind_of,
    xmp_orientation,
)
from signet.images import Image
from signet.naming import shown

MAX_PIXELS = 178_956_970
"""Pixels above which an image is refused before it is decoded: where Pillow, too, raises."""

FORMATS = "JPEG, PNG, WebP, BMP, TIFF or GIF"

# Pillow's classes themselves: only these six formats can ever be opened, and `Image.open`, which warns
# about large images through a global setting, is not needed.
PLUGINS: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}

# Formats that are read into memory whole, and how large an honest file of so many pixels can be.
_WHOLE = ("JPEG", "WebP")
_BYTES_PER_PIXEL = 8
_BYTES_BESIDE = 64 << 20
_SUSPICIOUS_ZEROS = 64

_BASELINE_TO_PROGRESSIVE = (0xC0, 0xC1, 0xC2)
_INVERSE = {6: 8, 8: 6}
_WHITE_IS_ZERO = 0
_PHOTOMETRIC, _BITS_PER_SAMPLE, _ORIENTATION = 262, 258, 274

Channels = Literal["RGB", "L"]


def read(
    source: str | Path | bytes | BinaryIO,
    *,
    orient: bool = True,
    channels: Channels = "RGB",
    max_pixels: int = MAX_PIXELS,
) -> Image:
    """Read one image: upright, RGB, 8 bits.

    JPEG (also CMYK, YCCK, progressive), PNG, WebP, BMP, TIFF and GIF, recognised by content and not by
    name; of animations and multi-page files the first picture. Transparency is composited on white. 16-bit
    samples keep their high byte (scaled, not clipped); 12-bit their highest 8 bits; floating-point samples
    must lie in 0 to 1 or in 0 to 255. CMYK is converted without a colour profile, and embedded profiles
    are ignored, as the training pipelines of published models do.

    Args:
        source: a path, the file's bytes, or an open binary stream.
        orient: turn the picture upright as its EXIF (or XMP) orientation says.
        channels: "RGB", or "L" for three equal channels with the luma of ITU-R 601.
        max_pixels: larger images are refused before anything is decoded.

    Returns:
        The image: uint8 (height, width, 3), RGB, 0 to 255.

    Raises:
        BadInput: there is no such file, it may not be read, it is no regular file, it is empty, of another
            kind, broken, or too large. The message names the file, what was expected and what came.
        BadRequest: an unknown `channels`, or a `max_pixels` below 1.

    Example:
        >>> import io; from PIL import Image as Pillow
        >>> buffer = io.BytesIO(); Pillow.new("1", (4, 2), 1).save(buffer, "PNG")
        >>> read(buffer.getvalue()).pixels.shape
        (2, 4, 3)
    """
    if channels not in ("RGB", "L"):
        raise BadRequest(f"channels: expected 'RGB' or 'L', got {channels!r}.")
    if max_pixels < 1:
        raise BadRequest(f"max_pixels: expected at least 1, got {max_pixels}.")
    name = _name_of(source)
    try:
        with _opened(source, name, max_pixels) as stream:
            pixels, stored = _decoded(stream, name, orient, max_pixels)
    except OSError as error:
        raise BadInput(f"{name}: {_unreadable(error)}") from error
    if channels == "L":
        pixels = np.repeat(np.asarray(PillowImage.fromarray(pixels).convert("L"))[..., None], 3, axis=2)
    return Image(pixels, _source_of(source), stored)


def upright(pixels: Array, orientation: int) -> Array:
    """Pixels (H, W, ...) as stored, turned as an EXIF orientation of 1 to 8 says; a view where it can be.

    Source: Exif 2.32, tag 0x0112 (which edges of the scene the first row and the first column are).
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _source_of(source: str | Path | bytes | BinaryIO) -> str:
    if isinstance(source, str | Path):
        return str(source)
    name = "" if isinstance(source, bytes | bytearray | memoryview) else getattr(source, "name", "")
    return name if isinstance(name, str) else ""


def _name_of(source: str | Path | bytes | BinaryIO) -> str:
    name = shown(_source_of(source))
    if name or isinstance(source, str | Path):
        return name or "''"
    if isinstance(source, bytes | bytearray | memoryview):
        return f"{len(source)} bytes in memory"
    return "an open stream"


@contextmanager
def _opened(source: str | Path | bytes | BinaryIO, name: str, max_pixels: int) -> Iterator[BinaryIO]:
    """The source as a stream that can be read and searched; opening never waits and never has effects."""
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source)
    elif isinstance(source, str | Path):
        try:
            mode = os.stat(source).st_mode  # noqa: PTH116 - takes a path of either type, and is hot
        except ValueError as error:
            raise BadInput(f"{name}: expected a path, got a name that no file can have ({error}).") from error
        if not stat.S_ISREG(mode):
            raise BadInput(_not_regular(source, name, mode))
        # The file may have been replaced since: a pipe that nobody writes to must not block.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(source, flags), "rb") as stream:  # noqa: PTH123 - a descriptor, not a path
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise BadInput(_not_regular(source, name, mode))
            yield stream
    elif hasattr(source, "read"):
        most = max_pixels * _BYTES_PER_PIXEL + _BYTES_BESIDE
        data = source.read(most + 1)
        if not isinstance(data, bytes):
            raise BadInput(
                f"{name}: expected a binary stream, got one of {type(data).__name__}; open it 'rb'."
            )
        if len(data) > most:
            raise BadInput(_too_long(name, f"more than {most:,}", max_pixels))
        yield io.BytesIO(data)
    else:
        raise BadRequest(
            f"read: expected a path, bytes or a binary stream, got {type(source).__name__}. "
            "An image that is decoded already is made with signet.images.Image(pixels)."
        )


def _decoded(stream: BinaryIO, name: str, orient: bool, max_pixels: int) -> tuple[Bytes, Size]:
    """uint8 (H, W, 3) pixels and the (height, width) as stored."""
    start = stream.read(SNIFFED_BYTES)
    kind = kind_of(start)
    if kind is None:
        came = described(start) if start else "an empty file (0 bytes)"
        raise BadInput(f"{name}: expected an image ({FORMATS}), got {came}. {_advice(came)}")
    if kind in _WHOLE:
        length = stream.seek(0, os.SEEK_END)
        if length > max_pixels * _BYTES_PER_PIXEL + _BYTES_BESIDE:
            raise BadInput(_too_long(name, f"{length:,}", max_pixels))
        stream.seek(0)
        data = stream.read()
        if kind == "JPEG":
            fast = _fast_jpeg(data, name, orient, max_pixels)
            if fast is not None:
                return fast
            _check_not_padded(data, name)
        stream = io.BytesIO(data)
    stream.seek(0)
    try:
        return _with_pillow(stream, name, kind, orient, max_pixels)
    except SignetError:
        raise
    except PillowImage.DecompressionBombError as error:
        raise BadInput(f"{name}: expected an image of at most {max_pixels:,} pixels, got: {error}") from error
    except Exception as error:  # Pillow raises nearly every kind of exception for a broken file.
        reason = " ".join(shown(error).split()) or type(error).__name__
        raise BadInput(
            f"{name}: expected a whole {kind} image, got a file that is cut off or damaged ({reason}). "
            "Copy or download it again, or leave it out."
        ) from error


def _fast_jpeg(data: bytes, name: str, orient: bool, max_pixels: int) -> tuple[Bytes, Size] | None:
    """A plain JPEG by simplejpeg, or None where its pixels might differ from Pillow's."""
    header = jpeg_header(data)
    if header is None or not header.height or not header.width:
        return None
    _check_pixels((header.height, header.width), name, max_pixels)
    plain = header.frame in _BASELINE_TO_PROGRESSIVE and header.precision == 8 and header.components in (1, 3)
    if not plain:
        return None
    try:
        # strict: what libjpeg would mend with a guess (a cut file, bad codes) is left to Pillow to judge.
        pixels = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError:
        return None
    stored = (header.height, header.width)
    if orient and header.orientation > 1:
        pixels = np.ascontiguousarray(upright(pixels, header.orientation))
    return pixels, stored


def _with_pillow(stream: BinaryIO, name: str, kind: str, orient: bool, max_pixels: int) -> tuple[Bytes, Size]:
    picture = PLUGINS[kind](stream)
    width, height = picture.size
    _check_pixels((height, width), name, max_pixels)
    orientation = 1
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        orientation = picture.tag_v2.get(_ORIENTATION, 1)
        # Pillow's own room for the pixels is made after a warning about its size; ours is checked already.
        picture.im = PillowImage.new(picture.mode, (picture.tag_v2[256], picture.tag_v2[257])).im
    picture.load()
    pixels = _to_rgb(picture, name)
    if kind == "TIFF":
        # Pillow turns a TIFF while it loads it; the size as stored is found by turning it back.
        stored_pixels = upright(pixels, _INVERSE.get(orientation, orientation))
        pixels = pixels if orient else np.ascontiguousarray(stored_pixels)
        return pixels, (stored_pixels.shape[0], stored_pixels.shape[1])
    if orient:
        pixels = np.ascontiguousarray(upright(pixels, stated_orientation(picture)))
    return pixels, (height, width)


def stated_orientation(picture: PillowImage.Image) -> int:
    """The EXIF orientation that a loaded picture states, else that of its XMP, else 1."""
    exif = picture.info.get("exif", b"")
    raw = picture.info.get("Raw profile type exif")
    if not exif and isinstance(raw, str):
        try:
            exif = bytes.fromhex("".join(raw.split("\n")[3:]))
        except ValueError:
            exif = b""
    orientation = exif_orientation(exif) if isinstance(exif, bytes) else 1
    if orientation > 1:
        return orientation
    xmp = picture.info.get("XML:com.adobe.xmp") or picture.info.get("xmp") or b""
    return xmp_orientation(xmp.encode() if isinstance(xmp, str) else xmp)


def _to_rgb(picture: PillowImage.Image, name: str) -> Bytes:
    """uint8 (H, W, 3) of a loaded picture of any mode, transparency over white."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        grey = _deep_grey(picture, name)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = _with_deep_transparency(picture).convert("RGBA")
        ground = PillowImage.new("RGB", picture.size, (255, 255, 255))
        ground.paste(picture, mask=picture.getchannel("A"))
        picture = ground
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _with_deep_transparency(picture: PillowImage.Image) -> PillowImage.Image:
    """A 16-bit PNG names its transparent colour in 16 bits, but Pillow gives its pixels in 8."""
    colour = picture.info.get("transparency")
    if picture.mode == "RGB" and isinstance(colour, tuple) and max(colour) > 255:
        picture.info["transparency"] = tuple(value >> 8 for value in colour)
    return picture


def _deep_grey(picture: PillowImage.Image, name: str) -> Bytes:
    """uint8 (H, W) of grey samples deeper than 8 bits, transparency over white."""
    values = np.asarray(picture)
    tags = picture.tag_v2 if isinstance(picture, TiffImagePlugin.TiffImageFile) else {}
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if picture.mode == "F":
        if not (low >= 0 and high <= 255):  # also where a value is not a number
            raise BadInput(
                f"{name}: expected floating-point samples in 0 to 1 or in 0 to 255, got {low:g} to {high:g}. "
                "Scale the picture to 8 or 16 bits first."
            )
        grey = np.rint(values * (255.0 if high <= 1 else 1.0)).astype(np.uint8)
    elif picture.mode == "I" and not 0 <= low <= high <= 65535:
        raise BadInput(
            f"{name}: expected whole-number samples in 0 to 65535, got {low:g} to {high:g}. "
            "Scale the picture to 8 or 16 bits first."
        )
    else:
        bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
        grey = (values.astype(np.uint32) >> (4 if bits == 12 else 8)).astype(np.uint8)
        transparent = picture.info.get("transparency")
        if isinstance(transparent, int):
            grey[values == transparent] = 255
    # Pillow inverts pictures whose white is zero only where they have 8 bits or fewer.
    return 255 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey


def _check_pixels(size: Size, name: str, max_pixels: int) -> None:
    height, width = size
    if height * width > max_pixels:
        raise BadInput(
            f"{name}: expected an image of at most {max_pixels:,} pixels, got {width} x {height} = "
            f"{width * height:,}. Make it smaller, or raise max_pixels if you trust where it came from."
        )


def _check_not_padded(data: bytes, name: str) -> None:
    """Refuse the trace of a broken download that libjpeg takes for a whole file: an end of zero bytes."""
    written = data.rstrip(b"\0")
    if len(data) - len(written) >= _SUSPICIOUS_ZEROS and not written.endswith(b"\xff\xd9"):
        raise BadInput(
            f"{name}: expected a whole JPEG image, got one whose last {len(data) - len(written):,} of "
            f"{len(data):,} bytes are zero: a copy that broke off. Copy or download it again."
        )


def _too_long(name: str, length: str, max_pixels: int) -> str:
    return (
        f"{name}: expected the file of an image of at most {max_pixels:,} pixels, got {length} bytes. "
        "Raise max_pixels if you trust where it came from."
    )


def _not_regular(source: str | Path, name: str, mode: int) -> str:
    if stat.S_ISDIR(mode):
        listed = os.access(source, os.R_OK | os.X_OK)
        came = "a folder" if listed else "a folder that may not be listed (permission denied)"
    else:
        came = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}.get(stat.S_IFMT(mode), "a device")
    return f"{name}: expected an image file ({FORMATS}), got {came}."


def _unreadable(error: OSError) -> str:
    came = {
        errno.ENOENT: "nothing: there is no such file (or its link leads nowhere). Check the path.",
        errno.ENOTDIR: "nothing: a part of the path is not a folder. Check the path.",
        errno.EACCES: "a file that may not be read (permission denied). Check its permissions.",
        errno.EPERM: "a file that may not be read (permission denied). Check its permissions.",
        errno.ELOOP: "a symbolic link that leads back to itself. Remove or mend the link.",
        errno.ENAMETOOLONG: "a name that is too long for a file.",
    }.get(error.errno or 0, f"an error: {error.strerror or error}.")
    return f"expected an image file ({FORMATS}), got {came}"


def _advice(came: str) -> str:
    if "image" in came and "page" not in came:
        return "Convert it to one of these first."
    return "Download or export it again, or leave it out."
