"""The pace of a network, without touching it."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

from signet.errors import CheckFailed
from signet.training import images_per_second, pace, paces
from signet.training.moments import state_of


def test_a_pace_is_measured_on_a_copy(tiny: ModuleType) -> None:
    module = tiny.network()
    before, random = state_of(module), torch.get_rng_state()
    pace = images_per_second(module, tiny.settings(frozen=("stem",)), (16, 16))
    assert 1 < pace < 1e7
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert not any(part.training for part in module.modules())
    assert torch.equal(random, torch.get_rng_state())


def without_memory_for(module: nn.Module, most: int) -> nn.Module:
    def check(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > most:
            raise RuntimeError("can't allocate memory")

    module.register_forward_pre_hook(check)
    return module


def test_batches_are_tried_as_far_as_memory_and_time_go(
    tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny.settings()
    module = without_memory_for(tiny.network(), 16)
    assert list(paces(module, settings, (16, 16), [4, 16, 32, 64], seconds=60)) == [4, 16]
    with pytest.raises(CheckFailed, match="memory ran out with 32 images at once"):
        paces(module, settings, (16, 16), [32, 64], seconds=60)
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr(pace, "images_per_second", lambda *_: 1.0)
    monkeypatch.setattr(pace.time, "monotonic", lambda: float(next(clock)))
    assert list(paces(module, settings, (16, 16), [4, 8, 16, 32], seconds=25)) == [4, 8, 16]
