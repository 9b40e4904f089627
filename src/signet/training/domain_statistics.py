"""BatchNorm statistics of another domain (AdaBN), for networks whose statistics are not the source's own.

AdaBN puts the target's statistics in place of the source's. That presumes that a network's statistics are
those of the images that it learned from. Of a pretrained network whose BatchNorm stayed frozen they are those
of the pretraining, and replacing them takes away more than the difference between source and target. So each
layer is first written in terms of the source's own statistics: another mean and variance, another scale and
shift, the same function. Then replacing them gives every layer, on target images, outputs with the mean and
variance that source images have; where the statistics were the source's own already, this is AdaBN as
published.

Shape suffixes: C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from signet.training.batch_statistics import Moments, moments_of, write_moments

PRIOR_IMAGES = 16
"""Images of the source that the target's are mixed with, as pseudo-counts, so that statistics of a handful of
images do not stand alone."""


def adaptable(module: nn.Module) -> tuple[str, ...]:
    """Names of the BatchNorm layers with statistics, scale and shift."""
    return tuple(name for name, layer in module.named_modules() if _affine(layer) is not None)


def recentre(module: nn.Module, names: tuple[str, ...], passes: Callable[[], None]) -> Mapping[str, Moments]:
    """Write layers in terms of the statistics of a set of images; the network's function stays the same.

    Args:
        module: the network; changed in place, and left in evaluation mode.
        names: of layers that are `adaptable`.
        passes: sends the images through the network.

    Returns:
        The statistics that these layers have now, by name: those of the images.
    """
    found = moments_of(module, names, passes, live=False)
    with torch.no_grad():
        for name, source in found.items():
            layer = _affine(module.get_submodule(name))
            if layer is None:
                continue
            mean_C, variance_C, scale_C, shift_C = _parts(layer)
            before_C = (variance_C.double() + layer.eps).sqrt()
            ratio_C = (source.variance + layer.eps).sqrt() / before_C
            shift_C.add_(scale_C * ((source.mean - mean_C) / before_C))
            scale_C.mul_(ratio_C)
    write_moments(module, found)
    return found


def adapt_statistics(
    module: nn.Module,
    source: Mapping[str, Moments],
    passes: Callable[[], None],
    images: int,
    prior: float = PRIOR_IMAGES,
) -> None:
    """Give layers the statistics of target images, mixed with those of the source.

    Args:
        module: the network; changed in place. What statistics its layers have before makes no difference.
        source: those of the source, by the names of the layers (`recentre`).
        passes: sends the target images through the network, in batches that are mixed, since each layer
            normalises by the batch meanwhile.
        images: how many they are.
        prior: images of the source that they are mixed with, as pseudo-counts.

    Source: Y. Li et al., "Revisiting Batch Normalization for Practical Domain Adaptation" (2016),
        arXiv:1603.04779, algorithm 1; the mixture: S. Schneider et al., "Improving robustness against common
        corruptions by covariate shift adaptation" (2020), arXiv:2006.16971, equation 1.
    """
    share = images / (images + prior)
    found = moments_of(module, source, passes, live=True)
    mixed = {
        name: Moments(
            share * target.mean + (1 - share) * source[name].mean,
            share * target.variance + (1 - share) * source[name].variance,
        )
        for name, target in found.items()
    }
    with torch.no_grad():
        write_moments(module, mixed)


def _affine(layer: nn.Module) -> _BatchNorm | None:
    known = isinstance(layer, _BatchNorm) and layer.affine and layer.running_mean is not None
    return layer if known and layer.running_var is not None else None  # type: ignore[return-value]


def _parts(layer: _BatchNorm) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, variance, scale and shift, each (C,)."""
    mean_C, variance_C = layer.running_mean, layer.running_var
    if mean_C is None or variance_C is None:
        raise TypeError("expected a layer that is adaptable")
    return mean_C, variance_C, layer.weight, layer.bias
