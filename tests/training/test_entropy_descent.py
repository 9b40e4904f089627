"""Answers get surer by the norms alone, and a descent that collapses is taken back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from signet.training.batch_statistics import re_estimate
from signet.training.entropy_descent import Descent, descend, norms_of
from signet.training.moments import state_of


def network(norm: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), norm, nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)).eval()


def clouds(count: int = 90) -> Tensor:
    """Three clouds of points, mixed."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(3, 6)) * 2
    return torch.from_numpy((centres[np.arange(count) % 3] + random.normal(size=(count, 6))).astype("f4"))


def batches(turn: int) -> Iterator[Tensor]:
    rows = clouds()
    order = torch.from_numpy(np.random.default_rng(turn).permutation(len(rows)))
    yield from rows[order].split(30)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(8), nn.LayerNorm(8), nn.GroupNorm(2, 8)])
def test_entropy_falls_and_only_the_norms_move(norm: nn.Module) -> None:
    module = network(norm)
    before = state_of(module)
    done = descend(module, batches, Descent(rate=1e-2))
    after = state_of(module)
    assert done.entropies[-1] < done.entropies[0]
    assert done.steps == 9
    assert not done.collapsed
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"1.weight", "1.bias"}
    assert not module.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())


def test_a_descent_that_answers_fewer_classes_is_taken_back() -> None:
    module = network(nn.BatchNorm1d(8))
    before = state_of(module)
    done = descend(module, batches, Descent(rate=3.0, passes=4))
    assert done.collapsed
    assert done.spreads[-1] < 0.97 * done.spreads[0]
    assert done.steps == 0
    after = state_of(module)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_is_not_surer_is_taken_back_and_is_no_collapse() -> None:
    module = network(nn.BatchNorm1d(8))
    before = state_of(module)
    done = descend(module, batches, Descent(rate=0.0))
    assert (done.steps, done.collapsed) == (0, False)
    assert len(done.entropies) == 2
    assert all(torch.equal(before[name], tensor) for name, tensor in state_of(module).items())


def test_layers_that_live_use_the_batch_and_get_the_statistics_that_go_with_what_was_learned() -> None:
    module = network(nn.BatchNorm1d(8))

    def settle() -> None:
        re_estimate(module, ("1",), lambda: [module(part) for part in batches(0)] and None)

    settle()
    before = module[1].running_mean.clone()
    done = descend(module, batches, Descent(rate=1e-2), live=("1",), settle=settle)
    assert done.steps > 0
    # The layer before it has not changed, so its own statistics are those of the images, to the last pass.
    torch.testing.assert_close(module[1].running_mean, before)


def test_the_norms_of_a_network_are_named() -> None:
    module = nn.Sequential(
        nn.BatchNorm1d(3, affine=False), nn.LayerNorm(3), nn.Linear(3, 3), nn.GroupNorm(1, 3)
    )
    assert norms_of(module) == ("1", "3")
