"""The running average of the weights."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from signet.errors import BadRequest
from signet.progress import Progress
from signet.training import train
from signet.training.averaging import Average


class Stop(Exception):
    """What the tests interrupt with."""


def layer(value: float) -> nn.Linear:
    module = nn.Linear(1, 1)
    nn.init.constant_(module.weight, value)
    nn.init.constant_(module.bias, -value)
    return module


def _stopped_within(average: Average) -> None:
    with average.in_place():
        raise Stop


@settings(max_examples=25, deadline=None)
@given(decay=st.floats(0.1, 0.999), values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=30))
def test_it_is_the_sum_that_its_definition_says(decay: float, values: list[float]) -> None:
    module = layer(1.0)
    average, expected = Average(module, decay), 1.0
    for step, value in enumerate(values, 1):
        nn.init.constant_(module.weight, value)
        average.update(step)
        held = min(decay, (1 + step) / (10 + step))
        expected = held * expected + (1 - held) * value
    assert average.tensors["weight"].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    # What does not change keeps its value, but for the rounding of the sum.
    assert average.tensors["bias"].item() == pytest.approx(-1.0, rel=1e-5)


def test_it_is_lent_to_the_module_and_taken_back_to_the_bit() -> None:
    module = layer(0.1)
    average = Average(module, 0.9)
    nn.init.constant_(module.weight, 0.7)
    average.update(100)
    before = module.weight.detach().clone()
    with average.in_place():
        assert torch.equal(module.weight, average.tensors["weight"])
    assert torch.equal(module.weight, before)
    with pytest.raises(Stop):
        _stopped_within(average)
    assert torch.equal(module.weight, before)
    assert module.weight.requires_grad


def test_what_is_frozen_and_a_decay_of_zero_have_no_average() -> None:
    module = layer(1.0)
    assert Average(module, 0.0).tensors == {}
    module.bias.requires_grad_(False)
    assert list(Average(module, 0.9).tensors) == ["weight"]


def test_the_average_is_what_is_kept_and_a_resume_goes_on_with_it(
    tiny: ModuleType, images: Path, tmp_path: Path
) -> None:
    def run(place: str, *, resume: bool = False, **changes: Any) -> Any:
        how = tiny.settings(epochs=2, head_rate=3e-3, **changes)
        return train(tiny.network(), data, how, folder=tmp_path / place, resume=resume, on_progress=told)

    stop_at: list[int] = []

    def told(moment: Progress) -> None:
        if moment.done in stop_at:
            raise Stop

    data = tiny.data_in(images)
    raw, straight = run("raw"), run("straight", ema=0.99)
    # The same steps were made: the losses of training are equal, and what validation saw is not.
    for one, other in zip(raw.history[1:], straight.history[1:], strict=True):
        assert one["train_loss"] == other["train_loss"]
        assert one["validation_loss"] != other["validation_loss"]
    assert straight.best_epoch
    statistics = [name for name in straight.best if "num_batches" in name]
    assert all(int(straight.best[name]) == straight.best_epoch * 6 for name in statistics)
    stop_at.append(9)
    with pytest.raises(Stop):
        run("stopped", ema=0.99)
    stop_at.clear()
    assert tiny.same(straight, run("stopped", resume=True, ema=0.99))
    with pytest.raises(BadRequest, match="other settings"):
        run("stopped", resume=True)
