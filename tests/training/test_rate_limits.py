"""Rates that are known to destroy a network are refused with the reason; others, and small parts, are not."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from torch import nn

from signet.errors import BadRequest
from signet.training import Optimisation, TrainSettings
from signet.training.rate_limits import LIMITS, family_of, refuse_rates


def vit() -> nn.Module:
    timm = pytest.importorskip("timm")
    return timm.create_model("vit_tiny_patch16_224", pretrained=False, depth=2, num_classes=3)


def asked(rate: float, optimizer: Any = "adamw", **fields: Any) -> TrainSettings:
    fields = {"classifier": "head", "head_rate": 0.1, **fields}
    return TrainSettings(backbone_rate=rate, optimisation=Optimisation(optimizer=optimizer), **fields)


def learning(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_parameters() if not name.startswith("head")}


def test_families_are_told_by_what_decides(tiny: ModuleType) -> None:
    module = tiny.network()
    assert family_of(module, asked(1e-4), learning(module)) == "frozen BatchNorm"
    assert family_of(module, asked(1e-4, batchnorm="batch"), learning(module)) == "learning BatchNorm"
    assert family_of(vit(), asked(1e-4), learning(vit())) == "transformer"
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    assert family_of(plain, asked(1e-4), {"0.weight", "0.bias"}) == "other"


@pytest.mark.parametrize("limit", LIMITS)
def test_a_rate_at_the_limit_is_taken_and_one_above_is_refused(limit: Any, tiny: ModuleType) -> None:
    module = vit() if limit.family == "transformer" else tiny.network()
    policy = {"batchnorm": "batch" if limit.family == "learning BatchNorm" else "frozen"}
    for optimizer in limit.optimizers:
        refuse_rates(module, asked(limit.greatest, optimizer, **policy))
        with pytest.raises(BadRequest, match=r"expected at most .*insist with --allow-rate") as caught:
            refuse_rates(module, asked(limit.greatest * 1.01, optimizer, **policy))
        assert limit.why in str(caught.value)


def test_what_the_limits_are_not_of_is_taken(tiny: ModuleType) -> None:
    module = tiny.network()
    refuse_rates(module, asked(0.1, "rmsprop"))
    refuse_rates(module, asked(0.1, frozen=("stem", "body")))
    refuse_rates(module, asked(0.0))
    # A head may learn as fast as it likes; a stage with a rate of its own may not.
    refuse_rates(module, asked(1e-4))
    how = Optimisation(stage_rates=(("body", 0.05),))
    with pytest.raises(BadRequest, match=r"backbone_rate 0\.05"):
        refuse_rates(module, TrainSettings(classifier="head", optimisation=how))


def test_half_of_the_backbone_counts_as_all_of_it(tiny: ModuleType) -> None:
    module = tiny.network()
    refuse_rates(module, asked(0.1, frozen=("body",)))  # the stem is the smaller part
    with pytest.raises(BadRequest, match="expected at most"):
        refuse_rates(module, asked(0.1, frozen=("stem",)))
