"""Rates over the steps, and who has which."""

from __future__ import annotations

from types import ModuleType

import pytest

from signet.training import Optimisation
from signet.training.schedule import optimizer_of, rate_factor, set_rates


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine() -> None:
    factors = [rate_factor(step, 100, 0.1) for step in range(100)]
    assert factors[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert factors[9] == factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert 0 < factors[99] < 0.001
    assert rate_factor(0, 1, 0.0) == 1.0


def test_norms_and_biases_have_no_decay_and_the_head_its_own_rate(tiny: ModuleType) -> None:
    module = tiny.network()
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    optimizer = optimizer_of(module, tiny.settings(optimisation=Optimisation(weight_decay=0.3)))
    set_rates(optimizer, 0.5)
    seen = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert seen["stem.0.weight"] == (0.005, 0.3)
    assert seen["stem.1.weight"] == seen["stem.1.bias"] == (0.005, 0.0)
    assert seen["head.weight"] == (0.015, 0.3)
    assert seen["head.bias"] == (0.015, 0.0)
    assert len(seen) == len(names)


def test_what_a_network_excepts_from_decay_has_none() -> None:
    timm = pytest.importorskip("timm")
    module = timm.create_model("vit_tiny_patch16_224", pretrained=False, depth=1, num_classes=3)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    from signet.training import TrainSettings

    optimizer = optimizer_of(module, TrainSettings(classifier="head"))
    decay = {
        names[id(parameter)]: group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert decay["pos_embed"] == decay["cls_token"] == 0
    assert decay["blocks.0.attn.qkv.weight"] > 0
