"""The decoded picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.errors import BadInput
from signet.images import Image


def test_an_image_is_bytes_of_height_width_and_three() -> None:
    image = Image(np.zeros((4, 7, 3), np.uint8), "somewhere")
    assert (image.height, image.width, image.size) == (4, 7, (4, 7))
    assert image.to_pillow().size == (7, 4)
    assert PillowImage.open(io.BytesIO(image._repr_png_())).size == (7, 4)
    assert not image.pixels.flags.writeable


@pytest.mark.parametrize("shape", [(4, 7), (4, 7, 4), (3, 4, 7), (0, 7, 3), (4, 0, 3)])
def test_another_shape_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput):
        Image(np.zeros(shape, np.uint8))


def test_sixteen_bits_are_not_taken_for_eight() -> None:
    with pytest.raises(BadInput, match="uint8"):
        Image(np.full((2, 2, 3), 40_000, np.uint16))
    with pytest.raises(BadInput, match="uint8"):
        Image(np.full((2, 2, 3), 0.5))
