"""Thumbnails that a page carries inside itself."""

from __future__ import annotations

import base64
import io

from PIL import Image as PillowImage

from signet.images import Image

LONGEST = 160
"""Pixels of a thumbnail's longer side; smaller pictures stay as they are."""


def thumbnail(image: Image, longest: int = LONGEST) -> str:
    """A picture as a `data:` address of a small JPEG, without any metadata.

    Args:
        image: any size.
        longest: pixels of the longer side at most.
    """
    scale = min(1.0, longest / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    picture = image.to_pillow()
    if scale < 1:
        picture = picture.resize(size, PillowImage.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    # Halving the colours' resolution shows in very small pictures, and there it costs nothing to keep it.
    subsampling = 0 if max(size) <= 64 else 2
    picture.save(buffer, "JPEG", quality=90 if subsampling == 0 else 80, subsampling=subsampling)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
