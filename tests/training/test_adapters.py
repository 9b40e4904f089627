"""Low-rank adapters: where they are put, and what stays."""

from __future__ import annotations

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
timm = pytest.importorskip("timm")

from torch import nn  # noqa: E402

from signet.errors import BadRequest  # noqa: E402
from signet.training import AdapterSettings, with_adapters  # noqa: E402
from signet.training.adapters import adaptable  # noqa: E402


def transformer(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return timm.create_model("test_vit", pretrained=False, num_classes=3).eval()


def images(seed=0):
    return torch.randn(3, 3, 160, 160, generator=torch.Generator().manual_seed(seed))


def test_they_begin_as_nothing_and_lie_beside_every_matrix_of_the_blocks():
    module = transformer()
    before = module(images())
    adapted = with_adapters(module, "head", AdapterSettings(rank=4))
    assert torch.equal(module(images()), before)
    assert len(adapted.layers) == 4 * len(module.blocks)
    assert {name.rpartition(".")[2] for name in adapted.layers} == {"qkv", "proj", "fc1", "fc2"}
    assert not any(name.startswith("head.") for name in adapted.frozen)
    assert {"cls_token", "pos_embed"} <= set(adapted.frozen)


def test_a_convolutional_network_takes_none():
    layers = OrderedDict(stem=nn.Conv2d(3, 4, 3), flat=nn.Flatten(), head=nn.Linear(4, 2))
    with pytest.raises(BadRequest, match="--strategy partial"):
        with_adapters(nn.Sequential(layers), "head", AdapterSettings())


def test_a_rank_above_the_smallest_side_is_refused():
    with pytest.raises(BadRequest, match="lora_rank 4096: expected at most 64"):
        with_adapters(transformer(), "head", AdapterSettings(rank=4096))


def test_layers_inside_torchs_own_attention_are_left_alone():
    block = nn.TransformerEncoderLayer(8, 2, 16)
    assert adaptable(nn.Sequential(OrderedDict(block=block, head=nn.Linear(8, 2))), "head") == (
        "block.linear1",
        "block.linear2",
    )
