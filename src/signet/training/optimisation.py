"""How a step is made: the optimizer, what it is given, and how its rate goes, as one part of the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from signet.errors import BadRequest
from signet.training.checks import Range, Whole, check_fields, check_range

OptimizerName = Literal["adamw", "sgd", "adam", "radam", "nadam", "rmsprop", "adagrad"]
ScheduleName = Literal["cosine", "linear", "constant", "one-cycle", "step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """How a step is made.

    Attributes:
        optimizer: one of torch's own; see `optimizers`.
        momentum: of "sgd" and "rmsprop".
        nesterov: of "sgd": the gradient is taken ahead of the momentum.
        weight_decay: norms, biases and all other vectors have none.
        schedule: how the rate goes after the warm-up: "cosine" and "linear" down to 0, "constant", "step"
            (see `step_at`); "one-cycle" has a rise of its own, and lets the momentum go the other way.
        warmup: share of all steps in which the rate rises from 0; of no use to "one-cycle".
        step_at: of the schedule "step": shares of the run after which the rate is multiplied.
        step_factor: by what.
        clip: greatest norm of the gradient; 0 does not clip.
        layer_decay: the stage below the head learns at the backbone's rate, and each one before it at this
            share of the rate of the one after it; 1 for one rate.
        stage_rates: (name, greatest rate) of stages that have their own, by name or dotted prefix, the
            longest one that fits; they win over `layer_decay` and over the head's rate.
        accumulate: batches whose gradients make one step together.
        checkpoint_activations: stages that learn compute their activations twice instead of keeping them.
    """

    optimizer: OptimizerName = "adamw"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.02
    schedule: ScheduleName = "cosine"
    warmup: float = 0.1
    step_at: tuple[float, ...] = (0.5, 0.75)
    step_factor: float = 0.1
    clip: float = 1.0
    layer_decay: float = 1.0
    stage_rates: tuple[tuple[str, float], ...] = ()
    accumulate: int = 1
    checkpoint_activations: bool = False

    def __post_init__(self) -> None:
        check_fields(self, _WHOLE, _RANGES, _CHOICES)
        for share in self.step_at:
            check_range(Range("step_at", 0, 1, "It is a share of all steps.", open_end=True), share)
        if list(self.step_at) != sorted(self.step_at):
            raise BadRequest(f"step_at: expected shares that rise, got {list(self.step_at)}.")
        for name, rate in self.stage_rates:
            if not name or not 0 < rate < math.inf:
                raise BadRequest(
                    f"stage_rates: expected a rate above 0 for each name of a stage, got {name!r}: {rate!r}. "
                    "A stage that is not to learn is frozen instead."
                )
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise BadRequest(
                f"nesterov: expected the optimizer 'sgd' with momentum, got {self.optimizer!r} with "
                f"{self.momentum:g}. Leave nesterov out, or choose that."
            )
        object.__setattr__(self, "step_at", tuple(self.step_at))
        object.__setattr__(self, "stage_rates", tuple((name, rate) for name, rate in self.stage_rates))


_WHOLE = (Whole("accumulate", 1),)
_RANGES = (
    Range("momentum", 0, 1, "At 1 it never forgets a gradient.", open_end=True),
    Range("weight_decay", 0, 1),
    Range("warmup", 0, 1, "It is a share of all steps.", open_end=True),
    Range("step_factor", 0, 1),
    Range("clip", 0, math.inf, open_end=True),
    Range("layer_decay", 0.01, 1, "Earlier stages learn no faster than later ones."),
)
_CHOICES = {
    "optimizer": ("adamw", "sgd", "adam", "radam", "nadam", "rmsprop", "adagrad"),
    "schedule": ("cosine", "linear", "constant", "one-cycle", "step"),
}
