"""The optimizer: which parameters learn how fast, and how the rate goes over the steps."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from signet.errors import BadRequest
from signet.training.settings import TrainSettings
from signet.training.stages import frozen_parameters, is_in_head


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Share of the greatest learning rate at a step: a rise in a line, then half a cosine down to 0.

    Args:
        step: from 0.
        steps: of the whole run.
        warmup: share of the steps in which it rises.

    Source: I. Loshchilov, F. Hutter, "SGDR" (2017), equation 5 without restarts; P. Goyal et al., "Accurate,
        Large Minibatch SGD" (2017), section 2.2, for the warm-up.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def frozen_by(module: nn.Module, settings: TrainSettings) -> frozenset[str]:
    """Names of the parameters that do not learn: those in frozen stages, or all but the head's at rate 0.

    Raises:
        UnknownName: `settings.frozen` names a stage that is none.
    """
    if settings.backbone_rate > 0:
        return frozen_parameters(module, settings.classifier, settings.frozen)
    names = (name for name, _ in module.named_parameters())
    return frozenset(name for name in names if not is_in_head(name, settings.classifier))


def optimizer_of(module: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW over what may learn, in groups that know their greatest rate (`greatest`).

    Norms, biases and all other vectors have no weight decay, nor have what the network itself excepts
    (timm's `no_weight_decay`: position embeddings, class tokens).

    Raises:
        BadRequest: nothing may learn.

    Source: I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2.
    """
    excepted = _excepted(module)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            in_head = is_in_head(name, settings.classifier)
            rate = settings.head_rate if in_head else settings.backbone_rate
            decay = 0.0 if parameter.ndim <= 1 or name in excepted else settings.optimisation.weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
    if not any(rate > 0 for rate, _ in groups):
        raise BadRequest(
            "training: expected parameters that learn, got none: all stages are frozen or all rates are 0. "
            "Freeze fewer stages, or set head_rate above 0."
        )
    rows = [
        {"params": parameters, "lr": 0.0, "weight_decay": decay, "greatest": rate}
        for (rate, decay), parameters in groups.items()
    ]
    return torch.optim.AdamW(rows, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give each group its rate for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = group["greatest"] * factor


def _excepted(module: nn.Module) -> frozenset[str]:
    """Names that the network, or a part of it, wants free of weight decay."""
    found: set[str] = set()
    for name, part in module.named_modules():
        names = getattr(part, "no_weight_decay", None)
        stated: object = names() if callable(names) else ()
        if isinstance(stated, Iterable):
            found.update(f"{name}.{inner}" if name else str(inner) for inner in stated)
    return frozenset(found)
