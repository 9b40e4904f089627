"""A learning rate by trial: the rate rises step by step, and the loss says where that helps and harms."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from signet.errors import BadRequest, CheckFailed
from signet.progress import OnProgress, Progress, silent
from signet.training.augmentation import generator_of
from signet.training.dispatch import Data, device_of, task_of
from signet.training.exactness import bounded_threads, own_random_states, seed_step
from signet.training.freezing import freeze, set_learning_mode
from signet.training.micro_batches import parts_of
from signet.training.optimizers import frozen_by, optimizer_of
from signet.training.settings import TrainSettings

LOWEST, HIGHEST = 1e-6, 1.0
"""Greatest rate of any parameter at the first step and at the last."""
BLOWN_UP = 4.0
"""The trial ends where the smoothed loss is so many times the least one: nothing is to be learned beyond.

Source: fast.ai's `LRFinder`, which stops there, too."""
SMOOTHING = 0.9
"""Share of the running mean that is kept at each step."""
SAFETY = 10.0
"""The suggested rate is at most the rate of the least loss over this.

Source: fast.ai's rule of thumb ("minimum"), documentation of `Learner.lr_find`."""
_ORDER, _DRAWN = 21, 22  # roles of random numbers; others are in loop.py


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCurve:
    """What a trial of rates came to.

    Attributes:
        head_rates: of the head, at each step.
        backbone_rates: of the pretrained stages, likewise; all 0 where they are frozen.
        losses: at each step, smoothed: how far it is from what the network loses on the same images as it was
            given, beside the mean of that. A head that begins as a probe leaves little to gain in a few
            steps, which would else be lost in the differences between batches.
        suggested: the step whose rates are suggested, or None where the loss never fell.
    """

    head_rates: tuple[float, ...]
    backbone_rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggested: int | None

    @property
    def head_rate(self) -> float | None:
        """Suggested for the head; both keep their proportion."""
        return None if self.suggested is None else self.head_rates[self.suggested]

    @property
    def backbone_rate(self) -> float | None:
        """Suggested for the pretrained stages."""
        return None if self.suggested is None else self.backbone_rates[self.suggested]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "head_rate": self.head_rate,
            "backbone_rate": self.backbone_rate,
            "steps": [
                {"head_rate": head, "backbone_rate": backbone, "loss": loss}
                for head, backbone, loss in zip(
                    self.head_rates, self.backbone_rates, self.losses, strict=True
                )
            ],
        }


def find_rate(
    module: nn.Module,
    data: Data,
    settings: TrainSettings,
    *,
    steps: int = 60,
    on_progress: OnProgress = silent,
) -> RateCurve:
    """Train a copy of a network for some steps, each at a higher rate, and see what becomes of the loss.

    All rates of the settings rise together and keep their proportions: head, backbone, single stages.

    Args:
        module: as `train` takes it; not changed.
        data: what to learn from; nothing is validated.
        settings: of the run that the rate is for; schedule and warm-up have no part.
        steps: of the trial.
        on_progress: told after each step.

    Raises:
        BadRequest: fewer than 10 steps; nothing would learn.
        CheckFailed: the loss is no finite number at the first step.

    Source: L. Smith, "Cyclical Learning Rates for Training Neural Networks" (2015), section 3.3.
    """
    if steps < 10:
        raise BadRequest(f"steps: expected at least 10 for a curve, got {steps}.")
    device = device_of(settings.device)
    twin = copy.deepcopy(module).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with own_random_states(device), bounded_threads(settings.threads):
        frozen = frozen_by(twin, settings)
        freeze(twin, frozen)
        set_learning_mode(twin, frozen, settings.batchnorm, settings.classifier)
        optimizer = optimizer_of(twin, settings)
        greatest = max(float(group["greatest"]) for group in optimizer.param_groups)
        factors = np.geomspace(LOWEST / greatest, HIGHEST / greatest, steps)
        losses = _losses((twin, copy.deepcopy(twin)), optimizer, data, settings, factors, on_progress)
    done = factors[: len(losses)]
    return RateCurve(
        head_rates=tuple(float(settings.head_rate * factor) for factor in done),
        backbone_rates=tuple(float(settings.backbone_rate * factor) for factor in done),
        losses=tuple(losses),
        suggested=suggested(losses, done),
    )


def suggested(losses: list[float], factors: np.ndarray[Any, np.dtype[np.float64]]) -> int | None:
    """The step where the smoothed loss falls most steeply, at a rate well below that of the least loss.

    Args:
        losses: smoothed, of each step.
        factors: float64 (S,), of the rates, rising.

    Returns:
        None where the loss never falls below that of the first step by a hundredth.
    """
    values = np.asarray(losses)
    least = int(values.argmin())
    if least < 2 or values[least] > 0.99 * values[0]:
        return None
    slopes = np.gradient(values, np.log(factors))
    steepest = int(slopes[: least + 1].argmin())
    bound = int(np.searchsorted(factors, factors[least] / SAFETY, side="right")) - 1
    return max(0, min(steepest, bound))


def _losses(
    networks: tuple[nn.Module, nn.Module],
    optimizer: torch.optim.Optimizer,
    data: Data,
    settings: TrainSettings,
    factors: np.ndarray[Any, np.dtype[np.float64]],
    on_progress: OnProgress,
) -> list[float]:
    """The smoothed loss of each step, until it blows up; of two networks the first one learns."""
    module, given = networks
    task = task_of(data, settings)
    order: list[Any] = []
    losses: list[float] = []
    changes: list[float] = []
    mean, epoch = 0.0, 0
    for step, factor in enumerate(factors):
        if not order:
            epoch += 1
            shuffled = generator_of(settings.seed, _ORDER, epoch).permutation(task.count)
            order = np.array_split(shuffled, task.steps)
        indices = order.pop(0)
        for group in optimizer.param_groups:
            group["lr"] = group["greatest"] * float(factor)
        optimizer.zero_grad(set_to_none=True)
        loss = before = 0.0
        parts = min(len(indices), settings.optimisation.accumulate)
        for place, part in enumerate(parts_of(task.examples(indices, epoch), len(indices), parts)):
            seed_step(torch.device(settings.device), settings.seed, _DRAWN, step, place)
            with torch.no_grad():
                before += float(task.loss(given, part.examples)) * part.share
            # The same dropout in both.
            seed_step(torch.device(settings.device), settings.seed, _DRAWN, step, place)
            cost = task.loss(module, part.examples) * part.share
            cost.backward()  # type: ignore[no-untyped-call]
            loss += float(cost.detach())
        if not math.isfinite(loss):
            if not losses:
                raise CheckFailed(
                    f"find_rate: expected a finite loss before anything was learned, got {loss}. Verify the "
                    "model first."
                )
            break
        nn.utils.clip_grad_norm_(module.parameters(), settings.optimisation.clip or math.inf)
        optimizer.step()
        losses.append(before)
        mean = SMOOTHING * mean + (1 - SMOOTHING) * (loss - before)
        changes.append(mean / (1 - SMOOTHING ** (step + 1)))
        on_progress(Progress("finding a rate", step + 1, len(factors), unit="steps"))
        usual = float(np.mean(losses))
        if usual + changes[-1] > BLOWN_UP * (usual + min(changes)):
            break
    return [float(np.mean(losses)) + change for change in changes]
