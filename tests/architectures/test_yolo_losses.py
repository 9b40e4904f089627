"""What detectors without anchors pay for their answers, and that they learn by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from signet.architectures.task_alignment import Assignment  # noqa: E402
from signet.architectures.truths import joined  # noqa: E402
from signet.architectures.yolo_blocks import MOMENTUM  # noqa: E402
from signet.architectures.yolo_losses import (  # noqa: E402
    CELLS,
    MASKS,
    RawAnswers,
    detection_losses,
    mask_loss,
    shrunk_masks,
)
from signet.errors import BadInput  # noqa: E402


@pytest.fixture(scope="module")
def scenes(module_at: Any) -> Any:
    return module_at("architecture_scenes", Path(__file__).with_name("scenes.py"))


@pytest.fixture(scope="module")
def tiny(module_at: Any) -> Any:
    """`tiny(masks=, momentum=)`: a network that two pictures can be learned with in seconds."""
    return module_at("tiny_yolo", Path(__file__).with_name("tiny_yolo.py")).tiny


@pytest.mark.parametrize("masks", [False, True])
def test_it_learns_two_pictures(masks: bool, scenes: Any, tiny: Any) -> None:
    module = tiny(masks=masks)
    sums = scenes.learned(module, 80)
    assert sums[-1] < sums[0] / 4
    figures = scenes.precision(module, "yolov8")
    assert set(figures) == ({"boxes", "masks"} if masks else {"boxes"})
    assert min(figures.values()) > 0.99


@pytest.mark.large
def test_statistics_of_slow_momentum_lag_behind_what_was_learned(scenes: Any, tiny: Any) -> None:
    """Why `zoos.one_stage` has another momentum than the networks of long trainings."""
    slow = tiny(momentum=MOMENTUM)
    scenes.learned(slow, 80)
    assert scenes.precision(slow, "yolov8")["boxes"] < 0.5


@pytest.mark.parametrize("masks", [False, True])
def test_pictures_without_objects_teach_the_classes_only(masks: bool, tiny: Any) -> None:
    module = tiny(masks=masks).train()
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    target = {**empty, "masks": torch.zeros(0, 64, 96, dtype=torch.uint8)} if masks else empty
    losses = module.losses(torch.rand(2, 3, 64, 96), [target, target])
    assert {name for name, value in losses.items() if value.detach() > 0} == {"classes"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in module.parameters())


def test_half_precision_and_degenerate_boxes_give_finite_gradients(tiny: Any) -> None:
    module = tiny(masks=True).train()
    boxes = torch.tensor(
        [[3.0, 3, 3, 3], [10, 10, 10, 40], [0, 0, 96, 64], [0, 0, 96, 64], [95.5, 63.5, 96, 64]]
    )
    labels = torch.tensor([0, 1, 2, 2, 1])
    target = {"boxes": boxes, "labels": labels, "masks": torch.ones(5, 64, 96, dtype=torch.uint8)}
    with torch.autocast("cpu", torch.bfloat16):
        losses = module.losses(torch.rand(1, 3, 64, 96), [target])
    assert all(value.dtype == torch.float32 and value.ndim == 0 for value in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in module.parameters())


def test_a_network_that_gives_no_numbers_has_a_loss_that_is_none(tiny: Any) -> None:
    target = {
        "boxes": torch.tensor([[8.0, 8, 40, 30]]),
        "labels": torch.tensor([0]),
        "masks": torch.ones(1, 64, 64, dtype=torch.uint8),
    }
    losses = tiny(masks=True).train().losses(torch.full((1, 3, 64, 64), torch.nan), [target])
    assert torch.stack(list(losses.values())).sum().isnan()


def test_sides_that_no_map_fits_and_missing_masks_are_refused(tiny: Any) -> None:
    target = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    with pytest.raises(BadInput, match=r"multiples of 32, got 64 x 90"):
        tiny().losses(torch.rand(1, 3, 64, 90), [target])
    with pytest.raises(BadInput, match=r"target 0: expected masks of shape \(0, 64, 64\).*got none"):
        tiny(masks=True).losses(torch.rand(1, 3, 64, 64), [target])


def answers(side: int) -> tuple[Any, Any]:
    """Middles of the places in cells, and the pixels of a cell."""
    points, strides = [], []
    for stride in (8, 16, 32):
        line = torch.arange(side // stride) + 0.5
        rows, columns = torch.meshgrid(line, line, indexing="ij")
        points.append(torch.stack([columns.flatten(), rows.flatten()]))
        strides.append(torch.full((len(line) ** 2,), float(stride)))
    return torch.cat(points, dim=1), torch.cat(strides)


def test_perfect_answers_cost_next_to_nothing() -> None:
    """All places of one map give the box in whole cells; those that learn it say so, and no others do."""
    points, strides = answers(96)
    target = {"boxes": torch.tensor([[20.0, 20, 76, 60]]), "labels": torch.tensor([1])}
    truths = joined([target], 3, torch.zeros(1, 3, 96, 96))
    box = truths.boxes[0]
    cells = torch.cat([points - box[:2, None] / strides, box[2:, None] / strides - points]).round()
    sides = torch.nn.functional.one_hot(cells.clamp(0, 15).long(), 16).permute(0, 2, 1).float()[None] * 60
    logits = torch.full((1, 3, len(strides)), -30.0)
    first = strides == 8
    logits[0, 1, first] = 0.0
    raw = RawAnswers(sides, logits, points, strides)
    _, pairs = detection_losses(raw, truths)
    assert set(strides[pairs.places].tolist()) == {8.0}
    assert torch.allclose(pairs.targets, torch.ones(10))
    logits[:] = -30.0
    logits[0, 1, pairs.places] = 30.0
    losses, again = detection_losses(raw, truths)
    assert sorted(again.places.tolist()) == sorted(pairs.places.tolist())
    assert all(float(value) < 1e-4 for value in losses.values())


def test_twice_the_same_pictures_cost_the_same() -> None:
    """Parts are means over what is there: a batch has no size in them."""
    torch.manual_seed(1)
    points, strides = answers(64)
    sides, logits = torch.randn(2, 4, 16, len(strides)), torch.randn(2, 3, len(strides))
    target = {"boxes": torch.tensor([[8.0, 8, 40, 30], [3, 30, 60, 60]]), "labels": torch.tensor([0, 2])}
    once = detection_losses(
        RawAnswers(sides, logits, points, strides), joined([target] * 2, 3, torch.zeros(2, 3, 64, 64))
    )[0]
    twice = detection_losses(
        RawAnswers(sides.repeat(2, 1, 1, 1), logits.repeat(2, 1, 1), points, strides),
        joined([target] * 4, 3, torch.zeros(4, 3, 64, 64)),
    )[0]
    for name, value in once.items():
        # Where the targets' sum is below 1 it is divided by 1, and twice as much is twice as much.
        assert float(value) <= float(twice[name]) * (1 + 1e-5)
        assert float(twice[name]) <= 2 * float(value) * (1 + 1e-5)


def masks_case() -> tuple[Any, ...]:
    torch.manual_seed(2)
    boxes = torch.tensor([[8.0, 8, 40, 30], [3, 30, 60, 60], [20, 20, 21, 21]])
    masks = (torch.rand(3, 64, 64) > 0.5).to(torch.uint8)
    target = {"boxes": boxes, "labels": torch.tensor([0, 2, 1]), "masks": masks}
    truths = joined([target], 3, torch.zeros(1, 3, 64, 64))
    pairs = Assignment(
        torch.zeros(4, dtype=torch.int64),
        torch.tensor([5, 9, 2, 7]),
        torch.tensor([0, 1, 1, 2]),
        torch.tensor([1.0, 0.5, 0.25, 1.0]),
    )
    return target, truths, pairs, torch.randn(1, 32, 84), torch.randn(1, 32, 16, 16)


def test_masks_cost_what_is_counted_cell_by_cell() -> None:
    target, truths, pairs, coefficients, prototypes = masks_case()
    shrunk = shrunk_masks([target], torch.zeros(1, 3, 64, 64), (16, 16))
    assert float(shrunk[1, 3, 5]) == float(target["masks"][1, 12:16, 20:24].float().mean())
    expected = 0.0
    for place, truth, weight in zip(
        pairs.places.tolist(), pairs.truths.tolist(), pairs.targets.tolist(), strict=True
    ):
        left, top, right, bottom = (truths.boxes[truth] / 4).tolist()
        cells = [
            (row, column)
            for row in range(16)
            for column in range(16)
            if int(left) <= column < -(-right // 1) and int(top) <= row < -(-bottom // 1)
        ]
        logits = torch.einsum("k,khw->hw", coefficients[0, :, place], prototypes[0])
        cost = [
            torch.nn.functional.binary_cross_entropy_with_logits(logits[cell], shrunk[truth][cell])
            for cell in cells
        ]
        expected += weight * float(torch.stack(cost).mean())
    loss = mask_loss(coefficients, prototypes, truths, shrunk, pairs, 4.0)
    assert float(loss) == pytest.approx(MASKS * expected / 2.75, rel=1e-5)


def test_masks_in_parts_cost_and_teach_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    target, truths, pairs, coefficients, prototypes = masks_case()
    shrunk = shrunk_masks([target], torch.zeros(1, 3, 64, 64), (16, 16))
    found = []
    for cells in (CELLS, 50):
        monkeypatch.setattr("signet.architectures.yolo_losses.CELLS", cells)
        wanted = prototypes.clone().requires_grad_()
        loss = mask_loss(coefficients, wanted, truths, shrunk, pairs, 4.0)
        found.append((loss.detach(), *torch.autograd.grad(loss, wanted)))
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(whole, parts)
