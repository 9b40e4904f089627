"""The plan of a run, from the model, the data and the recipe, with the time that a short trial expects."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from signet.datasets import Dataset
from signet.decoding import read
from signet.engines.contract import usable_processors
from signet.errors import BadInput
from signet.finetuning import lessons, optimising, steadying, teachers
from signet.finetuning.closing import golden_words
from signet.finetuning.partition import Parts
from signet.finetuning.plans import Plan
from signet.finetuning.probes import opened
from signet.finetuning.strategies import Strategy
from signet.finetuning.trained import frozen_stages, size_for, takes_size, trial
from signet.networks import Pretrained
from signet.recipes import Recipe

TRIAL_IMAGES = 16
IMAGES_IN_ALL = 30_000
LEAST_EPOCHS, MOST_EPOCHS = 4, 30


def make_plan(
    start: Pretrained,
    dataset: Dataset[Any],
    parts: Parts,
    recipe: Recipe,
    strategy: Strategy,
    teacher: Pretrained | None = None,
) -> Plan:
    """Decide what the recipe leaves open, and try how long it takes.

    Args:
        start: the model, with features.
        dataset: for its name.
        parts: which images are for what.
        recipe: what is decided already.
        strategy: what is trained, and why.
        teacher: from whose answers the network learns too.
    """
    name, why = strategy
    side = _typical_side(parts)
    probe_seconds = _extraction_seconds(start, parts, recipe)
    images = {
        "training": len(parts.training),
        "validation": len(parts.validation),
        "test": 0 if parts.test is None else len(parts.test),
    }
    common: dict[str, Any] = {
        "model": start.card.name,
        "dataset": dataset.source,
        "labels": len(parts.labels),
        "strategy": name,
        "images": images,
        "probe_size": start.card.input_size,
        # One is left to the thread that makes the batches: with more threads than processors are free, all
        # wait for each other, and training is many times slower.
        "threads": recipe.threads or max(1, usable_processors() - 1),
        "measured_on": _measured_on(parts),
        "notes": parts.notes,
    }
    seconds = {"features": probe_seconds, "probe": _probe_seconds(parts)}
    if name == "probe":
        return Plan(
            **common,
            trained="a linear head on frozen features, "
            f"its strength chosen by {recipe.folds}-fold cross-validation",
            frozen="the whole network",
            why=(*why, *lessons.unused(recipe)),
            golden=golden_words(parts, start.card.input_size, recipe),
            seconds={**seconds, "closing": 5.0},
        )
    size = size_for(start, side, recipe)
    if recipe.input_size is None and not takes_size(start, size):
        size = start.card.input_size or size
        why = (*why, f"{size[0]}x{size[1]} pixels, since the network takes no other size")
    elif size != start.card.input_size:
        reason = (
            f"the images are about {side} pixels large" if recipe.input_size is None else "the recipe says so"
        )
        why = (*why, f"{size[0]}x{size[1]} pixels, since {reason}")
    stages = frozen_stages(start, name, recipe)
    draft = Plan(
        **common,
        trained=f"a linear head first (the probe); then from its weights {_learning(name, stages)}",
        frozen=f"{', '.join(stages)} (BatchNorm in evaluation mode)" if stages else "nothing",
        why=(
            *why,
            *steadying.reasons(recipe, "classify"),
            *lessons.reasons(recipe),
            *optimising.reasons(recipe),
        ),
        input_size=size,
        stages=stages,
        epochs=1,
        golden=golden_words(parts, size, recipe),
    )
    epochs = recipe.epochs or int(
        np.clip(round(IMAGES_IN_ALL / max(1, len(parts.training))), LEAST_EPOCHS, MOST_EPOCHS)
    )
    found = trial(start, draft, recipe)
    draft = dataclasses.replace(draft, batch=found.batch, bf16=found.bf16, why=(*draft.why, *found.why))
    each = (len(parts.training) + len(parts.validation) / 3) * found.seconds_per_image
    each *= lessons.pace_of(recipe, epochs)
    if recipe.budget_seconds and each * epochs > recipe.budget_seconds and recipe.epochs is None:
        epochs = max(1, int(recipe.budget_seconds / each))
        reason = f"{epochs} epochs, so that training ends within {recipe.budget_seconds:.0f} seconds"
        draft = dataclasses.replace(draft, why=(*draft.why, reason))
    seconds = {**seconds, "training": each * epochs, "closing": 15.0}
    if teacher is not None:
        asked = teachers.seconds_per_image(teacher, parts.development.paths, recipe) * len(parts.training)
        seconds["training"] += asked * (epochs if teachers.asked_each(recipe) else 1)
        draft = dataclasses.replace(draft, why=(*draft.why, teachers.words(teacher, recipe)))
    why = (*draft.why, *lessons.growing(recipe, epochs))
    return dataclasses.replace(draft, epochs=epochs, seconds=seconds, why=why)


def _learning(strategy: str, stages: tuple[str, ...]) -> str:
    if strategy == "head":
        return "the head alone"
    return "the last stages and the head" if stages else "everything"


def _measured_on(parts: Parts) -> str:
    if parts.test is None:
        return "nested cross-validation (no test images; no decision saw the image that it is measured on)"
    if parts.held_out:
        return f"{len(parts.test)} images that were held out before anything else"
    return f"the dataset's own test split, {len(parts.test)} images, opened only at the end"


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


def _extraction_seconds(start: Pretrained, parts: Parts, recipe: Recipe) -> float:
    """For all images, from a few of them."""
    paths: list[Path] = list(parts.development.paths[:TRIAL_IMAGES])
    count = len(parts.development) + (0 if parts.test is None else len(parts.test))
    with opened(start, recipe) as model:
        model(paths[0])
        begin = time.monotonic()
        model(paths)
        return (time.monotonic() - begin) / len(paths) * count


def _probe_seconds(parts: Parts) -> float:
    """Measured on two cores: about 8 seconds for 4,200 images of 1,280 features and 10 classes."""
    return max(1.0, 8.0 * len(parts.development) / 4200 * len(parts.labels) / 10)
