"""How the learning rate, and with "one-cycle" the momentum, go over the steps of a run."""

from __future__ import annotations

import math
from typing import Any

import torch

from signet.training.optimisation import Optimisation

RISE, FIRST, LAST = 0.3, 1 / 25, 1 / 250_000
"""Of "one-cycle": the share of the steps in which the rate rises, where it begins, and where it ends.

Source: torch `OneCycleLR`, whose defaults these are (`pct_start`, `div_factor`, `final_div_factor`)."""

SLOW, FAST = 0.95, 0.85
"""Its momentum where the rate is low, and where it is highest.

Source: L. Smith, "A disciplined approach to neural network hyper-parameters" (2018), section 4.3."""


def rate_factor(step: int, steps: int, how: Optimisation) -> float:
    """Share of the greatest learning rate at a step.

    Args:
        step: from 0.
        steps: of the whole run.
        how: schedule, warm-up.

    Source: I. Loshchilov, F. Hutter, "SGDR" (2017), equation 5 without restarts, for "cosine"; P. Goyal et
        al., "Accurate, Large Minibatch SGD" (2017), section 2.2, for the warm-up, and section 5.1 for "step";
        L. Smith, N. Topin, "Super-Convergence" (2017), section 3, for "one-cycle".
    """
    if how.schedule == "one-cycle":
        return _one_cycle(step, steps, FIRST, 1.0, LAST)
    rising = round(how.warmup * steps)
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    match how.schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        case "linear":
            return 1 - done
        case "step":
            return float(how.step_factor ** sum(step >= share * steps for share in how.step_at))
        case _:
            return 1.0


def set_rates(optimizer: torch.optim.Optimizer, step: int, steps: int, how: Optimisation) -> None:
    """Give each group its rate, and with "one-cycle" its momentum, for a step.

    Args:
        optimizer: of `optimizer_of`; changed in place.
        step: from 0.
        steps: of the whole run.
        how: the schedule.
    """
    factor = rate_factor(step, steps, how)
    for group in optimizer.param_groups:
        group["lr"] = group["greatest"] * factor
        if how.schedule == "one-cycle":
            _set_momentum(group, _one_cycle(step, steps, SLOW, FAST, SLOW))


def change_rates(optimizer: torch.optim.Optimizer, times: float, held: float | None = None) -> None:
    """Change the rates that a schedule has set, all alike.

    Args:
        optimizer: of `optimizer_of`; changed in place.
        times: what each rate is multiplied by.
        held: share of the greatest rates that comes in place of the schedule's; None for the schedule's own.
    """
    for group in optimizer.param_groups:
        group["lr"] = (group["lr"] if held is None else group["greatest"] * held) * times


def _one_cycle(step: int, steps: int, first: float, middle: float, last: float) -> float:
    """Half a cosine from the first value to the middle one, and half a cosine to the last."""
    top = max(1, round(RISE * steps))
    if step < top:
        return _between(first, middle, step / top)
    return _between(middle, last, (step - top) / max(1, steps - 1 - top))


def _between(start: float, end: float, done: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    """What a group has of it: a momentum, or the first of Adam's two decays."""
    if "betas" in group:
        group["betas"] = (momentum, group["betas"][1])
    elif "momentum" in group:
        group["momentum"] = momentum
