"""BatchNorm statistics computed anew: those of the whole training set instead of a running average.

A running average with a momentum remembers the last few batches, with weights that were other ones then. Here
each batch of the training images passes once through the network as it is, each layer's batch means and mean
squares are summed in float64, and the sums become the statistics: every image counts alike.

Shape suffixes: N images of a batch, C channels, other dimensions after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Moments(NamedTuple):
    """What has come into one layer: float64 (C,) mean and unbiased variance of all its values."""

    mean: Tensor
    variance: Tensor


@dataclass(slots=True)
class _Sums:
    """What has come into one layer so far: how many values, and float64 (C,) of their sum and squares."""

    count: int
    total: Tensor
    squares: Tensor

    @property
    def moments(self) -> Moments:
        mean_C = self.total / self.count
        variance_C = (self.squares / self.count - mean_C**2).clamp(min=0)
        return Moments(mean_C, variance_C * (self.count / max(1, self.count - 1)))


def re_estimate(module: nn.Module, names: Iterable[str], passes: Callable[[], None]) -> tuple[str, ...]:
    """Give some BatchNorm layers the statistics of a set of images.

    While the images pass, these layers normalise by each batch's own statistics, as they do while they learn,
    and everything else is in evaluation mode: nothing is dropped, and no other statistic moves. The result
    does not depend on the statistics that were there before.

    Args:
        module: the network; its statistics are changed in place, and it is left in evaluation mode.
        names: of the layers; those that keep no statistics, or gather them by a rule of their own (an
            InstanceNorm, a class that is no BatchNorm of torch), stay as they are.
        passes: sends all images through the network.

    Returns:
        Names of the layers that have new statistics.

    Source: Y. Wu, J. Johnson, "Rethinking 'Batch' in BatchNorm" (2021), section 3, "PreciseBN": population
        mean and variance from the moments of batches, aggregated with equal weight for each image.
    """
    found = moments_of(module, names, passes, live=True)
    write_moments(module, found)
    return tuple(found)


def moments_of(
    module: nn.Module, names: Iterable[str], passes: Callable[[], None], *, live: bool
) -> dict[str, Moments]:
    """Mean and variance of what comes into some BatchNorm layers, over a set of images.

    Args:
        module: the network; it is left as it was, in evaluation mode.
        names: of the layers; those of which `re_estimate` says that they stay are left out.
        passes: sends all images through the network.
        live: whether these layers normalise by each batch's own statistics meanwhile, or by those they keep.

    Returns:
        Moments by name, of the layers that something came into.
    """
    layers = {name: layer for name in names if (layer := _estimated(module, name)) is not None}
    if not layers:
        return {}
    sums: dict[str, _Sums] = {}
    module.eval()
    own = {name: [buffer.clone() for buffer in layer.buffers()] for name, layer in layers.items()}
    handles = [layer.register_forward_pre_hook(_gathering(sums, name)) for name, layer in layers.items()]
    for layer in layers.values():
        layer.training = live  # the layer alone: an activation inside it draws nothing
    try:
        with torch.no_grad():
            passes()
    finally:
        for handle in handles:
            handle.remove()
        module.eval()
        for name, layer in layers.items():
            for buffer, kept in zip(layer.buffers(), own[name], strict=True):
                buffer.copy_(kept)  # the running average, which the passes have moved
    return {name: found.moments for name, found in sums.items()}


def write_moments(module: nn.Module, found: Mapping[str, Moments]) -> None:
    """Give layers these statistics, by name."""
    for name, moments in found.items():
        layer = module.get_submodule(name)
        for buffer, value_C in (
            (layer.running_mean, moments.mean),
            (layer.running_var, moments.variance),
        ):
            if isinstance(buffer, Tensor):
                buffer.copy_(value_C)


def _estimated(module: nn.Module, name: str) -> _BatchNorm | None:
    layer = module.get_submodule(name)
    known = isinstance(layer, _BatchNorm) and layer.running_mean is not None and layer.running_var is not None
    return layer if known else None  # type: ignore[return-value]


def _gathering(sums: dict[str, _Sums], name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def gather(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].detach()
        rows = values.numel() // values.shape[1]
        aside = [place for place in range(values.ndim) if place != 1]
        # Float32 sums over a batch, float64 over the batches: squares of large maps need the second.
        mean_C = values.float().mean(aside).double()
        spread_C = values.float().var(aside, correction=0).double()
        before = sums.get(name)
        if before is None:
            before = sums[name] = _Sums(0, torch.zeros_like(mean_C), torch.zeros_like(mean_C))
        before.count += rows
        before.total += rows * mean_C
        before.squares += rows * (spread_C + mean_C**2)

    return gather
