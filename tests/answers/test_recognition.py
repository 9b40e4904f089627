"""Layouts are recognised from shapes and values alone, and what two of them share is told apart or said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from signet.answers.recognition import Port, cells, recognised
from signet.graphs.inspection import described

SIZE = (320, 416)


def port(name: str, array: np.ndarray) -> Port:
    """What the inspection says of an output."""
    row = described(name, array)
    profile = {int(axis): tuple(rows) for axis, rows in row["profile"].items()}
    return Port(name, tuple(row["shape"]), row["low"], row["high"], row["whole"], profile)


def random(*shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, shape).astype("f4")


def boxes(count: int, scale: float = 1.0) -> np.ndarray:
    """Centres over the whole image, and sides."""
    return random(1, count, 4) * np.array([416, 320, 200, 200], "f4") * scale


def joined(*arrays: np.ndarray) -> np.ndarray:
    return np.concatenate(arrays, axis=2)


N3, N4 = cells(SIZE, (8, 16, 32)), cells(SIZE, (8, 16, 32, 64))
CASES: dict[str, tuple[list[np.ndarray], str, dict[str, Any]]] = {
    "yolox": (
        [joined(random(1, N3, 4, low=-3, high=3), random(1, N3, 81))],
        "nearly sure",
        {"head": "yolox", "strides": [8, 16, 32], "classes": 80},
    ),
    "yolox, decoded": (
        [joined(boxes(N3), random(1, N3, 81))],
        "nearly sure",
        {"head": "yolov5", "classes": 80},
    ),
    "yolov5": (
        [joined(boxes(3 * N3), random(1, 3 * N3, 8))],
        "nearly sure",
        {"head": "yolov5", "classes": 7},
    ),
    "yolov5 in fractions": (
        [joined(random(1, 3 * N4, 4), random(1, 3 * N4, 8))],
        "nearly sure",
        {"head": "yolov5", "classes": 7, "units": "fraction"},
    ),
    "yolov8": (
        [np.moveaxis(joined(boxes(N3), random(1, N3, 80)), 1, 2)],
        "nearly sure",
        {"head": "yolov8", "classes": 80},
    ),
    "yolov8, logits": (
        [np.moveaxis(joined(boxes(N3), random(1, N3, 80, low=-9)), 1, 2)],
        "likely",
        {"head": "yolov8", "classes": 80, "activation": "sigmoid"},
    ),
    "yolov8 with masks": (
        [
            np.moveaxis(joined(boxes(N3), random(1, N3, 5), random(1, N3, 32, low=-2)), 1, 2),
            random(1, 32, 80, 104),
        ],
        "nearly sure",
        {"head": "yolov8", "classes": 5, "outputs": {"prototypes": "output1"}},
    ),
    "yolov10": ([joined(boxes(300), random(1, 300, 1), np.ones((1, 300, 1)))], "likely", {"head": "yolov10"}),
    "nanodet": (
        [joined(random(1, N4, 80), random(1, N4, 32, low=-4, high=4))],
        "nearly sure",
        {"head": "nanodet", "classes": 80, "strides": [8, 16, 32, 64], "bins": 8},
    ),
    "ssd": (
        [random(1, 10, 4), np.arange(10.0)[None], random(1, 10), np.array([10.0])],
        "nearly sure",
        {"head": "ssd", "outputs": {"boxes": 0, "classes": 1, "scores": 2, "count": 3}},
    ),
    "ssd in another order": (
        [random(1, 10), random(1, 10, 4), np.array([10.0]), np.arange(10.0)[None]],
        "nearly sure",
        {"head": "ssd", "outputs": {"boxes": 1, "classes": 3, "scores": 0, "count": 2}},
    ),
    "detr": (
        [joined(random(1, 100, 91, low=-9), random(1, 100, 1, low=5, high=9)), random(1, 100, 4)],
        "likely",
        {"head": "detr", "classes": 91, "outputs": {"logits": "output0", "boxes": "output1"}},
    ),
    "rtdetr": (
        [random(1, 300, 80, low=-9, high=-2), random(1, 300, 4)],
        "likely",
        {"head": "rtdetr", "classes": 80, "outputs": {"logits": "output0", "boxes": "output1"}},
    ),
    "a list": (
        [boxes(100), np.arange(100.0)[None], random(1, 100)],
        "likely",
        {"head": "boxes", "outputs": {"boxes": "output0", "scores": "output2", "classes": "output1"}},
    ),
    "class map": ([np.random.default_rng(0).integers(0, 21, (1, *SIZE))], "likely", {"head": "class_map"}),
    "pixel logits": ([random(1, 19, 80, 104, low=-5)], "likely", {"head": "pixel_logits", "classes": 19}),
    "pixel logits, channels last": (
        [random(1, 320, 416, 5, low=-5)],
        "likely",
        {"head": "pixel_logits", "classes": 5, "channels": "last"},
    ),
    "softmax": (
        [np.full((1, 10), 0.1, "f4")],
        "nearly sure",
        {"head": "softmax", "classes": 10, "already_activated": True},
    ),
    "quantized softmax": (
        [np.full((1, 16), 16, "u1")],
        "nearly sure",
        {"head": "softmax", "classes": 16, "already_activated": True},
    ),
    "logits or features": ([random(1, 9, low=-5)], "possible", {"head": "softmax", "classes": 9}),
}


@pytest.mark.parametrize("case", CASES)
def test_each_layout_is_recognised(case: str) -> None:
    arrays, sure, output = CASES[case]
    found = recognised(SIZE, [port(f"output{place}", array) for place, array in enumerate(arrays)])
    assert found, case
    assert found[0].sure == sure
    assert {key: value for key, value in found[0].output.items() if key != "nms"} == output
    assert found[0].why


def test_what_looks_like_nothing_is_nothing() -> None:
    assert recognised(SIZE, [port("x", random(1, 7, 11, 13, 2))]) == []
    assert recognised(SIZE, [port("x", random(1, 777, 9))]) == []
    assert recognised(SIZE, []) == []


def test_what_might_be_two_is_proposed_as_two() -> None:
    heads = [found.output["head"] for found in recognised(SIZE, [port("x", random(1, 9, low=-5))])]
    assert heads == ["softmax", "embedding"]
