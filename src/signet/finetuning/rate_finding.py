"""`find_rate`: the way of `finetune` up to the first step of training, and a trial of rates instead of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signet.datasets import Dataset
from signet.errors import BadRequest
from signet.finetuning import adapting
from signet.finetuning.adaptations import SCRATCH
from signet.finetuning.folding import learned_from
from signet.finetuning.jobs import Beside, Job, RunSettings
from signet.finetuning.planning import make_plan
from signet.finetuning.presets import applied, counted
from signet.finetuning.probes import all_readable, featured, features_of, fitted
from signet.finetuning.refusals import refuse_unfit
from signet.finetuning.starting import starting_point, with_random_weights
from signet.finetuning.strategies import check_recipe, dealt, strategy_for
from signet.finetuning.teachers import teacher_of
from signet.finetuning.trained import rehearsed
from signet.finetuning.workplace import Workplace
from signet.naming import shown
from signet.networks import Pretrained
from signet.recipes import Recipe

if TYPE_CHECKING:
    from signet.training import RateCurve


def find_rate(
    model: str | Path | Pretrained,
    dataset: Dataset[Any],
    *,
    recipe: Recipe | None = None,
    run: RunSettings | None = None,
    steps: int = 60,
) -> RateCurve:
    """Try learning rates for a fine-tuning: the loss of a copy of the network while its rate rises.

    The network is that with which `finetune` of the same arguments begins to train: frozen alike, its head
    that of the probe. Nothing is written.

    Args:
        model: as `finetune` takes it.
        dataset: likewise.
        recipe: likewise; its rates give the proportion between head and backbone.
        run: progress, and a head of one's own.
        steps: of the trial.

    Raises:
        BadRequest: the recipe asks for a probe, which has no rate; names a target, which has no part in one;
            or asks for what this model cannot do.
        CheckFailed: the loss is no finite number from the start.
        MissingExtra: torch is not installed.
    """
    from signet.training import find_rate as tried

    chosen, ways = recipe or Recipe(), run or RunSettings()
    found = model if isinstance(model, Pretrained) else starting_point(model, chosen)
    refuse_unfit(chosen, dataset)
    if chosen.target is not None:
        raise BadRequest(
            f"--find-rate: expected what is learned and no more, got a target ({shown(chosen.target)}), "
            "whose images have no part in a rate: they are adapted to when training is over. Leave it out."
        )
    if chosen.strategy != "probe":
        # A rate is looked for: that the stated one is known to be too high does not matter.
        chosen = chosen.changed(allow_rate=True)
    with tempfile.TemporaryDirectory(prefix="signet-rates-") as folder:
        work = Workplace(Path(folder))
        if dataset.task != "classify":
            module, data, settings = adapting.rehearsed(found, dataset, chosen, ways, work)
            return tried(module, data, settings, steps=steps, on_progress=ways.on_progress)
        with _labels(found, dataset, chosen, ways, work) as (module, data, settings):
            return tried(module, data, settings, steps=steps, on_progress=ways.on_progress)


@contextmanager
def _labels(
    found: Pretrained, dataset: Dataset[Any], recipe: Recipe, ways: RunSettings, work: Workplace
) -> Iterator[tuple[Any, Any, Any]]:
    """(module, data, settings) of a training on labels of images, as it begins."""
    check_recipe(recipe, own_head=ways.head is not None)
    given, (recipe, _) = recipe, applied(recipe, dataset, found.card)
    teacher = teacher_of(recipe, dataset, offline=ways.offline, on_progress=ways.on_progress)
    strategy = strategy_for(found, dataset, recipe, own_head=ways.head is not None)
    scratch = strategy.name == SCRATCH
    start = with_random_weights(found, recipe, work.folder) if scratch else featured(found)
    parts, strategy = dealt(dataset, recipe, strategy, ways.on_progress)
    if strategy.name == "probe":
        raise BadRequest(
            "--find-rate: expected a strategy that trains, got a probe, which is a fit on features and "
            f"has no learning rate ({'; '.join(strategy.why)}). Use --strategy head, partial or full."
        )
    recipe, _, steps = counted(given, recipe, learned_from(parts, recipe))
    plan = make_plan(start, dataset, parts, recipe, strategy, Beside(teacher, ways.head, steps))
    rows, readable, failures = features_of(
        start, parts.development.paths, recipe, ways.on_progress, parts.digests
    )
    all_readable(readable, len(parts.development), failures)
    known = parts.training
    targets = parts.development.targets[known]
    probe = fitted(rows[known], targets, len(parts.labels), parts.folds[known], recipe, ways.on_progress)
    job = Job(start, parts, plan, recipe, work, False, ways.on_progress, teacher, ways.head)
    with rehearsed(job, probe) as begun:
        yield begun
