"""Learning rates that are known to destroy a pretrained network of a kind, and the refusal of them.

Source: benchmarks/results/rates-2026-11-21.md for what was measured here, made by benchmarks/rates.py.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from torch import nn

from signet.errors import BadRequest
from signet.training.families import makeup_of
from signet.training.freezing import LIVE, batchnorm_policies
from signet.training.optimisation import OptimizerName
from signet.training.optimizers import frozen_by, rates_of
from signet.training.settings import TrainSettings
from signet.training.stages import is_in_head

Kind = Literal["attention", "frozen BatchNorm", "learning BatchNorm", "no BatchNorm"]
"""What decides how high a rate a network bears; one network can be of two kinds."""

WHOLE = 0.5
"""Share of the backbone's parameters from which on a training counts as one of the whole network, which the
limits are of."""

_ADAM: tuple[OptimizerName, ...] = ("adamw", "adam", "radam", "nadam")
"""Of these AdamW was measured; all four move a weight by about the rate in a step, whatever the gradient."""

_MEASURED = (
    "a {network} that began with {before} of 300 CIFAR-10 images right had {after} of them after 30 steps "
    "at {rate} (benchmarks/results/rates-2026-11-21.md)"
)
_MOBILENET = "MobileNetV2"
_UNMEASURED = "no pretrained transformer was at hand to measure it, so this is what the authors of one use: "


@dataclass(frozen=True, slots=True)
class Limit:
    """The highest rate that is taken without being asked twice.

    Attributes:
        kind: of networks.
        optimizers: of which it is a limit.
        greatest: rate of pretrained stages that is still taken: the highest one measured that destroyed
            nothing, or the highest one published.
        why: what is known beyond it, and from where.
        measured: whether it was measured here.
    """

    kind: Kind
    optimizers: tuple[OptimizerName, ...]
    greatest: float
    why: str
    measured: bool = True


LIMITS = (
    Limit(
        "frozen BatchNorm",
        _ADAM,
        3e-4,
        _MEASURED.format(
            network=_MOBILENET, before="50 %", after="11 %", rate="1e-3 with AdamW and frozen statistics"
        ),
    ),
    Limit(
        "learning BatchNorm",
        _ADAM,
        3e-3,
        _MEASURED.format(
            network=_MOBILENET, before="50 %", after="1 %", rate="1e-2 with AdamW and statistics that learn"
        ),
    ),
    Limit(
        "frozen BatchNorm",
        ("sgd",),
        0.03,
        _MEASURED.format(
            network=_MOBILENET, before="50 %", after="11 %", rate="0.1 with SGD and frozen statistics"
        ),
    ),
    Limit(
        "no BatchNorm",
        _ADAM,
        3e-4,
        _MEASURED.format(network="SqueezeNet", before="57 %", after="23 %", rate="1e-3 with AdamW"),
    ),
    Limit(
        "no BatchNorm",
        ("sgd",),
        0.03,
        _MEASURED.format(network="SqueezeNet", before="57 %", after="18 %", rate="0.1 with SGD"),
    ),
    Limit(
        "attention",
        _ADAM,
        1e-3,
        f"{_UNMEASURED}BEiT is fine-tuned with AdamW at 2e-5 to 1e-3, and at 4e-3 only where the rate falls "
        "by 0.65 from stage to stage (microsoft/unilm, beit/get_started_for_image_classification.md)",
        measured=False,
    ),
    Limit(
        "attention",
        ("sgd",),
        0.03,
        f"{_UNMEASURED}ViT is fine-tuned with SGD at 0.03, in batches of 512 and with the gradient's norm "
        "clipped at 1 (google-research/vision_transformer, vit_jax/configs/common.py)",
        measured=False,
    ),
)
"""Rates with SGD and statistics that learn are not limited: there every rate that was measured did harm, the
lowest too, so it is not the rate that decides. RMSprop and Adagrad were not measured and have
no limit."""


def refuse_rates(module: nn.Module, settings: TrainSettings) -> None:
    """Refuse a rate of pretrained stages that is known to destroy networks of their kind.

    Args:
        module: with its pretrained weights.
        settings: of the run.

    Raises:
        BadRequest: with the reason, its source and how to do it all the same.
    """
    found = beyond_limit(module, settings)
    if found is not None:
        rate, limit = found
        raise BadRequest(
            f"backbone_rate {rate:g}: expected at most {limit.greatest:g} for all stages of a pretrained "
            f"network with {limit.kind} and {settings.optimisation.optimizer}: {limit.why}. Lower the rate, "
            "freeze more stages, or insist with --allow-rate (allow_rate = true)."
        )


def beyond_limit(module: nn.Module, settings: TrainSettings) -> tuple[float, Limit] | None:
    """The highest rate of pretrained stages and the lowest limit that it is beyond; None where it is not.

    Args:
        module: with its pretrained weights.
        settings: of the run.
    """
    frozen = frozen_by(module, settings)
    body = {
        name: parameter.numel()
        for name, parameter in module.named_parameters()
        if not is_in_head(name, settings.classifier)
    }
    learning = body.keys() - frozen
    if sum(body[name] for name in learning) < WHOLE * sum(body.values()) or not learning:
        return None
    rates = rates_of(module, settings)
    rate = max(rates[name] for name in learning)
    kinds = kinds_of(module, settings, learning)
    fitting = [
        limit
        for limit in LIMITS
        if limit.kind in kinds
        and settings.optimisation.optimizer in limit.optimizers
        and rate > limit.greatest
    ]
    return (rate, min(fitting, key=lambda one: one.greatest)) if fitting else None


def kinds_of(module: nn.Module, settings: TrainSettings, learning: AbstractSet[str]) -> frozenset[Kind]:
    """What decides how high a rate a network bears.

    Args:
        module: the network.
        settings: for what becomes of the statistics of each BatchNorm.
        learning: names of the parameters of the backbone that learn.
    """
    found = makeup_of(module, learning)
    kinds: set[Kind] = {"attention"} if found.attention else set()
    if not found.batchnorm:
        return frozenset(kinds or {"no BatchNorm"})
    policies = batchnorm_policies(
        module,
        frozenset(name for name, _ in module.named_parameters() if name not in learning),
        settings.batchnorm,
        settings.classifier,
        dict(settings.batchnorm_stages),
    )
    for name, policy in policies.items():
        if any(own.startswith(f"{name}.") for own in learning):
            kinds.add("learning BatchNorm" if policy in LIVE else "frozen BatchNorm")
    return frozenset(kinds)
