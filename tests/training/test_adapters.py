"""Low-rank adapters: where they are put, what moves, and that merging changes no answer."""

from __future__ import annotations

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
timm = pytest.importorskip("timm")

from torch import nn  # noqa: E402

from signet.errors import BadRequest, CheckFailed  # noqa: E402
from signet.training import AdapterSettings, adapter_tensors, merged, with_adapters  # noqa: E402
from signet.training.adapters import adaptable  # noqa: E402
from signet.training.stages import family_of_module, frozen_parameters  # noqa: E402


def transformer(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return timm.create_model("test_vit", pretrained=False, num_classes=3).eval()


def images(seed=0):
    return torch.randn(3, 3, 160, 160, generator=torch.Generator().manual_seed(seed))


def taught(adapted, steps=5):
    """The adapters and the head after a few steps of SGD on noise."""
    frozen = frozen_parameters(adapted.module, "head", adapted.frozen)
    learning = [one for name, one in adapted.module.named_parameters() if name not in frozen]
    optimizer = torch.optim.SGD(learning, lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(adapted.module(images()), torch.tensor([0, 1, 2])).backward()
        optimizer.step()
    return adapted


def test_they_begin_as_nothing_and_lie_beside_every_matrix_of_the_blocks():
    module = transformer()
    before = module(images())
    adapted = with_adapters(module, "head", AdapterSettings(rank=4))
    assert torch.equal(module(images()), before)
    assert len(adapted.layers) == 4 * len(module.blocks)
    assert {name.rpartition(".")[2] for name in adapted.layers} == {"qkv", "proj", "fc1", "fc2"}
    assert not any(name.startswith("head.") for name in adapted.frozen)
    assert {"cls_token", "pos_embed"} <= set(adapted.frozen)


def test_merged_it_answers_as_base_and_adapter_did_and_the_base_is_the_same_bits():
    module = transformer()
    base = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    adapted = taught(with_adapters(module, "head", AdapterSettings(rank=4, alpha=8)))
    before = adapted.module(images(1))
    for name, tensor in adapted.module.state_dict().items():
        plain = name.replace("base_layer.", "")
        if plain in base and not plain.startswith("head"):
            assert torch.equal(tensor, base[plain]), name
    tensors = adapter_tensors(adapted.module.state_dict())
    whole = merged(adapted, images(2))
    assert whole.state_dict().keys() == base.keys()
    torch.testing.assert_close(whole(images(1)), before, atol=1e-5, rtol=0)
    # By hand, from the file's tensors: W + alpha / rank * B A.
    name = adapted.layers[0]
    change = 8 / 4 * tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"]
    assert change.abs().max() > 1e-4
    torch.testing.assert_close(whole.state_dict()[f"{name}.weight"], base[f"{name}.weight"] + change)


def test_a_merge_that_changes_the_answers_is_refused():
    class Broken:
        def __init__(self, module):
            self.module = module

        def merge_and_unload(self):
            return transformer(seed=1)

    import dataclasses

    adapted = with_adapters(transformer(), "head", AdapterSettings())
    broken = dataclasses.replace(adapted, tuner=Broken(adapted.module))
    with pytest.raises(CheckFailed, match="merging the adapters"):
        merged(broken, images())


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


@pytest.mark.parametrize(
    ("name", "family"),
    [("test_vit", "transformer"), ("test_resnet", "batchnorm"), ("test_convnext", "other")],
)
def test_families_are_told_by_their_layers(name, family):
    assert family_of_module(timm.create_model(name, pretrained=False)) == family
