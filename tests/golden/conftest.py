"""Pictures for the comparison of preprocessing: real ones, and synthetic ones of awkward sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signet.decoding import read
from signet.images import Image

AWKWARD = (
    (1, 57),
    (57, 1),
    (2, 2),
    (31, 200),
    (97, 64),
    (223, 225),
    (224, 224),
    (225, 223),
    (255, 257),
    (600, 401),
)
"""(height, width): one pixel wide, smaller than a crop, to be enlarged, off by one, exact, odd."""


@pytest.fixture(scope="session")
def real_images(shared: Path) -> list[Image]:
    """Twelve real images of different sizes and proportions, the most extreme ones first."""
    files = sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))
    images = [read(file) for file in files[::5]]
    images.sort(key=lambda image: image.width / image.height)
    return images[:3] + images[-3:] + images[3:-3:8][:6]


@pytest.fixture(scope="session")
def awkward_images() -> list[Image]:
    """Noise and edges at sizes where rounding shows."""
    random = np.random.default_rng(5)
    images = []
    for height, width in AWKWARD:
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        pixels[: height // 2] = np.linspace(0, 255, width, dtype=np.uint8)[None, :, None]
        images.append(Image(pixels, f"{height}x{width}"))
    return images


@pytest.fixture(scope="session")
def pictures(real_images: list[Image], awkward_images: list[Image]) -> list[Image]:
    """All of them."""
    return [*real_images, *awkward_images]


@pytest.fixture(scope="session")
def few(real_images: list[Image], awkward_images: list[Image]) -> list[Image]:
    """The narrowest and the widest real one, a small and an off-by-one synthetic one: for large networks."""
    return [real_images[0], real_images[5], awkward_images[3], awkward_images[5]]
