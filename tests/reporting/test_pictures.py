import base64
import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.images import Image
from signet.reporting.pictures import thumbnail


def opened(address):
    kind, data = address.split(",", 1)
    assert kind == "data:image/jpeg;base64"
    return PillowImage.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((400, 800), (160, 80)),
        ((32, 32), (32, 32)),
        ((1, 1), (1, 1)),
        ((1, 5000), (160, 1)),
        ((3000, 2), (1, 160)),
    ],
)
def test_thumbnails_are_small_and_whole(size, expected):
    assert opened(thumbnail(Image(np.zeros((*size, 3), np.uint8)))).size == expected


def test_a_thumbnail_looks_like_its_picture_and_carries_no_metadata():
    pixels = np.zeros((200, 200, 3), np.uint8)
    pixels[:, 100:] = (250, 30, 20)
    small = opened(thumbnail(Image(pixels, source="secret/path.jpg")))
    assert np.abs(np.asarray(small)[80, 150].astype(int) - (250, 30, 20)).max() < 12
    assert not small.getexif()
    assert "comment" not in small.info
