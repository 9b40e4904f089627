"""`assist`: the trainings of a run, in a process that computes together with the one that leads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from signet.datasets import Dataset
from signet.errors import BadRequest
from signet.finetuning import adapting, folding
from signet.finetuning.adaptations import SCRATCH
from signet.finetuning.deciding import told_spared
from signet.finetuning.jobs import Job, RunSettings
from signet.finetuning.meeting import meeting
from signet.finetuning.plans import Plan
from signet.finetuning.presets import applied, counted
from signet.finetuning.probes import featured
from signet.finetuning.searching import searched
from signet.finetuning.starting import starting_point, with_random_weights
from signet.finetuning.strategies import dealt, strategy_for
from signet.finetuning.teachers import teacher_of
from signet.finetuning.trained import attempt
from signet.finetuning.workplace import beside
from signet.networks import Pretrained
from signet.recipes import Recipe


def assist(
    model: str | Path | Pretrained,
    dataset: Dataset[Any],
    *,
    recipe: Recipe | None = None,
    run: RunSettings,
) -> None:
    """Compute a share of every step of a run that another process leads.

    The first of several processes calls `finetune`, each of the others this, with the same model, dataset and
    recipe. It is told the plan and what every head begins with, trains, and returns when nothing is left to
    train: measuring and sealing are the first one's alone, and so is the training from random weights of
    `random_baseline`, whose BatchNorm gathers statistics. It writes nothing and tells nothing.

    Args:
        model: as of `finetune`.
        dataset: likewise.
        recipe: likewise.
        run: with the number of processes, and the head of one's own where there is one.

    Raises:
        BadRequest: there are no others; or what `finetune` refuses.
        ProcessLost: another process has ended.

    Example:
        >>> run = RunSettings(processes=2)  # doctest: +SKIP
        >>> if os.environ["RANK"] == "0":  # doctest: +SKIP
        ...     finetune("timm/resnet50.a1_in1k", data, out="birds.signet", run=run)
        ... else:
        ...     assist("timm/resnet50.a1_in1k", data, run=run)
    """
    chosen = recipe or Recipe()
    ranks = meeting(run.processes, chosen.device)
    if ranks is None or ranks.leads:
        raise BadRequest(
            "assist: expected a process that is not the first of several; that one calls finetune."
        )
    found = model if isinstance(model, Pretrained) else starting_point(model, chosen)
    with beside(ranks) as work:
        if dataset.task != "classify":
            adapting.accompany(found, dataset, chosen, run, work)
            return
        given, (chosen, _) = chosen, applied(chosen, dataset, found.card)
        teacher = teacher_of(chosen, dataset, offline=run.offline, on_progress=run.on_progress)
        strategy = strategy_for(found, dataset, chosen, own_head=run.head is not None)
        scratch = strategy.name == SCRATCH
        start = with_random_weights(found, chosen, work.folder) if scratch else featured(found)
        parts, _ = dealt(dataset, chosen, strategy, run.on_progress)
        chosen = counted(given, chosen, folding.learned_from(parts, chosen)).recipe
        plan = Plan.from_dict(work.values("plan", dict))
        job = Job(start, parts, plan, chosen, work, teacher=teacher, head=run.head)
        if plan.strategy != "probe":
            _accompany(job)


def _accompany(job: Job) -> None:
    """The trainings in the order in which `finetune` comes to them."""
    if job.recipe.kfold:
        for fold in folding.folds_of(job):
            attempt(fold, None, fold.work.training)
        return
    if told_spared(job.work) is not None:
        return
    job = searched(job, None).job
    attempt(job, None, job.work.training)
