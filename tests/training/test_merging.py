"""Adapters merged: no answer changes, and what is the same bits is told from what is a sum."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
timm = pytest.importorskip("timm")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from signet.errors import CheckFailed  # noqa: E402
from signet.training import AdapterSettings, adapter_tensors, merged, with_adapters  # noqa: E402
from signet.training.holding import tensors_digest  # noqa: E402
from signet.training.merging import merging_error  # noqa: E402
from signet.training.stages import frozen_parameters  # noqa: E402


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
    whole = merged(adapted, images(2)).module
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

    adapted = with_adapters(transformer(), "head", AdapterSettings())
    broken = dataclasses.replace(adapted, tuner=Broken(adapted.module))
    with pytest.raises(CheckFailed, match="merging the adapters"):
        merged(broken, images())


def test_what_is_proved_can_be_computed_again_from_both_networks():
    module = transformer()
    base = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    whole = merged(taught(with_adapters(module, "head", AdapterSettings(rank=4, alpha=8))), images(2))
    state = whole.module.state_dict()
    assert {*whole.kept.names, *whole.matrices.names, "head.weight", "head.bias"} == set(base)
    for held in (whole.kept, whole.matrices):
        assert held.digest == tensors_digest({name: base[name] for name in held.names})
    assert whole.matrices.digest == whole.digest
    assert whole.kept.digest == tensors_digest({name: state[name] for name in whole.kept.names})
    moved = [name for name in whole.matrices.names if not torch.equal(state[name], base[name])]
    assert moved == list(whole.matrices.names)
    assert 0 < whole.error < 1e-6


@pytest.mark.parametrize("name", ["blocks.0.norm1.weight", "blocks.0.attn.qkv.weight"])
def test_a_base_that_moved_is_refused_by_name(name):
    adapted = taught(with_adapters(transformer(), "head", AdapterSettings(rank=4)))
    layer, _, own = name.rpartition(".")
    found = adapted.module.get_submodule(layer)
    with torch.no_grad():
        getattr(getattr(found, "base_layer", found), own).view(-1)[0] += 1e-3
    with pytest.raises(CheckFailed, match=name):
        merged(adapted, images())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), rank=st.integers(1, 64), scale=st.floats(0.01, 64))
def test_float_arithmetic_stays_within_rounding_and_half_an_adapter_does_not(seed, rank, scale):
    random = torch.Generator().manual_seed(seed)
    base, inner, outer = (
        torch.randn(shape, generator=random) for shape in ((24, 16), (rank, 16), (24, rank))
    )
    change = outer @ inner * scale
    assert merging_error("w", base + change, base, (inner, outer), scale) <= 1e-5 * (1 + rank) * (1 + scale)
    assert merging_error("w", base, base, (inner, torch.zeros_like(outer)), scale) == 0
    with pytest.raises(CheckFailed, match="expected w to be the matrix before and its adapter"):
        merging_error("w", base + change / 2, base, (inner, outer), scale)
