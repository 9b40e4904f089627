"""A label for each pixel of the original: as transformers finds it, in blocks, with nothing made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from signet.answers import answer
from signet.answers import segments as module
from signet.batches import Batch, Outputs
from signet.cards import Card, OutputContract
from signet.errors import BadInput
from signet.geometry import Geometry
from signet.programs import Program
from signet.segments import SegmentMap
from signet.steps import Read

LABELS = ("ground", "ant", "bee")


def card(head: str, labels: tuple[str, ...] | None = LABELS, **fields: Any) -> Card:
    return Card(
        "tests/segments", "segment", Program((Read(),)), OutputContract(head, **fields), labels=labels
    )


def answered(array: np.ndarray, geometry: Geometry, wanted: Card) -> SegmentMap:
    (found,) = answer(Outputs({"map": array[None]}), wanted, Batch(np.zeros((1, 1)), (geometry,), ("a.png",)))
    assert isinstance(found, SegmentMap)
    return found


@pytest.mark.parametrize("size", [(37, 53), (11, 90), (16, 16), (4, 5)])
@pytest.mark.parametrize("channels", ["first", "last"])
def test_logits_are_interpolated_first_as_transformers_does(
    size: tuple[int, int], channels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    monkeypatch.setattr(module, "BLOCK_VALUES", 1000)
    logits = np.random.default_rng(1).normal(0, 2, (3, 16, 16)).astype("f4")
    geometry = Geometry.of(size).resized((64, 64))
    given = logits if channels == "first" else np.moveaxis(logits, 0, 2)
    found = answered(given, geometry, card("pixel_logits", extra={"channels": channels}, background_index=0))
    answers = type("Outputs", (), {})()
    answers.logits = torch.from_numpy(logits[None])
    (wanted,) = transformers.SegformerImageProcessor().post_process_semantic_segmentation(answers, [size])
    maps = torch.nn.functional.interpolate(answers.logits, size, mode="bilinear", align_corners=False)[0]
    two = maps.topk(2, dim=0).values.numpy()
    sure = two[0] - two[1] > 1e-5
    assert np.array_equal(found.indices[sure], wanted.numpy()[sure])
    assert sure.mean() > 0.999
    np.testing.assert_allclose(found.scores, maps.softmax(0).max(0).values.numpy(), atol=1e-5)
    assert (found.labels, found.background, found.source) == (LABELS, 0, "a.png")


def test_padding_is_not_seen_at_the_edge() -> None:
    """A letterbox of 4 rows above and below: its logits would win, were they let in."""
    geometry = Geometry.of((8, 16)).cropped(-4, 0, (16, 16))
    logits = np.zeros((3, 16, 16), "f4")
    logits[2] = 1000
    logits[:, 4:12] = np.array([0, 1, 0])[:, None, None]
    assert answered(logits, geometry, card("pixel_logits")).indices.tolist() == [[1] * 16] * 8


def test_a_crop_leaves_pixels_without_a_label() -> None:
    geometry = Geometry.of((6, 10)).cropped(0, 2, (6, 6))
    for head, array in (
        ("class_map", np.ones((6, 6), "i8")),
        ("pixel_logits", np.array([0, 1, 0], "f4")[:, None, None] * np.ones((3, 3, 3), "f4")),
    ):
        found = answered(array, geometry, card(head))
        assert found.indices.tolist() == [[-1, -1, 1, 1, 1, 1, 1, 1, -1, -1]] * 6


def test_a_class_map_is_taken_to_the_nearest() -> None:
    cells = np.array([[0, 1], [2, 1]])
    found = answered(cells, Geometry.of((3, 5)).resized((4, 4)), card("class_map", background_index=0))
    assert found.indices.tolist() == [[0, 0, 1, 1, 1], [2, 2, 1, 1, 1], [2, 2, 1, 1, 1]]
    assert found.scores is None
    rows = found.to_dict()["segments"]
    assert [(row["label"], row["pixels"]) for row in rows] == [("ant", 9), ("bee", 4), ("ground", 2)]
    for other in (cells[None], cells[..., None], cells.astype("f4"), cells.astype("u1")):
        again = answered(other, Geometry.of((3, 5)).resized((4, 4)), card("class_map"))
        assert np.array_equal(again.indices, found.indices)


def test_a_map_of_one_row_is_a_map() -> None:
    found = answered(np.array([[[0, 1, 2]]]), Geometry.of((1, 3)), card("class_map"))
    assert found.indices.tolist() == [[0, 1, 2]]


def test_labels_are_named_or_numbered() -> None:
    found = answered(np.array([[0, 2]]), Geometry.of((1, 2)), card("class_map", None, classes=4))
    assert found.labels == ("class 0", "class 1", "class 2", "class 3")
    logits = np.zeros((2, 4, 4), "f4")
    assert answered(logits, Geometry.of((4, 4)), card("pixel_logits", None)).labels == ("class 0", "class 1")


@pytest.mark.parametrize(
    ("head", "array", "fields", "message"),
    [
        ("class_map", np.full((2, 2), 3), {}, "indices from 0 to 2, got 3 to 3"),
        ("class_map", np.full((2, 2), -1), {}, "got -1 to -1"),
        ("class_map", np.full((2, 2), 0.5), {}, "whole numbers"),
        ("class_map", np.full((2, 2), np.nan), {}, "whole numbers"),
        ("class_map", np.zeros((2, 2, 3)), {}, r"a map \(height, width\)"),
        ("pixel_logits", np.zeros((4, 2, 2)), {}, "expected 3 labels, got 4 channels"),
        (
            "pixel_logits",
            np.zeros((3, 2, 2)),
            {"classes": 3, "extra": {"channels": "last"}},
            "got 2 channels",
        ),
        ("pixel_logits", np.zeros((3, 2, 2), "i8"), {}, "got int64"),
        ("pixel_logits", np.full((3, 2, 2), np.nan), {}, "a NaN"),
    ],
)
def test_what_is_no_map_is_refused(head: str, array: np.ndarray, fields: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        answered(array, Geometry.of((2, 2)), card(head, **fields))
