"""How the rate, and with "one-cycle" the momentum, go over the steps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from signet.training import Optimisation
from signet.training.schedule import FAST, FIRST, SLOW, rate_factor, set_rates


def factors(steps: int = 100, **how: object) -> list[float]:
    return [rate_factor(step, steps, Optimisation(**how)) for step in range(steps)]  # type: ignore[arg-type]


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine() -> None:
    found = factors()
    assert found[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert found[9] == found[10] == 1.0
    assert found[55] == pytest.approx(0.5)
    assert found[10:] == sorted(found[10:], reverse=True)
    assert 0 < found[99] < 0.001
    assert factors(1, warmup=0.0) == [1.0]


def test_each_schedule_goes_as_it_is_named() -> None:
    assert factors(schedule="constant", warmup=0.0) == [1.0] * 100
    assert factors(schedule="constant")[:2] == pytest.approx([0.1, 0.2])
    linear = factors(schedule="linear", warmup=0.0)
    assert linear == pytest.approx([1 - step / 100 for step in range(100)])
    stepped = factors(schedule="step", warmup=0.0, step_at=(0.3, 0.6), step_factor=0.5)
    assert stepped == [1.0] * 30 + [0.5] * 30 + [0.25] * 40


def test_one_cycle_is_torchs_own() -> None:
    layer = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=101)
    ours = torch.optim.SGD([{"params": list(layer.parameters()), "greatest": 1.0}], lr=0.1, momentum=0.9)
    for step in range(101):
        set_rates(ours, step, 101, Optimisation(schedule="one-cycle"))
        # The top lies at a step of ours, between two of theirs.
        assert ours.param_groups[0]["lr"] == pytest.approx(optimizer.param_groups[0]["lr"], abs=0.05)
        assert ours.param_groups[0]["momentum"] == pytest.approx(
            optimizer.param_groups[0]["momentum"], abs=0.005
        )
        optimizer.step()
        theirs.step() if step < 100 else None
    adam = torch.optim.AdamW([{"params": list(layer.parameters()), "greatest": 1.0}])
    set_rates(adam, 0, 100, Optimisation(schedule="one-cycle"))
    assert adam.param_groups[0]["betas"] == (SLOW, 0.999)
    assert adam.param_groups[0]["lr"] == pytest.approx(FIRST)
    set_rates(adam, 30, 100, Optimisation(schedule="one-cycle"))
    assert adam.param_groups[0]["betas"] == (FAST, 0.999)
    assert adam.param_groups[0]["lr"] == 1.0


@given(
    steps=st.integers(1, 300),
    schedule=st.sampled_from(["cosine", "linear", "constant", "one-cycle", "step"]),
    warmup=st.floats(0, 0.9),
)
def test_no_factor_leaves_0_to_1_and_some_step_has_nearly_the_greatest(
    steps: int, schedule: str, warmup: float
) -> None:
    found = factors(steps, schedule=schedule, warmup=warmup)
    assert all(0 <= factor <= 1 for factor in found)
    assert steps < 10 or max(found) > 0.9
