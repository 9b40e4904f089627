"""The decoded picture, the one form in which an image goes through Signet."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image as PillowImage

from signet.arrays import Bytes, frozen
from signet.errors import BadInput
from signet.geometry import Size


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded picture, upright and in RGB.

    Attributes:
        pixels: uint8 (height, width, 3), RGB, 0 to 255, EXIF orientation applied.
        source: where it came from (a path, an address), or "" for one made in memory.
        stored: (height, width) as stored in the file, before EXIF orientation.
    """

    pixels: Bytes
    source: str = ""
    stored: Size | None = None

    def __post_init__(self) -> None:
        pixels = frozen(self.pixels, "an image's pixels", "uint8", (None, None, 3))
        if not pixels.size:
            raise BadInput(f"{self.source or 'image'}: expected at least one pixel, got none.")
        object.__setattr__(self, "pixels", pixels)

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.height, self.width

    def to_pillow(self) -> PillowImage.Image:
        """A Pillow image of mode RGB with the same pixels."""
        return PillowImage.fromarray(self.pixels)

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        buffer = io.BytesIO()
        self.to_pillow().save(buffer, "PNG")
        return buffer.getvalue()
