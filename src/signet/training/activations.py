"""Stages that compute their activations twice instead of keeping them: less memory for more time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from signet.training.freezing import is_batchnorm
from signet.training.stages import Classifier, is_in_head, stages_of


@contextmanager
def recomputed_activations(
    module: nn.Module, classifier: Classifier, frozen: frozenset[str]
) -> Iterator[None]:
    """Meanwhile the stages that learn keep what comes in, and compute the rest again for the gradient.

    The gradients are the same: dropout draws the same numbers again, and a BatchNorm takes in the statistics
    of a batch once.

    Args:
        module: the network; its parameters and state keep their names.
        classifier: of its head, which is left as it is.
        frozen: names of the frozen parameters.

    Source: T. Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016), section 4.
    """
    stages = [
        module.get_submodule(stage.name)
        for stage in stages_of(module, classifier)
        if stage.name and not is_in_head(stage.name, classifier) and not frozen.issuperset(stage.parameters)
    ]
    try:
        for stage in stages:
            # On the instance: the class, its hooks and its state stay as they are.
            stage.forward = _twice(stage, stage.forward)
        yield
    finally:
        for stage in stages:
            stage.__dict__.pop("forward", None)


def _twice(stage: nn.Module, forward: Any) -> Any:
    """A forward pass that is computed again when its gradient is asked for."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_held(stage)

    def computed(*inputs: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*inputs, **named)
        return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts, **named)

    return computed


@contextmanager
def _statistics_held(stage: nn.Module) -> Iterator[None]:
    """Meanwhile every BatchNorm that learns uses the statistics of its batch and gathers none."""
    kept: list[tuple[nn.Module, dict[str, Tensor]]] = [
        (layer, {name: buffer.clone() for name, buffer in layer.named_buffers(recurse=False)})
        for layer in stage.modules()
        if layer.training and is_batchnorm(layer)
    ]
    try:
        yield
    finally:
        for layer, buffers in kept:
            for name, buffer in layer.named_buffers(recurse=False):
                # Past autograd, which would say that what the gradient needs was changed: with the statistics
                # of a batch it does not need the running ones.
                buffer.data.copy_(buffers[name])
