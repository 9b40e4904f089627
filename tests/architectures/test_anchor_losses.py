"""What a detector with anchors pays for its answers, and that it learns by it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from signet.architectures.anchor_losses import anchor_losses  # noqa: E402
from signet.architectures.cost_assignment import assigned_by_cost  # noqa: E402
from signet.architectures.truths import joined  # noqa: E402
from signet.architectures.yolo_heads import AnchorHead  # noqa: E402
from signet.architectures.yolov7 import TINY_ANCHORS  # noqa: E402

WIDTH = 32


@pytest.fixture(scope="module")
def scenes(module_at: Any) -> Any:
    return module_at("architecture_scenes", Path(__file__).with_name("scenes.py"))


@pytest.fixture
def module(module_at: Any) -> Any:
    """The tiny network of the other losses with a head of anchors."""
    tiny = module_at("tiny_yolo", Path(__file__).with_name("tiny_yolo.py")).tiny()
    tiny.head = AnchorHead((WIDTH,) * 3, 3, TINY_ANCHORS)
    return tiny


def test_it_learns_two_pictures(module: Any, scenes: Any) -> None:
    sums = scenes.learned(module, 80, 4e-3)
    assert sums[-1] < sums[0] / 4
    assert scenes.precision(module, "yolov5")["boxes"] > 0.99


def test_pictures_without_objects_teach_the_objectness_only(module: Any) -> None:
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    losses = module.train().losses(torch.rand(2, 3, 64, 96), [empty, empty])
    assert {name for name, value in losses.items() if value.detach() > 0} == {"objectness"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in module.parameters())


def test_half_precision_and_degenerate_boxes_give_finite_gradients(module: Any) -> None:
    boxes = torch.tensor(
        [
            [3.0, 3, 3, 3],
            [10, 10, 10, 40],
            [0, 0, 96, 64],
            [0, 0, 96, 64],
            [95.5, 63.5, 96, 64],
            [0, 9, 96, 10],
        ]
    )
    target = {"boxes": boxes, "labels": torch.tensor([0, 1, 2, 2, 1, 0])}
    with torch.autocast("cpu", torch.bfloat16):
        losses = module.train().losses(torch.rand(1, 3, 64, 96), [target])
    assert all(value.dtype == torch.float32 and value.ndim == 0 for value in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in module.parameters())


def test_a_network_that_gives_no_numbers_has_a_loss_that_is_none(module: Any) -> None:
    """And no error of torch: who trains tells of it."""
    target = {"boxes": torch.tensor([[8.0, 8, 40, 30]]), "labels": torch.tensor([0])}
    losses = module.train().losses(torch.full((1, 3, 64, 64), torch.nan), [target])
    assert torch.stack(list(losses.values())).sum().isnan()


def logit(share: float) -> float:
    return math.log(share / (1 - share))


def test_perfect_answers_cost_next_to_nothing(module: Any) -> None:
    """Every anchor that can learn the object answers it, and those that do say so."""
    images = torch.zeros(1, 3, 64, 64)
    target = {"boxes": torch.tensor([[13.0, 11, 43, 72 - 11]]), "labels": torch.tensor([2])}
    truths = joined([target], 3, images)
    with torch.no_grad():
        anchors = module.head.anchors_of(module.head.raw(module.maps(images)))
    count = len(anchors.kinds)
    raw = torch.full((1, count, 8), -30.0)
    centre, sides = torch.tensor([28.0, 36.0]), torch.tensor([30.0, 50.0])
    for place in range(count):
        offset = ((centre - anchors.middles[place]) / anchors.strides[place] + 1) / 2
        factor = (sides / anchors.shapes[anchors.kinds[place]]).sqrt() / 2
        shares = torch.cat([offset, factor]).clamp(1e-6, 1 - 1e-6)
        raw[0, place, :4] = torch.tensor([logit(share) for share in shares.tolist()])
    raw[..., 7] = 30.0
    # All that can answer it do so as well: they cost alike, and the first ten learn it.
    pairs = assigned_by_cost(raw, anchors, truths)
    assert 1 <= len(pairs) <= 10
    raw[0, pairs.places, 4] = 30.0
    again = assigned_by_cost(raw, anchors, truths)
    assert sorted(again.places.tolist()) == sorted(pairs.places.tolist())
    losses = anchor_losses(raw, anchors, truths)
    assert all(float(value) < 1e-3 for value in losses.values())


def test_twice_the_same_pictures_cost_the_same(module: Any) -> None:
    module.eval()
    target = {"boxes": torch.tensor([[8.0, 8, 40, 30], [3, 30, 60, 60]]), "labels": torch.tensor([0, 2])}
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        once = module.losses(image, [target])
        twice = module.losses(image.repeat(2, 1, 1, 1), [target] * 2)
    for name, value in once.items():
        torch.testing.assert_close(value, twice[name])
