"""The way home: letterbox, stretch and short side, on odd sizes, to a hundredth of a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from signet.answers import answer
from signet.batches import Batch, Outputs
from signet.cards import Card, OutputContract
from signet.geometry import Geometry, Size
from signet.images import Image
from signet.preprocessing import prepare
from signet.programs import Program
from signet.steps import Pad, Read, Resize

PROGRAMS = {
    "letterbox in the middle": (Resize(size=(64, 96), fit="pad"), Pad(to=(64, 96), value=114)),
    "letterbox at the corner": (
        Resize(size=(96, 64), fit="pad", rounding="floor"),
        Pad(to=(96, 64), value=114, anchor="top-left"),
    ),
    "stretch": (Resize(size=(55, 77), fit="stretch"),),
    "short side": (Resize(short=48, longest=80, fit="short"),),
    "short side, padded": (Resize(short=48, longest=80, fit="short"), Pad(multiple=32, anchor="top-left")),
}
SIDES = some.integers(1, 150)


def geometry_of(name: str, size: Size) -> Geometry:
    image = Image(np.zeros((*size, 3), np.uint8), "made")
    return prepare([image], Program((Read(), *PROGRAMS[name]))).geometry[0]


def detector(*extra: object, **changes: object) -> Card:
    fields = {"head": "boxes", "tensor": "boxes", **changes}
    return Card("tests/boxes", "detect", Program((Read(),)), OutputContract(**fields))


def answered(prepared: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The corners of an answer whose boxes the network gave in the prepared image."""
    count = len(prepared)
    outputs = Outputs(
        {
            "boxes": prepared[None].astype("f4"),
            "scores": np.linspace(1, 0.5, count, dtype="f4")[None],
            "classes": np.zeros((1, count), "i8"),
        }
    )
    batch = Batch(np.zeros((1, 1)), (geometry,), ("made",))
    (found,) = answer(outputs, detector(), batch)
    return found.xyxy


@settings(max_examples=60)
@given(some.sampled_from(sorted(PROGRAMS)), SIDES, SIDES, some.data())
def test_a_box_comes_home_to_where_it_was(name: str, height: int, width: int, data: some.DataObject) -> None:
    geometry = geometry_of(name, (height, width))
    share = some.floats(0, 1, width=32)
    x = sorted((data.draw(share) * width, data.draw(share) * width))
    y = sorted((data.draw(share) * height, data.draw(share) * height))
    box = np.array([[x[0], y[0]], [x[1], y[1]]])
    found = answered(geometry.to_prepared(box).reshape(1, 4), geometry)
    if len(found):
        np.testing.assert_allclose(found[0], box.reshape(-1), atol=0.01)
    else:
        assert min(x[1] - x[0], y[1] - y[0]) <= 0.01, "only a box without area is left out"


@given(some.sampled_from(sorted(PROGRAMS)), SIDES, SIDES)
@settings(max_examples=60)
def test_the_whole_image_comes_home_whole(name: str, height: int, width: int) -> None:
    """The resized picture's corners are the original's: no half pixel is lost to rounding of the size."""
    size = (height, width)
    geometry = geometry_of(name, size)
    image = Image(np.full((*size, 3), 255, np.uint8), "made")
    steps = [
        step if not isinstance(step, Pad) else Pad(step.to, step.multiple, 0, step.anchor)
        for step in PROGRAMS[name]
    ]
    array = np.asarray(prepare([image], Program((Read(), *steps))).arrays[0])
    rows, columns = np.flatnonzero(array.any((1, 2))), np.flatnonzero(array.any((0, 2)))
    corners = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], "f8")
    np.testing.assert_allclose(answered(corners, geometry), [[0, 0, width, height]], atol=0.01)


def test_boxes_are_clipped_and_rounded_and_those_outside_are_left_out() -> None:
    geometry = Geometry.of((10, 20)).resized((20, 40)).cropped(-4, 0, (28, 40))
    boxes = np.array([[-9, -9, 10, 50], [1 / 3, 6, 30, 20], [0, 0, 40, 4], [41, 5, 50, 9]])
    found = answered(boxes, geometry)
    assert found.tolist() == [[0, 0, 5, 10], [0.167, 1, 15, 8]]


def test_scores_are_rounded_to_a_millionth_and_labels_follow_the_card() -> None:
    outputs = Outputs(
        {
            "boxes": np.array([[[0, 0, 5, 5], [0, 0, 5, 5], [0, 0, 5, 5]]], "f4"),
            "scores": np.array([[0.123456789, 0.9, 0.8]], "f4"),
            "classes": np.array([[2, 0, 1]]),
        }
    )
    batch = Batch(np.zeros((1, 1)), (Geometry.of((9, 9)),), ("a.jpg",))
    card = Card(
        "tests/boxes",
        "detect",
        Program((Read(),)),
        OutputContract("boxes", "boxes", classes=3, drop_first=True),
        labels=("ant", "bee"),
    )
    (found,) = answer(outputs, card, batch)
    assert found.labels == ("ant", "bee"), "class 0 is the background"
    assert found.indices.tolist() == [0, 1]
    assert found.scores.tolist() == [0.8, 0.123457]
    assert found.source == "a.jpg"
    assert found.to_dict()["boxes"][0] == {"xyxy": [0, 0, 5, 5], "score": 0.8, "index": 0, "label": "ant"}


@pytest.mark.parametrize("count", [0, 2])
def test_an_output_is_one_entry_for_each_image(count: int) -> None:
    from signet.errors import BadInput

    outputs = Outputs({key: np.zeros((count, 1, 4), "f4") for key in ("boxes", "scores", "classes")})
    with pytest.raises(BadInput, match="one entry for each of 1 images"):
        answer(outputs, detector(), Batch(np.zeros((1, 1)), (Geometry.of((9, 9)),), ("",)))
