"""The pace of a network, without touching it."""

from __future__ import annotations

from types import ModuleType

import torch

from signet.training import images_per_second
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
