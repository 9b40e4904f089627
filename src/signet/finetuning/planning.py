"""The plan of a run, from the model, the data and the recipe, with the time that a short trial expects."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from signet.datasets import Dataset
from signet.decoding import read
from signet.engines.contract import usable_processors
from signet.errors import BadInput
from signet.finetuning import deciding, folding, lessons, optimising, steadying, teachers
from signet.finetuning.automatic import LEAST_GRADUAL, Strategy, within
from signet.finetuning.closing import golden_words
from signet.finetuning.jobs import ALONE, Beside, HeadFactory
from signet.finetuning.partition import Parts
from signet.finetuning.plans import Plan, frozen_words, trained_words
from signet.finetuning.presets import epochs_of
from signet.finetuning.probes import opened
from signet.finetuning.searching import KEPT, rungs_within
from signet.finetuning.trained import frozen_stages, size_for, takes_size, trial
from signet.networks import Pretrained
from signet.recipes import Recipe

TRIAL_IMAGES = 16
IMAGES_IN_ALL = 30_000
LEAST_EPOCHS, MOST_EPOCHS = 4, 30
_LEAST_OF = {"gradual": LEAST_GRADUAL}


def make_plan(
    start: Pretrained,
    dataset: Dataset[Any],
    parts: Parts,
    recipe: Recipe,
    strategy: Strategy,
    beside: Beside = ALONE,
) -> Plan:
    """Decide what the recipe leaves open, and try how long it takes.

    Args:
        start: the model, with features.
        dataset: for its name.
        parts: which images are for what.
        recipe: what is decided already.
        strategy: what is trained, and why.
        beside: a teacher, a head of the user's own, the steps of a preset.

    Raises:
        BadRequest: the recipe asks for a size that the network does not take.
    """
    extraction = _extraction(start, parts, recipe)
    images = {
        "training": len(parts.training),
        "validation": len(parts.validation),
        "test": 0 if parts.test is None else len(parts.test),
    }
    common: dict[str, Any] = {
        "model": start.card.name,
        "dataset": dataset.source,
        "labels": len(parts.labels),
        "images": images,
        "probe_size": start.card.input_size,
        # One is left to the thread that makes the batches: with more threads than processors are free, all
        # wait for each other, and training is many times slower.
        "threads": recipe.threads or max(1, usable_processors() - 1),
        "measured_on": _measured_on(parts),
        "notes": parts.notes,
        "engine": extraction.engine,
        "precision": extraction.precision,
        "seconds": {"features": extraction.seconds, "probe": _probe_seconds(parts)},
    }
    if strategy.name == "probe":
        return _probe_plan(start, parts, recipe, strategy, common)
    size, reasons = _size(start, _typical_side(parts), recipe)
    while True:
        own = beside.head is not None
        steady = steadying.reasons(recipe, "classify", scratch=strategy.name == "scratch")
        draft = _draft(start, parts, recipe, strategy, {**common, "input_size": size}, own=own)
        draft = dataclasses.replace(
            draft,
            why=(
                *draft.why,
                *reasons,
                *steady,
                *lessons.reasons(recipe),
                *optimising.reasons(recipe),
                *optimising.ignored(recipe, strategy.name),
                *deciding.condition(recipe),
            ),
            notes=(*draft.notes, *_head_notes(recipe, beside.head)),
        )
        found = trial(start, draft, recipe, beside.head)
        draft = dataclasses.replace(draft, batch=found.batch, bf16=found.bf16, why=(*draft.why, *found.why))
        each = (len(parts.training) + len(parts.validation) / 3) * found.seconds_per_image
        least = recipe.epochs or LEAST_EPOCHS
        narrower = (
            within(strategy, each * least, recipe.budget_seconds) if recipe.strategy == "auto" else None
        )
        if narrower is None:
            return _paced(draft, parts, recipe, each, beside)
        strategy = narrower


def _probe_plan(
    start: Pretrained, parts: Parts, recipe: Recipe, strategy: Strategy, common: dict[str, Any]
) -> Plan:
    chosen = (
        "its strength that of few images elsewhere"
        if len(np.unique(parts.folds)) < 2 or len(parts.development) == len(parts.labels)
        else f"its strength chosen by {recipe.folds}-fold cross-validation"
    )
    return Plan(
        **{**common, "seconds": {**common["seconds"], "closing": 5.0}},
        strategy=strategy.name,
        trained=f"a linear head on frozen features, {chosen}",
        frozen="the whole network",
        why=(*strategy.why, *lessons.unused(recipe)),
        golden=golden_words(parts, start.card.input_size, recipe),
    )


def _draft(
    start: Pretrained, parts: Parts, recipe: Recipe, strategy: Strategy, common: dict[str, Any], *, own: bool
) -> Plan:
    """The plan of a training, its epochs still open."""
    stages = frozen_stages(start, strategy.name, recipe)
    return Plan(
        **common,
        strategy=strategy.name,
        trained=trained_words(strategy.name, stages, recipe, own=own),
        frozen=frozen_words(strategy.name, stages),
        why=strategy.why,
        stages=stages,
        epochs=2,
        golden=golden_words(parts, common["input_size"], recipe),
    )


def _paced(draft: Plan, parts: Parts, recipe: Recipe, each: float, beside: Beside) -> Plan:
    """With its epochs, so that they fit the budget.

    Args:
        draft: the plan.
        parts: for the number of images.
        recipe: epochs and budget.
        each: seconds of one epoch at the last size.
        beside: a teacher, from whose answers the network learns too; the steps of a preset.
    """
    teacher = beside.teacher
    epochs = recipe.epochs or _epochs(draft, parts, recipe, beside.steps)
    each *= lessons.pace_of(recipe, epochs) * folding.passes(recipe)
    if recipe.budget_seconds and each * epochs > recipe.budget_seconds and recipe.epochs is None:
        epochs = max(_LEAST_OF.get(draft.strategy, 1), int(recipe.budget_seconds / each))
        reason = f"{epochs} epochs, so that training ends within {recipe.budget_seconds:.0f} seconds"
        draft = dataclasses.replace(draft, why=(*draft.why, reason))
    seconds = {**draft.seconds, "training": each * epochs, "closing": 15.0}
    if recipe.search_seconds is not None:
        rungs = rungs_within(recipe.search_seconds, each, epochs)
        seconds["search"] = each * rungs.passes
        draft = dataclasses.replace(draft, search_trials=rungs.trials, search_epochs=rungs.epochs)
        if not rungs.trials:
            reason = (
                f"Nothing is searched: the shortest search takes about {KEPT * each:.0f} seconds here, and "
                f"{recipe.search_seconds:.0f} are given."
            )
            draft = dataclasses.replace(draft, notes=(*draft.notes, reason))
    if teacher is not None:
        asked = teachers.seconds_per_image(teacher, parts.development.paths, recipe) * len(parts.training)
        asked *= max(1, (recipe.kfold or 1) - 1)
        seconds["training"] += asked * (epochs if teachers.asked_each(recipe) else 1)
        draft = dataclasses.replace(draft, why=(*draft.why, teachers.words(teacher, recipe)))
    why = (*draft.why, *lessons.growing(recipe, epochs), *folding.reasons(recipe))
    return dataclasses.replace(draft, epochs=epochs, seconds=seconds, why=why)


def _epochs(draft: Plan, parts: Parts, recipe: Recipe, steps: int | None) -> int:
    """Those of a recipe that states none."""
    if steps is None:
        wanted = round(IMAGES_IN_ALL / max(1, len(parts.training)))
        return int(np.clip(wanted, LEAST_EPOCHS, MOST_EPOCHS))
    images = folding.learned_from(parts, recipe)
    return max(_LEAST_OF.get(draft.strategy, 1), epochs_of(steps, images, draft.batch * recipe.accumulate))


def _size(start: Pretrained, side: int, recipe: Recipe) -> tuple[tuple[int, int], tuple[str, ...]]:
    """(height, width) to train at, and why it is not the network's own."""
    size = size_for(start, side, recipe)
    if recipe.input_size is None and not takes_size(start, size):
        size = start.card.input_size or size
        return size, (f"{size[0]}x{size[1]} pixels, since the network takes no other size",)
    if size != start.card.input_size:
        reason = (
            f"the images are about {side} pixels large" if recipe.input_size is None else "the recipe says so"
        )
        return size, (f"{size[0]}x{size[1]} pixels, since {reason}",)
    return size, ()


def _head_notes(recipe: Recipe, head: HeadFactory | None) -> tuple[str, ...]:
    """What a head that is no linear one means for the seal."""
    if head is None and recipe.head != "mlp":
        return ()
    what = "a perceptron" if head is None else "a module of your own"
    return (
        f"The head is {what}: the sealed graph holds it, and the seal has no weights that could be trained "
        "further.",
    )


def _measured_on(parts: Parts) -> str:
    if parts.test is None:
        return "nested cross-validation (no test images; no decision saw the image that it is measured on)"
    if parts.held_out:
        return f"{len(parts.test)} images that were held out before anything else"
    return f"the dataset's own test split, {len(parts.test)} images, which no decision sees"


def _typical_side(parts: Parts) -> int:
    """The median short side of some of the images, in pixels."""
    sides = []
    step = max(1, len(parts.development) // 50)
    for path in parts.development.paths[::step]:
        try:
            sides.append(min(read(path).size))
        except BadInput:
            continue
    return int(np.median(sides)) if sides else 224


class _Trial(NamedTuple):
    """What a few images through the network say of all: seconds, and what computed them."""

    seconds: float
    engine: str
    precision: str


def _extraction(start: Pretrained, parts: Parts, recipe: Recipe) -> _Trial:
    """For all images, from a few of them."""
    paths: list[Path] = list(parts.development.paths[:TRIAL_IMAGES])
    count = len(parts.development) + (0 if parts.test is None else len(parts.test))
    with opened(start, recipe) as model:
        model(paths[0])
        begin = time.monotonic()
        model(paths)
        seconds = (time.monotonic() - begin) / len(paths) * count
        return _Trial(seconds, f"{model.engine.name} {model.engine.version}", model.engine.precision)


def _probe_seconds(parts: Parts) -> float:
    """Measured on two cores: about 8 seconds for 4,200 images of 1,280 features and 10 classes."""
    return max(1.0, 8.0 * len(parts.development) / 4200 * len(parts.labels) / 10)
