"""Frozen means frozen: no gradient, and no running statistic that moves.

The known trap: `module.train()` switches a frozen BatchNorm back to batch statistics, which then drift away
although no optimizer touches them. Here the mode of every layer is set by one function, before every epoch.

Source: pytorch/pytorch issue 66073; keras-team/keras pull request 9965.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from torch import nn

from signet.training.settings import BatchNormPolicy
from signet.training.stages import Classifier, is_in_head


def freeze(module: nn.Module, parameters: AbstractSet[str]) -> None:
    """Let the named parameters have no gradient, and all others one."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in parameters)
        parameter.grad = None


def set_learning_mode(
    module: nn.Module, frozen: AbstractSet[str], policy: BatchNormPolicy, head: Classifier = ""
) -> None:
    """Training mode for what learns, evaluation mode for what is frozen, whatever was set before.

    A layer whose own parameters are all frozen is in evaluation mode; a layer without parameters (dropout, a
    BatchNorm without scale) goes with the nearest layer before it that has some. With the policy "frozen"
    every BatchNorm of the backbone is in evaluation mode, frozen or not: it uses its stored statistics and
    keeps them, while its scale and shift may learn. Those of the head gather theirs under any policy: there
    are none from a pretraining.

    Args:
        module: the network; changed in place.
        frozen: names of the frozen parameters.
        policy: of the backbone's BatchNorm layers that are not frozen.
        head: names of the modules that were added for the task.
    """
    module.train()
    before = False
    for name, layer in module.named_modules():
        if any(True for _ in layer.children()) and not is_batchnorm(layer):
            continue
        own = [f"{name}.{inner}" if name else inner for inner, _ in layer.named_parameters()]
        before = all(parameter in frozen for parameter in own) if own else before
        kept = policy == "frozen" and is_batchnorm(layer) and not is_in_head(name, head)
        if before or kept:
            layer.eval()
    _set_frozen_containers(module, frozen)


def is_batchnorm(layer: nn.Module) -> bool:
    """Whether a layer keeps running statistics of its batches.

    Told by the buffers and not by the class, because libraries have classes of their own (timm's
    `BatchNormAct2d` is a BatchNorm with an activation in it).
    """
    return isinstance(layer, nn.modules.batchnorm._BatchNorm) or hasattr(layer, "running_var")


def _set_frozen_containers(module: nn.Module, frozen: AbstractSet[str]) -> None:
    """Blocks may drop whole branches (stochastic depth) by their own mode; frozen ones must not."""
    for name, block in module.named_modules():
        own = [f"{name}.{inner}" if name else inner for inner, _ in block.named_parameters()]
        if own and any(True for _ in block.children()) and all(parameter in frozen for parameter in own):
            block.eval()
