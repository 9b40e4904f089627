"""Overlaps and distances of boxes, against torchvision's and against plain counting."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torchvision import ops  # noqa: E402

from signet.architectures.box_losses import complete_overlap, distribution_loss, overlap  # noqa: E402

SEEDS = st.integers(0, 10**6)


def boxes(seed: int, count: int = 40) -> Any:
    """Corners, float64, with areas from a hundredth of a pixel to ten thousand."""
    generator = torch.Generator().manual_seed(seed)
    near = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 60
    sides = 10 ** (torch.rand(count, 2, generator=generator, dtype=torch.float64) * 3 - 1)
    return torch.cat([near, near + sides], dim=1)


@given(SEEDS, SEEDS)
def test_overlap_and_complete_overlap_are_torchvisions(first: int, second: int) -> None:
    one, other = boxes(first), boxes(second)
    torch.testing.assert_close(overlap(one, other), ops.box_iou(one, other).diagonal(), rtol=1e-6, atol=1e-5)
    expected = ops.complete_box_iou_loss(one, other)
    torch.testing.assert_close(1 - complete_overlap(one, other), expected, rtol=1e-9, atol=1e-9)


@given(SEEDS)
def test_so_is_its_gradient(seed: int) -> None:
    one, other = boxes(seed).requires_grad_(), boxes(seed + 1)
    (ours,) = torch.autograd.grad((1 - complete_overlap(one, other)).sum(), one)
    (theirs,) = torch.autograd.grad(ops.complete_box_iou_loss(one, other, reduction="sum"), one)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_equal_boxes_overlap_wholly_and_apart_ones_still_pull() -> None:
    box = torch.tensor([[2.0, 3, 12, 9]])
    assert float(complete_overlap(box, box)) == pytest.approx(1, abs=1e-6)
    far = torch.tensor([[40.0, 3, 50, 9]], requires_grad=True)
    complete_overlap(far, box).sum().backward()
    assert float(overlap(far.detach(), box)) == 0
    assert far.grad[0, 0] < 0  # The overlap grows as the left side goes to the left.


@pytest.mark.parametrize("wrong", [[5.0, 5, 5, 5], [5, 5, 5, 9], [5, 5, 9, 5], [9, 9, 5, 5]])
def test_boxes_without_area_give_numbers(wrong: list[float]) -> None:
    empty = torch.tensor([wrong], dtype=torch.float32, requires_grad=True)
    whole = torch.tensor([[0.0, 0, 8, 8]])
    for second in (whole, empty.detach()):
        assert float(overlap(empty.detach(), second)) == 0
        complete_overlap(empty, second).sum().backward()
        assert empty.grad.isfinite().all()


def test_a_distance_between_two_whole_ones_is_shared_by_both() -> None:
    shares = torch.tensor([[0.05, 0.2, 0.3, 0.4, 0.05]])
    expected = -(0.75 * shares[0, 2].log() + 0.25 * shares[0, 3].log())
    assert float(distribution_loss(shares.log(), torch.tensor([2.25]))) == pytest.approx(float(expected))


def test_distances_beyond_the_range_are_its_ends() -> None:
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    beyond = distribution_loss(logits, torch.tensor([-3.0, 4.0, 4.5, 1e9]))
    expected = -logits.log_softmax(1)[torch.arange(4), torch.tensor([0, 4, 4, 4])]
    torch.testing.assert_close(beyond, expected)


@given(st.floats(0, 14.999))
def test_the_best_distribution_has_the_true_mean(distance: float) -> None:
    """What costs least is a mean of the two neighbours that is the distance: it costs their entropy."""
    lower = int(distance)
    share = distance - lower
    logits = torch.full((1, 16), -40.0, dtype=torch.float64)
    weights = torch.tensor([1 - share, share], dtype=torch.float64)
    logits[0, lower : lower + 2] = weights.clamp(min=1e-15).log()
    loss = float(distribution_loss(logits, torch.tensor([distance], dtype=torch.float64)))
    entropy = -float((weights * weights.clamp(min=1e-15).log()).sum())
    assert loss == pytest.approx(entropy, abs=1e-6)
    mean = float((logits.softmax(1) * torch.arange(16)).sum())
    assert mean == pytest.approx(distance, abs=1e-6)
