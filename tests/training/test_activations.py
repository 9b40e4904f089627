"""Activations that are computed twice: the same gradients and statistics, and less that is kept."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from signet.training import Optimisation, train
from signet.training.activations import recomputed_activations


def gradients(module: nn.Module, images: torch.Tensor, *, twice: bool) -> dict[str, torch.Tensor]:
    """Of some loss in training mode, with dropout from one seed; buffers beside them."""
    module.train()
    module.zero_grad(set_to_none=True)
    torch.manual_seed(3)
    if twice:
        with recomputed_activations(module, "head", frozenset()):
            module(images).square().sum().backward()
    else:
        module(images).square().sum().backward()
    found = {name: parameter.grad.clone() for name, parameter in module.named_parameters()}
    return found | {name: buffer.clone() for name, buffer in module.named_buffers()}


def test_gradients_and_statistics_are_the_same_bits(tiny: ModuleType) -> None:
    images = torch.rand(6, 3, 16, 16)
    with torch.random.fork_rng():
        plain = gradients(tiny.network(), images, twice=False)
        twice = gradients(tiny.network(), images, twice=True)
    assert all(torch.equal(tensor, twice[name]) for name, tensor in plain.items())
    assert int(plain["stem.1.num_batches_tracked"]) == 1


@pytest.mark.parametrize(("name", "head"), [("resnet10t", "fc"), ("vit_tiny_patch16_224", "head")])
def test_those_of_real_architectures_too(name: str, head: str) -> None:
    timm = pytest.importorskip("timm")
    size = {"img_size": 32, "depth": 2} if "vit" in name else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(name, pretrained=False, num_classes=3, drop_rate=0.2, **size)
        images = torch.rand(4, 3, 32, 32)
        state = {key: tensor.clone() for key, tensor in module.state_dict().items()}
        plain = gradients(module, images, twice=False)
        module.load_state_dict(state)
        twice = gradients(module, images, twice=True)
    assert head in {key.split(".")[0] for key in plain}
    assert all(torch.equal(tensor, twice[key]) for key, tensor in plain.items())


def test_less_is_kept_for_the_gradient_and_nothing_stays_behind(tiny: ModuleType) -> None:
    def kept(*, twice: bool) -> int:
        saved: list[int] = []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            saved.append(tensor.nbytes)
            return tensor

        module = tiny.network().train()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            if twice:
                with recomputed_activations(module, "head", frozenset()):
                    module(torch.rand(6, 3, 16, 16))
            else:
                module(torch.rand(6, 3, 16, 16))
        assert not any("forward" in vars(part) for part in module.modules())
        return sum(saved)

    assert kept(twice=True) < 0.6 * kept(twice=False)


def test_a_run_comes_to_the_same_weights(tiny: ModuleType, images: Path, tmp_path: Path) -> None:
    results = [
        train(
            tiny.network(),
            tiny.data_in(images),
            tiny.settings(optimisation=Optimisation(checkpoint_activations=twice), frozen=("stem",)),
            folder=tmp_path / str(twice),
            resume=False,
        )
        for twice in (False, True)
    ]
    assert tiny.same(*results)
    assert results[0].best_epoch
