"""What a network is made of, told from its layers."""

from __future__ import annotations

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from torch import nn  # noqa: E402

from signet.training.families import Makeup, family_of_module, makeup_of  # noqa: E402


def both() -> nn.Module:
    """Convolutions with BatchNorm below, attention above, a head."""
    return nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)),
            block=nn.TransformerEncoderLayer(8, 2, 16),
            head=nn.Linear(8, 2),
        )
    )


@pytest.mark.parametrize(
    ("name", "family"),
    [("test_vit", "transformer"), ("test_resnet", "batchnorm"), ("test_convnext", "other")],
)
def test_families_are_told_by_their_layers(name: str, family: str) -> None:
    assert family_of_module(timm.create_model(name, pretrained=False)) == family


def test_one_with_both_is_a_transformer_and_each_part_is_what_it_is() -> None:
    module = both()
    assert family_of_module(module) == "transformer"
    assert makeup_of(module) == Makeup(attention=True, batchnorm=True)
    assert makeup_of(module, {"stem.0.weight", "stem.1.weight"}) == Makeup(attention=False, batchnorm=True)
    assert makeup_of(module, {"block.self_attn.in_proj_weight"}) == Makeup(attention=True, batchnorm=False)
    assert makeup_of(module, {"head.weight"}) == Makeup(attention=False, batchnorm=False)
    assert makeup_of(module, set()) == Makeup(attention=False, batchnorm=False)
