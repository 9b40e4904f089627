"""Low-rank adapters: a few numbers learn beside each matrix of a network, whose own weights stay.

A matrix W of a Linear layer answers as W + (alpha / rank) B A, of which only A and B learn. B begins at
zero, so the network first answers as before. Merged, the sum is written into W: nothing is left of the
adapter, neither in the graph nor in time.

Source: E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from signet.errors import BadGraph, BadRequest, CheckFailed, MissingExtra
from signet.training.stages import Classifier, is_in_head

_NAME = "default"
_MARKS = ("lora_A", "lora_B")
MERGED_TOLERANCE = 1e-4
"""Of the logits, relative to the greatest of them: the merged matrix rounds its sum once, the adapter each
product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSettings:
    """The size of an adapter.

    Attributes:
        rank: of B A.
        alpha: B A is multiplied by alpha / rank.
    """

    rank: int = 8
    alpha: int = 16


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """A network with adapters.

    Attributes:
        module: the network, changed in place.
        layers: dotted names of the Linear layers that have one.
        frozen: names of all parameters that stay as they are: all but the adapters' and the head's.
        tuner: peft's own, by which they are merged.
    """

    module: nn.Module
    layers: tuple[str, ...]
    frozen: tuple[str, ...]
    tuner: Any


def with_adapters(module: nn.Module, classifier: Classifier, settings: AdapterSettings) -> Adapted:
    """Put an adapter beside every Linear layer below the head.

    The first weights of A come from torch's own generator.

    Args:
        module: the network; changed in place.
        classifier: its head, which has none and learns whole.
        settings: the size.

    Raises:
        BadRequest: there is no Linear layer below the head, as in a convolutional network.
        MissingExtra: peft is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingExtra("--strategy lora", "train", "peft") from error
    layers = adaptable(module, classifier)
    if not layers:
        raise BadRequest(
            "--strategy lora: expected a network with Linear layers below its head, as transformers have; "
            "got none. Use --strategy partial for a convolutional network."
        )
    smallest = min(min(_linear(module, name).weight.shape) for name in layers)
    if settings.rank > smallest:
        raise BadRequest(
            f"recipe: lora_rank {settings.rank}: expected at most {smallest}, the smallest side of the "
            "network's matrices."
        )
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, bias="none", target_modules=list(layers)
    )
    tuner = peft.LoraModel(module, config, _NAME)
    frozen = tuple(
        name
        for name, _ in module.named_parameters()
        if not is_in_head(name, classifier) and not _is_adapter(name)
    )
    return Adapted(module.eval(), layers, frozen, tuner)


def adaptable(module: nn.Module, classifier: Classifier) -> tuple[str, ...]:
    """Names of the Linear layers below the head that are called as layers.

    Those inside torch's own `MultiheadAttention` are not: it takes their weights and never calls them.
    """
    inside = tuple(f"{name}." for name, part in module.named_modules() if _hides_layers(part))
    return tuple(
        name
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and not is_in_head(name, classifier) and not name.startswith(inside)
    )


def adapter_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a state, A and B of every layer: names `LAYER.lora_A.weight` (rank, inputs) and `lora_B`."""
    return {
        name.replace(f".{_NAME}.", "."): tensor.detach().cpu().contiguous().clone()
        for name, tensor in state.items()
        if _is_adapter(name)
    }


def merged(adapted: Adapted, example_NCHW: Tensor) -> nn.Module:
    """The network with its adapters written into its matrices, once it is seen to answer as before.

    Args:
        adapted: the network; changed in place.
        example_NCHW: images to compare the answers on.

    Raises:
        CheckFailed: it answers otherwise, by more than rounding.
    """
    with torch.no_grad():
        before = _logits(adapted.module(example_NCHW))
        module: nn.Module = adapted.tuner.merge_and_unload().eval()
        after = _logits(module(example_NCHW))
    error = float((after - before).abs().max())
    if not error <= MERGED_TOLERANCE * max(1.0, float(before.abs().max())):
        raise CheckFailed(
            f"merging the adapters: expected the logits that they gave, got others by {error:.2g}. Nothing "
            "is sealed; use --strategy partial."
        )
    return module


def _logits(answer: Any) -> Tensor:
    return answer if isinstance(answer, Tensor) else answer[0]


def _is_adapter(name: str) -> bool:
    return any(mark in name.split(".") for mark in _MARKS)


def _hides_layers(part: nn.Module) -> bool:
    return isinstance(part, nn.MultiheadAttention)


def _linear(module: nn.Module, name: str) -> nn.Linear:
    layer = module.get_submodule(name)
    if not isinstance(layer, nn.Linear):
        raise BadGraph(f"{name}: expected a Linear layer, got {type(layer).__name__}.")
    return layer
