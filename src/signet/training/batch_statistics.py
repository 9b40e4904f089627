"""BatchNorm statistics computed anew: those of the whole training set instead of a running average.

A running average with a momentum remembers the last few batches, with weights that were other ones then. Here
each batch of the training images passes once through the network as it is, each layer's batch means and mean
squares are summed in float64, and the sums become the statistics: every image counts alike.

Shape suffixes: N images of a batch, C channels, other dimensions after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(slots=True)
class _Sums:
    """What has come into one layer so far: how many values, and float64 (C,) of their sum and squares."""

    count: int
    total: Tensor
    squares: Tensor


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
    layers = {name: layer for name in names if (layer := _estimated(module, name)) is not None}
    if not layers:
        return ()
    sums: dict[str, _Sums] = {}
    module.eval()
    own = {name: [buffer.clone() for buffer in layer.buffers()] for name, layer in layers.items()}
    handles = [layer.register_forward_pre_hook(_gathering(sums, name)) for name, layer in layers.items()]
    for layer in layers.values():
        layer.training = True  # the layer alone: an activation inside it draws nothing
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
    _write(layers, sums)
    return tuple(sums)


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


def _write(layers: Mapping[str, _BatchNorm], sums: Mapping[str, _Sums]) -> None:
    """The sums as statistics; the variance unbiased, as torch keeps it."""
    for name, found in sums.items():
        mean_C = found.total / found.count
        variance_C = (found.squares / found.count - mean_C**2).clamp(min=0)
        variance_C *= found.count / max(1, found.count - 1)
        for buffer, value_C in ((layers[name].running_mean, mean_C), (layers[name].running_var, variance_C)):
            if buffer is not None:
                buffer.copy_(value_C)
