"""What every step of a run needs, in one value; and how a person wants it to go about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from signet.finetuning.partition import Parts
from signet.finetuning.plans import Plan
from signet.finetuning.workplace import Workplace
from signet.networks import Pretrained
from signet.progress import OnProgress, silent
from signet.recipes import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One run, under way.

    Attributes:
        start: the model that it begins with, with features.
        parts: which images are for what.
        plan: what was decided before the start.
        recipe: every setting.
        work: the folder of the run.
        resume: continue from what lies there.
        on_progress: told of every long step.
        teacher: from whose answers the network learns too.
    """

    start: Pretrained
    parts: Parts
    plan: Plan
    recipe: Recipe
    work: Workplace
    resume: bool = False
    on_progress: OnProgress = silent
    teacher: Pretrained | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a run goes about it; nothing of this decides the result.

    Attributes:
        resume: continue an interrupted run of the same model, data and recipe.
        on_progress: told of every long step.
        on_plan: told the plan, before anything long begins.
        offline: never ask the network, for a teacher.
    """

    resume: bool = False
    on_progress: OnProgress = silent
    on_plan: Callable[[Plan], None] | None = None
    offline: bool = False
