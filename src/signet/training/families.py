"""What a network is made of, as far as it decides how it is best trained: told from its layers alone."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple

from torch import nn

from signet.training.freezing import is_batchnorm

Family = Literal["batchnorm", "transformer", "other"]
"""What a network is called by what it is made of."""


class Makeup(NamedTuple):
    """What is in a network, or in a part of it.

    Attributes:
        attention: layers that attend.
        batchnorm: layers that keep running statistics of their batches.
    """

    attention: bool
    batchnorm: bool


def makeup_of(module: nn.Module, among: AbstractSet[str] | None = None) -> Makeup:
    """What is in a network.

    Args:
        module: the network.
        among: names of parameters: only layers that have some of them in themselves or below count. All
            layers when None, those without parameters too.
    """
    layers = [
        layer
        for name, layer in module.named_modules()
        if among is None or any(own.startswith(f"{name}." if name else "") for own in among)
    ]
    return Makeup(
        attention=any("attention" in type(layer).__name__.lower() for layer in layers),
        batchnorm=any(is_batchnorm(layer) for layer in layers),
    )


def family_of_module(module: nn.Module) -> Family:
    """What a network is called: attention makes a transformer, running statistics a BatchNorm network.

    One that has both is a transformer.
    """
    found = makeup_of(module)
    if found.attention:
        return "transformer"
    return "batchnorm" if found.batchnorm else "other"
