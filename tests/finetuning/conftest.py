"""Small data sets of drawn shapes, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw

NAMES = ("disc", "square", "stripes")


def draw(name: str, seed: int) -> PillowImage.Image:
    """One noisy picture of a shape, 40 x 36 pixels."""
    random = np.random.default_rng([seed, NAMES.index(name)])
    noise = random.integers(0, 90, (36, 40, 3), np.uint8)
    picture = PillowImage.fromarray(noise)
    pen = ImageDraw.Draw(picture)
    left, top = (int(place) for place in random.integers(2, 12, 2))
    colour = tuple(int(value) for value in random.integers(120, 255, 3))
    match name:
        case "disc":
            pen.ellipse((left, top, left + 22, top + 20), fill=colour)
        case "square":
            pen.rectangle((left, top, left + 20, top + 20), fill=colour)
        case _:
            for row in range(top, 34, 6):
                pen.line((0, row, 40, row), fill=colour, width=3)
    return picture


@pytest.fixture(scope="session")
def make_shapes() -> Callable[..., Path]:
    """`make_shapes(folder, {"train": 8, "test": 4}, start=0)`: pictures of each class; "" is no split."""

    def make(folder: Path, counts: dict[str, int], start: int = 0) -> Path:
        seed = start
        for split, count in counts.items():
            for name in NAMES:
                place = folder / split / name
                place.mkdir(parents=True, exist_ok=True)
                for number in range(count):
                    draw(name, seed + number).save(place / f"{number:03}.png")
            seed += count
        return folder

    return make


@pytest.fixture(scope="session")
def shapes(make_shapes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures to learn from, 30 to test. Not to be changed."""
    return make_shapes(tmp_path_factory.mktemp("shapes"), {"train": 20, "test": 10})


@pytest.fixture(scope="session")
def unsplit(make_shapes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures without splits. Not to be changed."""
    return make_shapes(tmp_path_factory.mktemp("unsplit"), {"": 20})
