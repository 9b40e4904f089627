"""A search of settings within a time: many are tried for an epoch, the better third for three, and so on.

What is tried is decided by the seed and by how many rungs the plan has; the plan takes these from a trial of
the time that an epoch takes, and an interrupted search goes on with the same ones. Only validation images
judge. The recipe's own settings are always among those that are tried. No trial learns at a rate that is
known to destroy such a network: the limits of `signet.training.rate_limits` hold for each, unless the recipe
insists.

Source: K. Jamieson, A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
(2016), algorithm 1 (successive halving), with a third kept in place of a half.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from signet.errors import Diverged
from signet.finetuning import scoring
from signet.finetuning.jobs import Job
from signet.finetuning.learners import learner_of
from signet.finetuning.optimising import useless
from signet.finetuning.plans import frozen_words, trained_words
from signet.finetuning.probes import at_size
from signet.finetuning.trained import attempt, frozen_stages, training_settings
from signet.finetuning.workplace import SEARCH
from signet.probing import Probe
from signet.progress import Progress, inside
from signet.recipes import Recipe

KEPT = 3
"""One of so many goes on to the next rung, which is so many times as long."""
MOST_RUNGS = 4

_ROLE = 6  # of random numbers
_DECAYS = (0.0, 0.02, 0.05, 0.1)
_AUGMENTATIONS = ("none", "light", "medium")
_MIXED = ("randaugment", "erasing", "mixup", "cutmix")
_LIMITED = {"backbone_rate", "frozen_stages"}
"""What decides how fast how much of a pretrained network learns."""
_WIDTHS = ("partial", "full", "probe-then-finetune")


class Rungs(NamedTuple):
    """How many settings are tried for how many epochs, rung by rung."""

    trials: tuple[int, ...] = ()
    epochs: tuple[int, ...] = ()

    @property
    def passes(self) -> int:
        """Epochs in all."""
        return sum(trials * epochs for trials, epochs in zip(self.trials, self.epochs, strict=True))


def rungs_within(seconds: float, an_epoch: float, most: int) -> Rungs:
    """The most rungs that fit into a time, and the longest epochs for these; empty where nothing fits.

    Args:
        seconds: of the search.
        an_epoch: seconds of one pass over the training images.
        most: epochs of the training that follows; no trial is longer.

    Example:
        >>> rungs_within(20, 1, 30)
        Rungs(trials=(9, 3), epochs=(1, 3))
    """
    best = Rungs()
    for count in range(1, MOST_RUNGS + 1):
        longest = KEPT ** (count - 1)
        if longest > most:
            break
        trials = tuple(KEPT ** (count - rung) for rung in range(count))
        one = Rungs(trials, tuple(KEPT**rung for rung in range(count)))
        factor = min(int(seconds / (an_epoch * one.passes)), most // longest)
        if factor >= 1:
            best = Rungs(trials, tuple(factor * epochs for epochs in one.epochs))
    return best


def settings_to_try(
    recipe: Recipe, count: int, stages: Sequence[int], strategy: str = "full"
) -> tuple[dict[str, Any], ...]:
    """What differs from the recipe in each trial; nothing in the first.

    Settings that the recipe itself states, that is, which are not at their default, stay; so do those that
    have no part in the strategy.

    Args:
        recipe: whose seed decides.
        count: how many.
        stages: numbers of leading stages that may stay frozen; empty where that is not to be searched.
        strategy: that is trained.
    """
    random = np.random.default_rng([recipe.seed, _ROLE])
    plain = Recipe()
    draws: dict[str, Callable[[], Any]] = {
        "head_rate": lambda: _rounded(recipe.head_rate * 10 ** random.uniform(-0.5, 0.5)),
        "backbone_rate": lambda: _rounded(recipe.backbone_rate * 10 ** random.uniform(-1.0, 0.5)),
        "weight_decay": lambda: _DECAYS[int(random.integers(len(_DECAYS)))],
        "augmentation": lambda: _AUGMENTATIONS[int(random.integers(len(_AUGMENTATIONS)))],
        "frozen_stages": lambda: stages[int(random.integers(len(stages)))],
    }
    if any(getattr(recipe, name) is not None for name in _MIXED) or recipe.progressive:
        del draws["augmentation"]
    if not stages or recipe.freeze:
        del draws["frozen_stages"]
    idle = useless(strategy)
    free = [name for name in draws if name not in idle and getattr(recipe, name) == getattr(plain, name)]
    return ({}, *({name: draws[name]() for name in free} for _ in range(count - 1)))


class Searched(NamedTuple):
    """What a search came to.

    Attributes:
        job: with the best settings that were found.
        tried: the table, one plain mapping for each trial of each rung; empty where nothing was searched.
        seconds: of all trials, those before a resume included (of one that diverged its last process).
    """

    job: Job
    tried: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0


def searched(job: Job, probe: Probe | None) -> Searched:
    """The job with the best settings that were found, and the table of what was tried.

    Args:
        job: whose plan has the rungs; one without any is given back as it is.
        probe: with whose strength heads begin; None in a process that is told how they do.

    Returns:
        Of each trial the table has `rung`, `trial`, `epochs`, the settings that differ from the recipe's,
        `accuracy` and `loss` on the validation images (None for one whose loss was no longer finite), `kept`;
        and `limited`, in words, where a draw was changed because its rate is known to destroy such a network.
    """
    rungs = Rungs(job.plan.search_trials, job.plan.search_epochs)
    if not rungs.trials:
        return Searched(job)
    drawn = settings_to_try(job.recipe, rungs.trials[0], _stage_counts(job), job.plan.strategy)
    tried, limited = zip(*(_within_limits(job, changes) for changes in drawn), strict=True)
    alive = list(range(len(tried)))
    rows: list[dict[str, Any]] = []
    seconds = 0.0
    for rung, (count, epochs) in enumerate(zip(rungs.trials, rungs.epochs, strict=True)):
        judged = {}
        for place, trial in enumerate(alive):
            judged[trial] = _judged(job, probe, tried[trial], (rung, trial, epochs))
            seconds += judged[trial].pop("seconds", 0.0)
            job.on_progress(Progress("searching settings", place + 1, count, unit="trials"))
        # Ties go to the earlier trial: the recipe's own settings are the first.
        order = sorted(alive, key=lambda trial: (*_rank(judged[trial]), trial))
        following = rungs.trials[rung + 1] if rung + 1 < len(rungs.trials) else 1
        kept = order[:following]
        rows += [
            {
                "rung": rung + 1,
                "trial": trial + 1,
                "epochs": epochs,
                **tried[trial],
                **judged[trial],
                **({"limited": limited[trial]} if limited[trial] else {}),
                "kept": trial in kept,
            }
            for trial in alive
        ]
        alive = sorted(kept)
    return Searched(with_settings(job, tried[alive[0]]), tuple(rows), seconds)


def with_settings(job: Job, changes: Mapping[str, Any]) -> Job:
    """The job with other settings, and the stages that then stay frozen."""
    recipe = job.recipe.changed(**changes)
    plan = job.plan
    if "frozen_stages" in changes:
        stages = frozen_stages(job.start, plan.strategy, recipe)
        plan = dataclasses.replace(
            plan,
            stages=stages,
            trained=trained_words(plan.strategy, stages, recipe, own=job.head is not None),
            frozen=frozen_words(plan.strategy, stages),
        )
    return dataclasses.replace(job, recipe=recipe, plan=plan)


def words_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The table for a person: one line each trial, "search: ..."."""
    aside = ("rung", "trial", "epochs", "accuracy", "loss", "limited", "kept")
    lines = []
    for row in rows:
        changed = ", ".join(f"{name} {row[name]}" for name in row if name not in aside)
        limited = f" ({row['limited']})" if "limited" in row else ""
        figure = "diverged" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f} %"
        lines.append(
            f"search: rung {row['rung']}, trial {row['trial']}, {row['epochs']} epochs: "
            f"{changed or 'as the recipe says'}{limited}: {figure}{', kept' if row['kept'] else ''}"
        )
    return tuple(lines)


def _within_limits(job: Job, changes: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """A draw whose rates are not known to destroy the network, and in words what was changed for that.

    A drawn rate is lowered to the limit. Where a stated rate is too high for the stages that were drawn to
    learn, those of the plan do, for which it was asked before the start.
    """
    kept = dict(changes)
    said: list[str] = []
    while kept.keys() & _LIMITED and (found := _beyond_limit(with_settings(job, kept))):
        rate, limit = found
        if "backbone_rate" in kept and not said:
            kept["backbone_rate"] = _rounded_down(kept["backbone_rate"] * limit / rate)
            said.append(
                f"backbone_rate lowered from {changes['backbone_rate']:g}, beyond the limit {limit:g}"
            )
            continue
        name = "frozen_stages" if "frozen_stages" in kept else "backbone_rate"
        said.append(f"not {name} {kept.pop(name)}, with which {rate:g} is beyond the limit {limit:g}")
    return kept, "; ".join(said)


def _beyond_limit(job: Job) -> tuple[float, float] | None:
    """(rate, limit) where pretrained stages would learn faster than is taken without being insisted on."""
    from signet.training import beyond_limit

    plan, recipe = job.plan, job.recipe
    if plan.strategy == "scratch" or recipe.allow_rate:
        return None
    sized = at_size(job.start, plan.input_size or (224, 224))
    adapters = plan.strategy == "lora"
    learner = learner_of(sized, len(job.parts.labels), recipe, adapters=adapters, head=job.head)
    found = beyond_limit(learner.module, training_settings(plan, recipe, learner))
    return None if found is None else (found[0], found[1].greatest)


def _judged(
    job: Job, probe: Probe | None, changes: Mapping[str, Any], key: tuple[int, int, int]
) -> dict[str, Any]:
    """Accuracy and loss of one trial; from the run's folder where it was finished before."""
    rung, trial, epochs = key
    name = f"{SEARCH}{rung}-{trial}"
    folder = job.work.folder / name

    def judge() -> dict[str, Any]:
        one = with_settings(job, changes)
        one = dataclasses.replace(
            one,
            plan=dataclasses.replace(one.plan, epochs=epochs),
            resume=True,
            on_progress=inside(job.on_progress, f"rung {rung + 1}, trial {trial + 1}"),
        )
        begin = time.monotonic()
        try:
            done = attempt(one, probe, folder)
        except Diverged:
            return {"accuracy": None, "loss": None, "seconds": time.monotonic() - begin}
        targets = job.parts.development.targets[job.parts.validation]
        found = scoring.judged(done.validation_logits, targets)
        return {"accuracy": found.accuracy, "loss": found.loss, "seconds": done.seconds}

    values = job.work.values(name, judge, together=True)
    shutil.rmtree(folder, ignore_errors=True)
    return values


def _rank(values: Mapping[str, Any]) -> tuple[float, float]:
    if values["accuracy"] is None:
        return np.inf, np.inf
    return -values["accuracy"], values["loss"]


def _stage_counts(job: Job) -> tuple[int, ...]:
    """How many leading stages may stay frozen: as planned, half as many, or half of those that learn, too."""
    if job.plan.strategy not in _WIDTHS:
        return ()
    every = len(frozen_stages(job.start, "head", Recipe()))
    own = len(job.plan.stages)
    return tuple(sorted({own, own // 2, (own + every) // 2}))


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def _rounded_down(value: float) -> float:
    """To three digits, of a product that may be off by its last bits."""
    digit = 10.0 ** (np.floor(np.log10(value)) - 2)
    return float(f"{np.floor(value / digit + 1e-6) * digit:.3g}")
