"""Learning rates that are known to destroy a pretrained network of a family, and the refusal of them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from torch import nn

from signet.errors import BadRequest
from signet.training.freezing import is_batchnorm
from signet.training.optimisation import OptimizerName
from signet.training.optimizers import frozen_by, rates_of
from signet.training.settings import TrainSettings
from signet.training.stages import is_in_head

Family = Literal["transformer", "frozen BatchNorm", "learning BatchNorm", "other"]
WHOLE = 0.5
"""Share of the backbone's parameters from which on a training counts as one of the whole network, which the
limits are of."""

_ADAM: tuple[OptimizerName, ...] = ("adamw", "adam", "radam", "nadam")
_MEASURED = (
    "a MobileNetV2 that began with {before} of 300 CIFAR-10 images right had {after} of them after 30 steps "
    "at {rate} (benchmarks/results/rates-2026-11-21.md)"
)


@dataclass(frozen=True, slots=True)
class Limit:
    """The highest rate that is taken without being asked twice.

    Attributes:
        family: of networks.
        optimizers: of which it is a limit.
        greatest: rate of pretrained stages that is still taken.
        why: what is known beyond it, and from where.
    """

    family: Family
    optimizers: tuple[OptimizerName, ...]
    greatest: float
    why: str


LIMITS = (
    Limit(
        "frozen BatchNorm",
        _ADAM,
        1e-3,
        _MEASURED.format(before="50 %", after="11 %", rate="3e-3 with AdamW and frozen statistics"),
    ),
    Limit(
        "learning BatchNorm",
        _ADAM,
        3e-3,
        _MEASURED.format(before="50 %", after="1 %", rate="1e-2 with AdamW and statistics that learn"),
    ),
    Limit(
        "frozen BatchNorm",
        ("sgd",),
        0.03,
        _MEASURED.format(before="50 %", after="11 %", rate="0.1 with SGD and frozen statistics"),
    ),
    Limit(
        "transformer",
        _ADAM,
        1e-3,
        "Adam moves every weight by about the rate in each step, and 1e-3 is the rate at which vision "
        "transformers learn from random weights (arXiv:2106.10270, section 3.3)",
    ),
    Limit(
        "transformer",
        ("sgd",),
        0.06,
        "0.06 is the highest rate that the authors of the vision transformer tried for fine-tuning "
        "(arXiv:2010.11929, table 4)",
    ),
)
"""Measured where it says so; of transformers what was published. Half of a rate above the limit is not safe,
and a rate below it need not be good: `find_rate` looks for one."""


def refuse_rates(module: nn.Module, settings: TrainSettings) -> None:
    """Refuse a rate of pretrained stages that is known to destroy networks of this family.

    Args:
        module: with its pretrained weights.
        settings: of the run.

    Raises:
        BadRequest: with the reason, its source and how to do it all the same.
    """
    frozen = frozen_by(module, settings)
    body = {
        name: parameter.numel()
        for name, parameter in module.named_parameters()
        if not is_in_head(name, settings.classifier)
    }
    learning = body.keys() - frozen
    if sum(body[name] for name in learning) < WHOLE * sum(body.values()) or not learning:
        return
    rates = rates_of(module, settings)
    rate = max(rates[name] for name in learning)
    family = family_of(module, settings, learning)
    for limit in LIMITS:
        if limit.family != family or settings.optimisation.optimizer not in limit.optimizers:
            continue
        if rate > limit.greatest:
            raise BadRequest(
                f"backbone_rate {rate:g}: expected at most {limit.greatest:g} for all stages of a pretrained "
                f"network ({family}) with {settings.optimisation.optimizer}: {limit.why}. Lower the rate, "
                "freeze more stages, or insist with --allow-rate (allow_rate = true)."
            )


def family_of(module: nn.Module, settings: TrainSettings, learning: AbstractSet[str]) -> Family:
    """What decides how high a rate a network bears.

    Args:
        module: the network.
        settings: for what becomes of the statistics of BatchNorm.
        learning: names of the parameters of the backbone that learn.
    """
    heads = settings.classifier
    layers = [
        (name, layer)
        for name, layer in module.named_modules()
        if not is_in_head(name, heads) and any(own.startswith(f"{name}.") for own in learning)
    ]
    if any(is_batchnorm(layer) for _, layer in layers):
        live = settings.batchnorm in ("batch", "re-estimated")
        return "learning BatchNorm" if live else "frozen BatchNorm"
    attends = any("attention" in type(layer).__name__.lower() for _, layer in layers)
    return "transformer" if attends else "other"
