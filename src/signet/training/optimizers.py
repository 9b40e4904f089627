"""The optimizer: which parameters learn, by which of torch's algorithms, and how fast each at most."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from signet.errors import BadRequest
from signet.training.optimisation import Optimisation
from signet.training.settings import TrainSettings
from signet.training.stages import frozen_parameters, is_in_head, stages_of


def frozen_by(module: nn.Module, settings: TrainSettings) -> frozenset[str]:
    """Names of the parameters that never learn: those in frozen stages, or all but the head's at rate 0.

    Raises:
        UnknownName: `settings.frozen` names a stage that is none.
    """
    if settings.backbone_rate > 0:
        return frozen_parameters(module, settings.classifier, settings.frozen)
    names = (name for name, _ in module.named_parameters())
    return frozenset(name for name in names if not is_in_head(name, settings.classifier))


def frozen_in(module: nn.Module, settings: TrainSettings, epoch: int) -> frozenset[str]:
    """Names of the parameters that do not learn in an epoch: those that never do, and those still to thaw.

    Raises:
        UnknownName: `settings.frozen` or `settings.thaw` names a stage that is none.

    Source: J. Howard, S. Ruder, "ULMFiT" (2018), section 3.3, for the gradual unfreezing.
    """
    later = [name for name, first in settings.thaw if first > epoch]
    return frozen_by(module, settings) | frozen_parameters(module, settings.classifier, later)


def optimizer_of(module: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """The optimizer over what may learn, in groups that know their greatest rate (`greatest`).

    Norms, biases and all other vectors have no weight decay, nor have what the network itself excepts
    (timm's `no_weight_decay`: position embeddings, class tokens).

    Raises:
        BadRequest: nothing may learn.
        UnknownName: `stage_rates` names a stage that is none.
    """
    how, excepted = settings.optimisation, _excepted(module)
    rates = rates_of(module, settings)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            decay = 0.0 if parameter.ndim <= 1 or name in excepted else how.weight_decay
            groups.setdefault((rates[name], decay), []).append(parameter)
    if not any(rate > 0 for rate, _ in groups):
        raise BadRequest(
            "training: expected parameters that learn, got none: all stages are frozen or all rates are 0. "
            "Freeze fewer stages, or set head_rate above 0."
        )
    rows: list[dict[str, Any]] = [
        {"params": parameters, "lr": 0.0, "weight_decay": decay, "greatest": rate}
        for (rate, decay), parameters in groups.items()
    ]
    # torch's fused SGD wants a momentum of every parameter once it has one of any; what thaws has none yet.
    return _made(rows, how, fused_sgd=not settings.thaw)


def _made(rows: list[dict[str, Any]], how: Optimisation, *, fused_sgd: bool) -> torch.optim.Optimizer:
    """One of torch's own over groups of parameters.

    AdamW, RAdam and NAdam decay weights beside the gradient, the others as a part of it.

    Source: I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization" (2019), algorithms 1 and 2;
        D. Kingma, J. Ba, "Adam" (2015); L. Liu et al., "On the Variance of the Adaptive Learning Rate and
        Beyond" (2020); T. Dozat, "Incorporating Nesterov Momentum into Adam" (2016); J. Duchi et al.,
        "Adaptive Subgradient Methods" (2011).
    """
    match how.optimizer:
        case "adamw":
            return torch.optim.AdamW(rows, fused=True)
        case "adam":
            return torch.optim.Adam(rows, fused=True)
        case "sgd":
            return torch.optim.SGD(rows, momentum=how.momentum, nesterov=how.nesterov, fused=fused_sgd)
        case "radam":
            return torch.optim.RAdam(rows, decoupled_weight_decay=True)
        case "nadam":
            return torch.optim.NAdam(rows, decoupled_weight_decay=True)
        case "rmsprop":
            return torch.optim.RMSprop(rows, momentum=how.momentum)
        case "adagrad":
            return torch.optim.Adagrad(rows)


def rates_of(module: nn.Module, settings: TrainSettings) -> dict[str, float]:
    """Greatest rate of each parameter, by name; of frozen ones, what it would be.

    Raises:
        UnknownName: `stage_rates` names a stage that is none.

    Source: K. Clark et al., "ELECTRA" (2020), appendix A, and H. Bao et al., "BEiT" (2022), section 3.1, for
        the decay by layers; J. Howard, S. Ruder, "ULMFiT" (2018), section 3.2, for rates of single stages.
    """
    how, classifier = settings.optimisation, settings.classifier
    rates: dict[str, float] = {}
    rate = settings.backbone_rate
    for stage in reversed(stages_of(module, classifier)):
        if is_in_head(stage.name, classifier):
            rates.update(dict.fromkeys(stage.parameters, settings.head_rate))
            continue
        rates.update(dict.fromkeys(stage.parameters, rate))
        rate *= how.layer_decay
    for name, own in sorted(how.stage_rates, key=lambda entry: len(entry[0])):
        rates.update(dict.fromkeys(frozen_parameters(module, classifier, (name,)), own))
    return rates


def _excepted(module: nn.Module) -> frozenset[str]:
    """Names that the network, or a part of it, wants free of weight decay."""
    found: set[str] = set()
    for name, part in module.named_modules():
        names = getattr(part, "no_weight_decay", None)
        stated: object = names() if callable(names) else ()
        if isinstance(stated, Iterable):
            found.update(f"{name}.{inner}" if name else str(inner) for inner in stated)
    return frozenset(found)
