"""Low-rank adapters: a few numbers learn beside each matrix of a network, whose own weights stay.

A matrix W of a Linear layer answers as W + (alpha / rank) B A, of which only A and B learn. B begins at
zero, so the network first answers as before. Merged (`merging`), the sum is written into W: nothing is left
of the adapter, neither in the graph nor in time.

Source: E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from signet.errors import BadGraph, BadRequest, MissingExtra
from signet.training.holding import Held
from signet.training.stages import Classifier, is_in_head

_NAME = "default"
_MARKS = ("lora_A", "lora_B")
_BASE = ".base_layer."
"""What peft puts into the names of a layer's own tensors."""


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
        kept: what the network had before, head and matrices with adapters left out.
        matrices: those of the layers with adapters, likewise.
        scale: of B A.
        tuner: peft's own, by which they are merged.
    """

    module: nn.Module
    layers: tuple[str, ...]
    frozen: tuple[str, ...]
    kept: Held
    matrices: Held
    scale: float
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
    state = module.state_dict()
    adapting = {f"{name}.weight" for name in layers}
    own = [name for name in state if not is_in_head(name, classifier)]
    kept = Held.of(state, [name for name in own if name not in adapting])
    matrices = Held.of(state, [name for name in own if name in adapting])
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, bias="none", target_modules=list(layers)
    )
    tuner = peft.LoraModel(module, config, _NAME)
    frozen = tuple(
        name
        for name, _ in module.named_parameters()
        if not is_in_head(name, classifier) and not _is_adapter(name)
    )
    return Adapted(
        module=module.eval(),
        layers=layers,
        frozen=frozen,
        kept=kept,
        matrices=matrices,
        scale=settings.alpha / settings.rank,
        tuner=tuner,
    )


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


def own_name(name: str) -> str:
    """The name that a tensor has in the network without adapters."""
    return name.replace(_BASE, ".")


def factors_of(adapted: Adapted, layer: str) -> tuple[Tensor, Tensor]:
    """A (rank, inputs) and B (outputs, rank) of a layer, of their own memory."""
    found = adapted.module.get_submodule(layer)
    inner, outer = (found.get_submodule(f"{mark}.{_NAME}") for mark in _MARKS)
    return inner.weight.detach().clone(), outer.weight.detach().clone()  # type: ignore[operator]


def _is_adapter(name: str) -> bool:
    return any(mark in name.split(".") for mark in _MARKS)


def _hides_layers(part: nn.Module) -> bool:
    return isinstance(part, nn.MultiheadAttention)


def _linear(module: nn.Module, name: str) -> nn.Linear:
    layer = module.get_submodule(name)
    if not isinstance(layer, nn.Linear):
        raise BadGraph(f"{name}: expected a Linear layer, got {type(layer).__name__}.")
    return layer
