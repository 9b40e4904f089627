"""The head of a network: read it, replace it, or put one on a network that ends in features.

A head is a Linear layer or a 1x1 convolution with one output a class, found by its dotted name.

Shape suffixes: C classes, D features.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from signet.arrays import Floats, frozen
from signet.errors import BadGraph, BadInput

RECTIFIED_SHIFT = 100.0
"""Added to every bias of a head whose output is rectified (SqueezeNet's): scores are the same, and no logit
is cut off at zero."""


class Head(NamedTuple):
    """What a head computes: `features @ weights.T + bias`.

    Attributes:
        weights: float32 (C, D).
        bias: float32 (C,); zeros for a layer without one.
    """

    weights: Floats
    bias: Floats


def head_of(module: nn.Module, classifier: str) -> Head:
    """A copy of the head's weights and bias.

    Args:
        module: the network.
        classifier: dotted name of its head.

    Raises:
        BadGraph: there is no such layer, or it is neither a Linear layer nor a 1x1 convolution.
    """
    layer = _layer(module, classifier)
    weights_CD = layer.weight.detach().float().cpu().flatten(1).clone()
    bias_C = torch.zeros(len(weights_CD)) if layer.bias is None else layer.bias.detach().float().cpu().clone()
    return Head(weights_CD.numpy(), bias_C.numpy())


def width_of(module: nn.Module, classifier: str) -> int:
    """D, the features that the head takes.

    Raises:
        BadGraph: there is no such layer, or it is neither a Linear layer nor a 1x1 convolution.
    """
    layer = _layer(module, classifier)
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def set_head(module: nn.Module, classifier: str, weights: Floats, bias: Floats) -> None:
    """Give a module a head of its own; the layer is replaced, so another number of classes will do.

    Where the head is a convolution whose output goes through a ReLU before the pooling (SqueezeNet),
    `RECTIFIED_SHIFT` is added to every bias: softmax does not see it, and logits below zero survive.

    Args:
        module: the network; changed in place.
        classifier: dotted name of its head.
        weights: float32 (C, D), D as the present head has it.
        bias: float32 (C,).

    Raises:
        BadGraph: there is no such layer, or it is neither a Linear layer nor a 1x1 convolution.
        BadInput: shapes that do not fit.
    """
    old = _layer(module, classifier)
    width = width_of(module, classifier)
    weights_CD, bias_C = _tensors(weights, bias, width)
    classes = len(bias_C)
    new: nn.Linear | nn.Conv2d
    if isinstance(old, nn.Linear):
        new = nn.Linear(width, classes, device="meta")
    else:
        new = nn.Conv2d(width, classes, 1, device="meta")
        weights_CD = weights_CD[:, :, None, None]
        if _is_rectified(module, classifier):
            bias_C = bias_C + RECTIFIED_SHIFT
    place = old.weight
    # Made on "meta" and filled: torch's own initialisation would draw from the global random generator.
    new.weight = nn.Parameter(weights_CD.to(place.device, place.dtype))
    new.bias = nn.Parameter(bias_C.to(place.device, place.dtype))
    module.set_submodule(classifier, new.train(old.training))
    if hasattr(module, "num_classes"):
        setattr(module, "num_classes", classes)  # noqa: B010 - torch types attributes as tensors


def with_head(module: nn.Module, weights: Floats, bias: Floats) -> tuple[nn.Module, str]:
    """(a network that ends in logits, dotted name of its head), from one that ends in features (N, D).

    The tensors of the given module keep their names behind `backbone.`; the head is `head`.

    Args:
        module: returns (N, D); it becomes a part of the result, not a copy.
        weights: float32 (C, D).
        bias: float32 (C,).
    """
    weights_CD, bias_C = _tensors(weights, bias, None)
    head = nn.Linear(weights_CD.shape[1], len(bias_C), device="meta")
    head.weight, head.bias = nn.Parameter(weights_CD), nn.Parameter(bias_C)
    return nn.Sequential(OrderedDict(backbone=module, head=head)).eval(), "head"


def _layer(module: nn.Module, classifier: str) -> nn.Linear | nn.Conv2d:
    try:
        layer = module.get_submodule(classifier)
    except AttributeError as error:
        raise BadGraph(
            f"head {classifier!r}: expected a layer of the network, got nothing: {error}."
        ) from error
    pointwise = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1
    if not (isinstance(layer, nn.Linear) or pointwise):
        raise BadGraph(
            f"head {classifier!r}: expected a Linear layer or a 1x1 convolution, got {type(layer).__name__}. "
            "Name the layer that makes the logits."
        )
    return layer  # type: ignore[return-value]


def _tensors(weights: Floats, bias: Floats, width: int | None) -> tuple[Tensor, Tensor]:
    weights = frozen(weights, "a head's weights", "float32", (None, width))
    bias = frozen(bias, "a head's bias", "float32", (len(weights),))
    if len(bias) < 2 or not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise BadInput(f"a head: expected finite numbers for at least 2 classes, got {len(bias)} classes.")
    return torch.tensor(np.array(weights)), torch.tensor(np.array(bias))


def _is_rectified(module: nn.Module, classifier: str) -> bool:
    """Whether the layer after the head, in the same Sequential, is a ReLU."""
    parent_name, _, own = classifier.rpartition(".")
    parent = module.get_submodule(parent_name)
    if not isinstance(parent, nn.Sequential):
        return False
    names = list(dict(parent.named_children()))
    after = names[names.index(own) + 1 :]
    return bool(after) and isinstance(parent.get_submodule(after[0]), nn.ReLU)
