"""Two of fourteen operations, of one magnitude, by a given generator."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.training import randaugment
from signet.training.augmentation import generator_of
from signet.training.randaugment import randaugmented


@pytest.fixture
def pixels() -> np.ndarray:
    noise = np.random.default_rng(0).integers(20, 220, (24, 32, 3)).astype(np.uint8)
    noise[:, :8, 0] = 40
    return noise


@pytest.mark.parametrize("magnitude", [1, 7, 30])
def test_a_picture_is_a_function_of_its_generator(pixels: np.ndarray, magnitude: float) -> None:
    views = [randaugmented(pixels, magnitude, generator_of(0, place)) for place in range(40)]
    again = [randaugmented(pixels, magnitude, generator_of(0, place)) for place in range(40)]
    assert all(np.array_equal(*pair) for pair in zip(views, again, strict=True))
    assert all(view.shape == pixels.shape and view.dtype == np.uint8 for view in views)
    assert len({view.tobytes() for view in views}) > 10


def test_each_operation_at_no_magnitude_leaves_the_picture_or_equalises(pixels: np.ndarray) -> None:
    picture = PillowImage.fromarray(pixels)
    changed = [
        place
        for place, operation in enumerate(randaugment._OPERATIONS)
        if not np.array_equal(np.asarray(operation(picture, 0.0)), pixels)
    ]
    assert changed == [1, 2]  # autocontrast and equalise have no magnitude


def test_more_magnitude_changes_more(pixels: np.ndarray) -> None:
    def distance(magnitude: float) -> float:
        views = [randaugmented(pixels, magnitude, generator_of(1, place)) for place in range(60)]
        return float(np.mean([np.abs(view.astype(int) - pixels).mean() for view in views]))

    assert distance(2) < distance(10) < distance(30)


def test_all_operations_occur(monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray) -> None:
    called: list[int] = []

    def spied(place: int) -> randaugment._Operation:
        operation = original[place]
        return lambda picture, amount: (called.append(place), operation(picture, amount))[1]

    original = randaugment._OPERATIONS
    monkeypatch.setattr(randaugment, "_OPERATIONS", tuple(spied(place) for place in range(14)))
    for place in range(150):
        randaugmented(pixels, 10, generator_of(2, place))
    counts = np.bincount(called, minlength=14)
    assert len(counts) == 14
    assert counts.sum() == 300
    assert counts.min() >= 8  # 21 are expected of each
