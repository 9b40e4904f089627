"""Random weights with which a network is alive: its answers are finite, and differ from image to image.

A network whose activations vanish or explode gives the same answer whatever was loaded into it; so would
zeros, where libraries begin with them (layer scales, the last BatchNorm of a block, class tokens).
"""

from __future__ import annotations

import math
import re
import zlib
from typing import Any

import torch
from torch import Tensor, nn

_ATTENTION = re.compile(r"qkv|quer|keys|\.key\b|in_proj|q_proj|k_proj|kv\b|\.[qk]\.|to_[qk]")
"""Attention that nearly chooses one place blows up roundings, layer by layer; halved, it does not."""
FLOOR, SHARE = 1e-3, 0.05
"""Least variance of a channel, and as a share of its squared mean: what is nearly constant stays so.

A BatchNorm that blew it up would blow up roundings too, until float32 itself is a percent off float64.
"""
_KEPT = ("logit_scale", "logit_bias", "temperature")
_ABOUT_ONE = ("weight", "gamma", "scale", "gain", "alpha", "lambda", "ls", "layerscale", "g")


def enliven(module: nn.Module, images_N3HW: Tensor, name: str) -> nn.Module:
    """Fill a module by a seed that its name gives, and fit its BatchNorms to images; in evaluation mode.

    Args:
        module: any.
        images_N3HW: float32, at least four, prepared for it.
        name: the seed.
    """
    random = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    module.eval()
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for key, value in module.named_parameters():
            if value.is_floating_point():
                _draw(key, value, random)
                if _ATTENTION.search(key):
                    value.mul_(0.5)
        if norms:
            _fit(module, norms, images_N3HW, random)
    return module


def _draw(key: str, value: Tensor, random: torch.Generator) -> None:
    leaf = key.rpartition(".")[2].lower()
    if any(kept in leaf for kept in _KEPT):
        return
    noise = torch.randn(value.shape, generator=random)
    vector = value.numel() == max(value.shape, default=1)
    if vector and (value.dim() == 0 or leaf.rstrip("0123456789_") in _ABOUT_ONE or leaf.startswith("gamma")):
        value.copy_(1 + 0.15 * noise.clamp(-2, 2))
    elif vector or leaf.endswith(("bias", "token", "embed", "embedding", "embeddings")):
        value.copy_(0.1 * noise)
    elif value.dim() == 4:
        # He's spread, for what is rectified behind it.
        value.copy_(noise * math.sqrt(2 / value[0].numel()))
    else:
        value.copy_(noise / math.sqrt(value[0].numel() if value.dim() == 2 else value.shape[-1]))


def _fit(module: nn.Module, norms: list[Any], images: Tensor, random: torch.Generator) -> None:
    """Statistics as the images have them, then each a little off, so that each has an effect of its own."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    module(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
        if norm.running_var is None:
            continue
        least = (SHARE * norm.running_mean.square()).clamp(min=FLOOR)
        norm.running_var.copy_(torch.maximum(norm.running_var, least))
        spread = norm.running_var.sqrt()
        norm.running_mean += 0.1 * spread * torch.randn(spread.shape, generator=random)
        norm.running_var *= 0.8 + 0.5 * torch.rand(spread.shape, generator=random)
