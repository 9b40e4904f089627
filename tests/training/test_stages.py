"""Any network in named stages, every parameter in exactly one."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from signet.architectures.starter import StarterNet
from signet.errors import BadRequest, UnknownName
from signet.training import all_but_last, stages_of, with_head
from signet.training.stages import frozen_parameters

TIMM = {
    "mobilenetv2_035": ("classifier", ["conv_stem", *(f"blocks.{i}" for i in range(7)), "conv_head"]),
    "resnet18": ("fc", ["conv1", "layer1", "layer2", "layer3", "layer4"]),
    "vit_tiny_patch16_224": ("head", ["patch_embed", *(f"blocks.{i}" for i in range(12))]),
    "convnext_atto": ("head.fc", ["stem", *(f"stages.{i}" for i in range(4))]),
    "resnetv2_50": ("head.fc", ["stem", *(f"stages.{i}" for i in range(4))]),
}
TORCHVISION = {
    "resnet18": ("fc", ["conv1", "layer1", "layer2", "layer3", "layer4"]),
    "shufflenet_v2_x0_5": ("fc", ["conv1", "stage2", "stage3", "stage4", "conv5"]),
    "swin_t": ("head", [f"features.{i}" for i in range(8)]),
}


def check(module: nn.Module, classifier: str, expected: list[str]) -> None:
    stages = stages_of(module, classifier)
    assert [stage.name for stage in stages] == [*expected, *([classifier] if classifier else [])]
    inside = [name for stage in stages for name in stage.parameters]
    assert sorted(inside) == sorted(name for name, _ in module.named_parameters())


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    timm = pytest.importorskip("timm")
    import torch

    with torch.device("meta"):
        module = timm.create_model(name, pretrained=False)
    check(module, *TIMM[name])


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name: str) -> None:
    import torch
    from torchvision import models

    with torch.device("meta"):
        module = models.get_model(name, weights=None)
    check(module, *TORCHVISION[name])


def test_our_own_and_one_in_a_wrapper() -> None:
    names = ["stem", "stage1", "stage2", "stage3", "stage4", "neck"]
    check(StarterNet(), "", names)
    import numpy as np

    module, head = with_head(StarterNet(), np.zeros((3, 512), np.float32), np.zeros(3, np.float32))
    check(module, head, [f"backbone.{name}" for name in names])


def test_a_single_layer_is_one_stage() -> None:
    check(nn.Linear(3, 2), "", ["weight"])


def test_all_but_the_last_stages() -> None:
    stages = stages_of(StarterNet())
    assert all_but_last(stages, 2) == ("stem", "stage1", "stage2", "stage3")
    assert all_but_last(stages, 6) == ()
    with pytest.raises(BadRequest, match="expected 1 to 6 that learn, got 7"):
        all_but_last(stages, 7)


def test_frozen_names_are_stages_prefixes_or_modules_within() -> None:
    def frozen(*names: str) -> Any:
        return frozen_parameters(module, "3", names)

    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)),
        nn.Conv2d(4, 4, 1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    assert frozen() == frozenset()
    assert frozen("1") == {"1.weight", "1.bias"}
    assert frozen("0") == {"0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias"}
    assert frozen("0.1") == {"0.1.weight", "0.1.bias"}
    with pytest.raises(UnknownName, match=r"No stage named '7'\. Its stages: 0.*, 3\."):
        frozen("0", "7")
