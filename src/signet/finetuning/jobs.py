"""What every step of a run needs, in one value; and how a person wants it to go about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from signet.finetuning.partition import Parts
from signet.finetuning.plans import Plan
from signet.finetuning.workplace import Workplace
from signet.networks import Pretrained
from signet.progress import OnProgress, silent
from signet.recipes import Recipe

if TYPE_CHECKING:
    from signet.finetuning.domains.target import Target

HeadFactory = Callable[[int, int], Any]
"""From (width of the features, number of classes) to a torch module that makes logits of features."""


class Beside(NamedTuple):
    """What a run has beside model, data and recipe.

    Attributes:
        teacher: from whose answers the network learns too.
        head: makes a head of the user's own.
        steps: of the whole training, where a preset states them; None where the plan chooses epochs.
    """

    teacher: Pretrained | None = None
    head: HeadFactory | None = None
    steps: int | None = None


ALONE = Beside()


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
        head: makes a head of the user's own, or None for the recipe's.
        target: images that the result is adapted to, or None.
    """

    start: Pretrained
    parts: Parts
    plan: Plan
    recipe: Recipe
    work: Workplace
    resume: bool = False
    on_progress: OnProgress = silent
    teacher: Pretrained | None = None
    head: HeadFactory | None = None
    target: Target | None = None

    def noting(self, note: str) -> Job:
        """The same run with one more note for its result."""
        parts = dataclasses.replace(self.parts, notes=(*self.parts.notes, note))
        return dataclasses.replace(self, parts=parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a run goes about it, and what no recipe file may name: code.

    Attributes:
        resume: continue an interrupted run of the same model, data and recipe.
        on_progress: told of every long step.
        on_plan: told the plan, before anything long begins.
        offline: never ask the network, for a teacher.
        audit: look for broken files, copies, leaks across splits and trouble with classes first, and say what
            is severe with the plan. It decides nothing.
        head: makes a head of one's own from (width of the features, number of classes): a torch module from
            float32 (N, D) to logits (N, C). The sealed graph holds it; its code is in no recipe and no seal,
            so the seal has no weights that could be trained further. A resume takes the name of the factory
            for the factory.
        processes: that train together, of which this is the first; each of the others calls `assist` with
            the same arguments. A launcher (torchrun, accelerate launch) starts them and says to each which
            one it is; `signet finetune --processes` does so by itself.
    """

    resume: bool = False
    on_progress: OnProgress = silent
    on_plan: Callable[[Plan], None] | None = None
    offline: bool = False
    audit: bool = True
    head: HeadFactory | None = None
    processes: int = 1
