"""A learning rate by trial: the rate rises step by step, and the loss says where that helps and harms."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from signet.arrays import Integers
from signet.errors import BadRequest, CheckFailed
from signet.progress import OnProgress, Progress, silent
from signet.training.dispatch import Data, device_of, task_of
from signet.training.exactness import (
    DRAWN_BY_NETWORK,
    bounded_threads,
    order_of,
    own_random_states,
    seed_step,
)
from signet.training.freezing import freeze, refuse_moving
from signet.training.micro_batches import is_out_of_memory, parts_of
from signet.training.optimizers import frozen_by, optimizer_of
from signet.training.phases import activations_in, enter, phase_of, set_modes, to_adapt
from signet.training.reviewing import re_estimated
from signet.training.settings import TrainSettings
from signet.training.tasks import Examples, LearningTask

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

    They are the first steps that `train` would make of the same arguments, but for the rate: the same
    batches, the same stages that learn or thaw, the same statistics of each BatchNorm. All rates of the
    settings rise together and keep their proportions: head, backbone, single stages.

    Args:
        module: as `train` takes it; not changed.
        data: what to learn from; nothing is validated.
        settings: of the run that the rate is for; schedule and warm-up have no part.
        steps: of the trial.
        on_progress: told after each step.

    Raises:
        BadRequest: fewer than 10 steps; nothing would learn.
        CheckFailed: the loss is no finite number at the first step; memory runs out.

    Source: L. Smith, "Cyclical Learning Rates for Training Neural Networks" (2015), section 3.3.
    """
    if steps < 10:
        raise BadRequest(f"steps: expected at least 10 for a curve, got {steps}.")
    device = device_of(settings.device)
    twin = copy.deepcopy(module).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with own_random_states(device), bounded_threads(settings.threads):
        never = frozen_by(twin, settings)
        freeze(twin, never)
        refuse_moving(twin, never, settings.classifier, dict(settings.batchnorm_stages))
        optimizer = optimizer_of(twin, settings)
        greatest = max(float(group["greatest"]) for group in optimizer.param_groups)
        factors = np.geomspace(LOWEST / greatest, HIGHEST / greatest, steps)
        try:
            losses = _losses((twin, copy.deepcopy(twin)), optimizer, data, settings, factors, on_progress)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise CheckFailed(
                f"find_rate: memory ran out for a batch of {settings.batch} and two copies of the network. "
                "Give a smaller batch with accumulate raised alike, a smaller input_size, or set "
                "checkpoint_activations."
            ) from error
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
    losses: list[float] = []
    changes: list[float] = []
    mean = 0.0
    for factor, at in zip(factors, _steps(task, settings), strict=False):
        if not at.step:
            _begin_epoch(networks, task, settings, at.epoch)
        for group in optimizer.param_groups:
            group["lr"] = group["greatest"] * float(factor)
        optimizer.zero_grad(set_to_none=True)
        examples = task.examples(at.indices, at.epoch)
        with torch.no_grad():
            before = _loss(given, task, settings, at, examples)
        with activations_in(module, settings, phase_of(module, settings, at.epoch)):
            loss = _loss(module, task, settings, at, examples)
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
        changes.append(mean / (1 - SMOOTHING ** len(losses)))
        on_progress(Progress("finding a rate", len(losses), len(factors), unit="steps"))
        usual = float(np.mean(losses))
        if usual + changes[-1] > BLOWN_UP * (usual + min(changes)):
            break
    return [float(np.mean(losses)) + change for change in changes]


class _Step(NamedTuple):
    """Epoch, from 1; step of it, from 0; the examples that it takes."""

    epoch: int
    step: int
    indices: Integers


def _steps(task: LearningTask, settings: TrainSettings) -> Iterator[_Step]:
    """The steps of a training, without end."""
    for epoch in itertools.count(1):
        order = order_of(settings.seed, epoch, task.count)
        for step, indices in enumerate(np.array_split(order, task.steps)):
            yield _Step(epoch, step, indices)


def _begin_epoch(
    networks: tuple[nn.Module, ...], task: LearningTask, settings: TrainSettings, epoch: int
) -> None:
    """As `train` begins an epoch: what thaws learns, and what is to be adapted is."""
    for module in networks:
        phase = phase_of(module, settings, epoch)
        enter(module, settings, phase)
        names = to_adapt(module, settings, epoch, epoch - 1)
        if names:
            with torch.no_grad():
                re_estimated(task, module, names, settings.batch)
            set_modes(module, settings, phase)


def _loss(
    module: nn.Module, task: LearningTask, settings: TrainSettings, at: _Step, examples: Examples
) -> float:
    """The loss of a step; its gradient, too, where gradients are recorded."""
    # The same dropout in both networks, as training would draw it.
    seed_step(torch.device(settings.device), settings.seed, DRAWN_BY_NETWORK, at.epoch, at.step)
    count, total = len(at.indices), 0.0
    for part in parts_of(examples, count, min(count, settings.optimisation.accumulate)):
        cost = task.loss(module, part.examples) * part.share
        if torch.is_grad_enabled():
            cost.backward()  # type: ignore[no-untyped-call]
        total += float(cost.detach())
    return total
