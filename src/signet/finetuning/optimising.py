"""What a recipe asks of the optimizer, and how quick this machine is with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signet.errors import CheckFailed
from signet.geometry import Size
from signet.recipes import Recipe

STEPPED_WITH = (
    "optimizer",
    "momentum",
    "nesterov",
    "schedule",
    "step_at",
    "step_factor",
    "layer_decay",
    "stage_rates",
    "allow_rate",
    "freeze",
    "accumulate",
    "training_precision",
    "checkpoint_activations",
    "workers",
)
"""Settings of any training; a probe has no use for them."""

_IGNORED: dict[str, tuple[str, tuple[str, ...]]] = {
    "head": (
        "which leaves all below the head as it is",
        ("backbone_rate", "stage_rates", "layer_decay", "freeze", "frozen_stages"),
    ),
    "lora": ("whose adapters learn at the head's rate", ("backbone_rate", "freeze", "frozen_stages")),
    "scratch": ("in which everything learns at the head's rate", ("backbone_rate",)),
}

BATCHES = (8, 16, 32, 64, 128, 256)
"""What `batch = "auto"` tries."""
LEAST_STEPS = 10
"""Steps that an epoch keeps: a batch that leaves fewer is not tried."""
ENOUGH = 0.9
"""Share of the best pace with which a smaller batch is content."""
TRIAL_SECONDS = 20.0
"""Time after which nothing more is tried."""


def optimisation_of(recipe: Recipe, body: str = "") -> Any:
    """`TrainSettings.optimisation`.

    Args:
        recipe: what it asks for.
        body: name of the backbone inside the network; names of stages are those inside it.
    """
    from signet.training import Optimisation

    before = f"{body}." if body else ""
    return Optimisation(
        optimizer=recipe.optimizer,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        schedule=recipe.schedule,
        warmup=recipe.warmup,
        step_at=recipe.step_at,
        step_factor=recipe.step_factor,
        clip=recipe.gradient_clip,
        layer_decay=recipe.layer_decay,
        stage_rates=tuple((f"{before}{name}", rate) for name, rate in recipe.stage_rates.items()),
        accumulate=recipe.accumulate,
        checkpoint_activations=recipe.checkpoint_activations,
    )


def reasons(recipe: Recipe) -> tuple[str, ...]:
    """What of it a person should know before the start, one sentence each."""
    said = []
    if recipe.optimizer != "adamw" or recipe.schedule != "cosine":
        said.append(f"{recipe.optimizer} with the schedule {recipe.schedule}, since the recipe says so")
    if recipe.layer_decay < 1:
        said.append(f"each stage learns at {recipe.layer_decay:g} of the rate of the one after it")
    if recipe.stage_rates:
        rates = ", ".join(f"{name} at {rate:g}" for name, rate in recipe.stage_rates.items())
        said.append(f"stages with a rate of their own: {rates}")
    if recipe.accumulate > 1:
        said.append(f"the gradients of {recipe.accumulate} batches make one step together")
    if recipe.checkpoint_activations:
        said.append("activations are computed twice, to keep less in memory")
    return tuple(said)


def useless(strategy: str) -> tuple[str, ...]:
    """Names of settings that have no part in a strategy that trains."""
    return _IGNORED.get(strategy, ("", ()))[1]


def ignored(recipe: Recipe, strategy: str) -> tuple[str, ...]:
    """What of the recipe has no part in the strategy, for the plan; what contradicts a named one is refused.

    Args:
        recipe: what it asks for.
        strategy: that is trained, never "auto".
    """
    reason, _ = _IGNORED.get(strategy, ("", ()))
    blank = Recipe()
    unused = [name for name in useless(strategy) if getattr(recipe, name) != getattr(blank, name)]
    return (f"{', '.join(unused)} of the recipe: no part of strategy {strategy}, {reason}",) if unused else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a short trial on this machine came to.

    Attributes:
        batch: images that go through the network at once.
        bf16: whether it computes in bfloat16.
        seconds_per_image: of training.
        why: the reasons of what was chosen, one sentence each.
    """

    batch: int
    bf16: bool
    seconds_per_image: float
    why: tuple[str, ...] = ()


def tried(
    module: Any,
    settings: Any,
    size: Size,
    recipe: Recipe,
    *,
    images: int,
    example: Mapping[str, Any] | None = None,
) -> Trial:
    """Let a copy of the network take a few steps, with each batch and precision that the recipe leaves open.

    Args:
        module: with its head; not changed.
        settings: `TrainSettings`; what the recipe leaves open has any value.
        size: (height, width) of its input.
        recipe: whose `batch` and `training_precision` are asked.
        images: to learn from in an epoch.
        example: as `images_per_second` takes it.

    Raises:
        BadRequest: a rate is known to destroy such a network, and the recipe does not insist on it.
        CheckFailed: there is no memory for a single image.
    """
    from signet.training import images_per_second, paces, refuse_rates

    if recipe.strategy != "scratch" and not recipe.allow_rate:
        refuse_rates(module, settings)
    why: list[str] = []
    bf16 = recipe.training_precision == "bf16"
    if recipe.training_precision == "auto":
        both = [
            images_per_second(module, dataclasses.replace(settings, bf16=coarse), size, example)
            for coarse in (False, True)
        ]
        bf16 = both[1] > both[0]
        why.append(
            f"{'bf16' if bf16 else 'fp32'}, the quicker one here ({both[0]:.3g} images a second in fp32, "
            f"{both[1]:.3g} in bf16)"
        )
    settings = dataclasses.replace(settings, bf16=bf16)
    if recipe.batch != "auto":
        pace = _affordable_pace(module, settings, size, example)
        return Trial(batch=settings.batch, bf16=bf16, seconds_per_image=1 / pace, why=tuple(why))
    fitting = [batch for batch in BATCHES if batch * recipe.accumulate * LEAST_STEPS <= images] or BATCHES[:1]
    found = paces(module, settings, size, fitting, seconds=TRIAL_SECONDS, example=example)
    batch = next(batch for batch, pace in found.items() if pace >= ENOUGH * max(found.values()))
    words = ", ".join(f"{pace:.3g} with {tried_batch}" for tried_batch, pace in found.items())
    why.append(f"batches of {batch}, by images a second here: {words}")
    return Trial(batch=batch, bf16=bf16, seconds_per_image=1 / found[batch], why=tuple(why))


def _affordable_pace(module: Any, settings: Any, size: Size, example: Mapping[str, Any] | None) -> float:
    """Images a second with the batch as it is, or with what of it there is memory for, as in training.

    Raises:
        CheckFailed: there is no memory for a single image.
    """
    from signet.training import paces

    batch = settings.batch
    while True:
        try:
            found = paces(module, settings, size, [batch], seconds=TRIAL_SECONDS, example=example)
        except CheckFailed:
            if batch == 1:
                raise
            batch = -(-batch // 2)
        else:
            return found[batch]


def batch_of(recipe: Recipe, usual: int) -> int:
    """The recipe's batch, or the usual one where the recipe, or a trial to come, leaves it open."""
    return recipe.batch if isinstance(recipe.batch, int) else usual
