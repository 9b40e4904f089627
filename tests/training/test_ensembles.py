"""Several networks as one: the mean of their logits."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from signet.errors import BadRequest
from signet.training import Ensemble


def test_its_answer_is_the_mean_of_the_members_logits(tiny: ModuleType) -> None:
    members = [tiny.network(seed) for seed in range(3)]
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ensemble = Ensemble(members).eval()
    with torch.no_grad():
        expected = sum(member(images) for member in members) / 3
        assert torch.allclose(ensemble(images), expected, atol=1e-6)
    assert "members.2.head.weight" in ensemble.state_dict()
    # The geometric mean of scores, scaled to 1, is the softmax of the mean of logits.
    with torch.no_grad():
        logs = torch.stack([member(images).log_softmax(1) for member in members]).mean(0)
        assert torch.allclose(ensemble(images).softmax(1), logs.exp() / logs.exp().sum(1, True), atol=1e-6)


def test_one_member_is_itself_and_none_is_refused(tiny: ModuleType) -> None:
    images = torch.zeros(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(Ensemble([tiny.network()]).eval()(images), tiny.network()(images))
    with pytest.raises(BadRequest, match="expected at least one network"):
        Ensemble([])
