"""What pictures hold, as the losses take it."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from signet.architectures.truths import joined  # noqa: E402
from signet.errors import BadInput  # noqa: E402

IMAGES = torch.zeros(3, 3, 32, 32)


def target(boxes: list[list[float]], labels: list[int]) -> dict[str, Any]:
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.tensor(labels, dtype=torch.int64)}


def test_boxes_know_their_picture_and_one_without_any_is_counted() -> None:
    two = target([[0.0, 0, 4, 4], [1, 1, 9, 5]], [1, 0])
    truths = joined([two, target([], []), target([[2.0, 2, 3, 3]], [2])], 3, IMAGES)
    assert truths.images.tolist() == [0, 0, 2]
    assert truths.labels.tolist() == [1, 0, 2]
    assert truths.boxes[2].tolist() == [2, 2, 3, 3]
    assert (len(truths), truths.count) == (3, 3)


def test_a_batch_without_any_box_is_fine() -> None:
    truths = joined([target([], [])] * 3, 1, IMAGES)
    assert (len(truths), truths.count, truths.boxes.shape) == (0, 3, (0, 4))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (target([[0.0, 0, 4, 4]], [3]), r"target 0: expected labels from 0 to 2, got 3 to 3"),
        (target([[0.0, 0, 4, 4]], [-1]), r"expected labels from 0 to 2, got -1 to -1"),
        (target([[4.0, 0, 2, 4]], [0]), r"not before left and top"),
        (target([[0.0, 0, float("nan"), 4]], [0]), r"not before left and top"),
        (target([[0.0, 0, float("inf"), 4]], [0]), r"not before left and top"),
        (
            target([[0.0, 0, 4, 4]], [0, 1]),
            r"expected boxes of shape \(2, 4\), one for each label, got \(1, 4\)",
        ),
    ],
)
def test_what_is_no_truth_is_refused(wrong: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        joined([wrong, target([], []), target([], [])], 3, IMAGES)


def test_a_target_for_each_picture() -> None:
    with pytest.raises(BadInput, match=r"expected one for each of 3 pictures, got 1"):
        joined([target([], [])], 3, IMAGES)
