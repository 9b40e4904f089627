"""Surer answers on target images (TENT): scale and shift of the norms go down the entropy of the answers.

Without labels, sure and right are not the same: a network that answers one class to everything is very sure.
So the steps are few and small, and each pass is judged as the network would be used: when the answers fall on
fewer classes than they did before the descent, or are not surer than after the pass before, that pass is
taken back and the descent ends.

Shape suffixes: N images of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from signet.domain_shift import entropies, spread
from signet.training.moments import set_state, state_of

_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """How a descent goes.

    Attributes:
        rate: of Adam; TENT takes this one on small pictures.
        passes: over the images, at most.
        temperature: that logits are divided by before their entropy is taken: the one that is sealed.
        least_spread: share of the spread of the answers before the descent below which it counts as a
            collapse.
    """

    rate: float = 1e-3
    passes: int = 3
    temperature: float = 1.0
    least_spread: float = 0.97


@dataclass(frozen=True, slots=True)
class Descended:
    """What came of it.

    Attributes:
        steps: that were made and kept.
        entropies: mean over the images, 0 to 1: before, and after each pass.
        spreads: entropy of the mean answer, 0 to 1, likewise.
        collapsed: whether the last pass was taken back because the answers fell on fewer classes.
    """

    steps: int
    entropies: tuple[float, ...]
    spreads: tuple[float, ...]
    collapsed: bool


def norms_of(module: nn.Module) -> tuple[str, ...]:
    """Names of the norms that have a scale: BatchNorm, LayerNorm, GroupNorm, and what is made of them."""
    return tuple(
        name
        for name, layer in module.named_modules()
        if isinstance(layer, _NORMS) and isinstance(layer.weight, nn.Parameter)
    )


def descend(
    module: nn.Module,
    batches: Callable[[int], Iterable[Tensor]],
    how: Descent,
    *,
    live: tuple[str, ...] = (),
    settle: Callable[[], None] = lambda: None,
) -> Descended:
    """Make answers surer; the module is changed in place and left in evaluation mode.

    Args:
        module: from float32 images to logits (N, C), or to a tuple that begins with them.
        batches: the images of a pass, in batches that are mixed; those of pass 0 are judged by.
        how: rate, passes, temperature.
        live: BatchNorm layers that normalise by each batch while they learn.
        settle: gives these layers the statistics that go with what was learned, after each pass.

    Source: D. Wang et al., "Tent: Fully Test-Time Adaptation by Entropy Minimization" (ICLR 2021),
        arXiv:2006.10726, section 3: the loss is the Shannon entropy of each answer, what learns are scale and
        shift of the norms.
    """
    module.eval()
    asked = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    learning = _only_norms(module)
    optimizer = torch.optim.Adam(learning, lr=how.rate)
    judged = [_judged(module, batches(0), how)]
    steps, collapsed = 0, False
    try:
        for turn in range(1, how.passes + 1):
            before = state_of(module)
            made = _pass(module, batches(turn), optimizer, how, live)
            settle()
            judged.append(_judged(module, batches(0), how))
            # A NaN is neither.
            surer, wide = (
                judged[-1][0] < judged[-2][0],
                judged[-1][1] >= how.least_spread * judged[0][1],
            )
            if not (surer and wide):
                set_state(module, before)
                collapsed = not wide
                break
            steps += made
    finally:
        module.eval()
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(asked[name])
            parameter.grad = None
    surenesses, spreads = zip(*judged, strict=True)
    return Descended(steps, surenesses, spreads, collapsed)


def _only_norms(module: nn.Module) -> list[nn.Parameter]:
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    learning = [
        parameter
        for name in norms_of(module)
        for parameter in module.get_submodule(name).parameters(recurse=False)
    ]
    for parameter in learning:
        parameter.requires_grad_(True)
    return learning


def _pass(
    module: nn.Module,
    batches: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    how: Descent,
    live: tuple[str, ...],
) -> int:
    """One pass of steps; their number."""
    for name in live:
        module.get_submodule(name).training = True  # the layer alone: an activation inside it draws nothing
    made = 0
    for images in batches:
        logs_NC = (_logits(module, images) / how.temperature).log_softmax(1)
        loss = -(logs_NC.exp() * logs_NC).sum(1).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        made += 1
    module.eval()
    return made


def _judged(module: nn.Module, batches: Iterable[Tensor], how: Descent) -> tuple[float, float]:
    """(mean entropy, spread) of the answers, as the network would be used."""
    with torch.no_grad():
        scores = [(_logits(module, images) / how.temperature).softmax(1).numpy() for images in batches]
    scores_NC = np.concatenate(scores)
    return float(entropies(scores_NC).mean()), spread(scores_NC)


def _logits(module: nn.Module, images: Tensor) -> Tensor:
    answer = module(images)
    logits_NC: Tensor = answer if isinstance(answer, Tensor) else answer[0]
    return logits_NC.float()
