"""What labelled pixels cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from signet.training.losses import pixel_loss, soft_dice_loss


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 7, generator=generator)
    labels = torch.randint(0, 3, (2, 5, 7), generator=generator)
    labels[0, :2] = -1
    return logits, labels


def test_dice_is_that_of_plain_counting_where_the_shares_are_decisions() -> None:
    labels = torch.tensor([[[0, 0, 1, 1], [0, 1, 1, -1]]])
    answer = torch.tensor([[[0, 1, 1, 1], [0, 1, 0, 0]]])
    logits = 200.0 * functional.one_hot(answer, 3).movedim(3, 1)
    # Label 0: 2 of 3 true, 3 answered; label 1: 3 of 4 true, 4 answered; label 2 is nowhere.
    expected = 1 - (2 * 2 / (3 + 3) + 2 * 3 / (4 + 4)) / 2
    assert float(soft_dice_loss(logits, labels)) == pytest.approx(expected, abs=1e-6)


def test_the_loss_is_the_sum_of_both(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    entropy = functional.cross_entropy(logits, labels, ignore_index=-1)
    assert float(pixel_loss(logits, labels)) == pytest.approx(float(entropy + soft_dice_loss(logits, labels)))


def test_unlabelled_pixels_have_no_influence(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    other = logits.clone()
    other[0, :, :2] += torch.randn(3, 2, 7, generator=torch.Generator().manual_seed(1)) * 9
    logits.requires_grad_()
    loss = pixel_loss(logits, labels)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(pixel_loss(other, labels)))
    assert not logits.grad[0, :, :2].any()
    assert logits.grad[0, :, 2:].any()


def test_a_batch_without_a_label_costs_nothing_and_teaches_nothing() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = pixel_loss(logits, torch.full((1, 4, 4), -1))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_weights_say_whose_pixels_count(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    weights = torch.tensor([1.0, 0.0, 0.0])
    only = torch.where(labels == 0, labels, -1)
    found = pixel_loss(logits, labels, weights) - soft_dice_loss(logits, labels)
    expected = functional.cross_entropy(logits, only, ignore_index=-1)
    assert float(found) == pytest.approx(float(expected), abs=1e-6)


def test_the_right_answer_costs_almost_nothing(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    _, labels = case
    right = 50.0 * functional.one_hot(labels.clamp(min=0), 3).movedim(3, 1)
    assert float(pixel_loss(right, labels)) == pytest.approx(0, abs=1e-5)
    assert np.isfinite(float(pixel_loss(-right, labels)))
