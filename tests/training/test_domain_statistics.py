"""BatchNorm of another domain: the same function first, then outputs with the moments of the source's."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from signet.training.domain_statistics import adapt_statistics, adaptable, recentre


def network(seed: int = 0) -> nn.Sequential:
    """BatchNorm whose statistics are those of no images at hand."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3),
            nn.BatchNorm2d(5),
            nn.BatchNorm2d(5, affine=False),
        )
        for layer in module:
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.2, 3.0)
                if layer.affine:
                    nn.init.uniform_(layer.weight, -2, 2)
                    nn.init.normal_(layer.bias)
    return module.eval()


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 9, 9, generator=torch.Generator().manual_seed(seed))


def passing(module: nn.Module, images: Tensor) -> Callable[[], None]:
    def passes() -> None:
        for part in images.split(8):
            module(part)

    return passes


def outputs(module: nn.Module, name: str, images: Tensor) -> Tensor:
    """(C, values) that a layer gives."""
    found = []
    handle = module.get_submodule(name).register_forward_hook(lambda *args: found.append(args[2]))
    with torch.no_grad():
        module(images)
    handle.remove()
    return found[0].double().movedim(1, 0).flatten(1)


def test_layers_without_scale_are_left_alone() -> None:
    assert adaptable(network()) == ("1", "4")
    assert adaptable(nn.Sequential(nn.LayerNorm(3), nn.InstanceNorm2d(3, affine=True))) == ()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999))
def test_written_in_terms_of_other_images_a_network_is_the_same_function(seed: int) -> None:
    module, source = network(seed), pictures(16, seed)
    before = module(pictures(5, seed + 1)).detach()
    recentre(module, adaptable(module), passing(module, source))
    torch.testing.assert_close(module(pictures(5, seed + 1)).detach(), before, atol=1e-4, rtol=1e-4)
    values = module[0](source).detach().double().movedim(1, 0).flatten(1)
    torch.testing.assert_close(module[1].running_mean.double(), values.mean(1), atol=1e-4, rtol=1e-4)


def test_a_layer_answers_to_the_target_with_the_moments_that_the_source_has() -> None:
    module, source = network(), pictures(64)
    target = pictures(64, 1) * 0.2 + 0.7  # of little contrast, and bright
    wanted = outputs(module, "1", source)
    adapted = copy.deepcopy(module)
    moments = recentre(adapted, adaptable(adapted), passing(adapted, source))
    adapt_statistics(adapted, {"1": moments["1"]}, passing(adapted, target), images=64, prior=0)
    found = outputs(adapted, "1", target)
    torch.testing.assert_close(found.mean(1), wanted.mean(1), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.std(1), wanted.std(1), atol=1e-3, rtol=1e-3)
    # What a user would get without writing the layer anew first is something else.
    naive = copy.deepcopy(module)
    adapt_statistics(naive, {"1": moments["1"]}, passing(naive, target), images=64, prior=0)
    assert (outputs(naive, "1", target).mean(1) - wanted.mean(1)).abs().max() > 0.1


@pytest.mark.parametrize(("images", "prior", "share"), [(16, 16, 0.5), (48, 16, 0.75), (10, 0, 1.0)])
def test_statistics_are_mixed_by_counts_of_images(images: int, prior: float, share: float) -> None:
    module, source, target = network(), pictures(16, 1), pictures(8)
    values = module[0](target).detach().double().movedim(1, 0).flatten(1)
    moments = recentre(module, ("1",), passing(module, source))
    expected = share * values.mean(1) + (1 - share) * moments["1"].mean
    for _ in range(2):  # of the source as much each time
        adapt_statistics(module, moments, passing(module, target), images=images, prior=prior)
        torch.testing.assert_close(module[1].running_mean.double(), expected, atol=1e-5, rtol=1e-5)
    assert not module.training
