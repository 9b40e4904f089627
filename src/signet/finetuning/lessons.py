"""What a recipe asks of a training on labels of images: views, loss, sizes; and the reasons in words."""

from __future__ import annotations

from typing import Any

from signet.finetuning.optimising import STEPPED_WITH
from signet.finetuning.refusals import LEARNED_WITH, TRAINED_WITH, changed
from signet.recipes import Recipe

_LOSSES = {"focal": "the focal loss", "bce": "binary cross-entropy of each label"}
_WEIGHTS = {
    "inverse": "one over its number of images",
    "balanced": "one over its effective number of images",
}


def lesson_of(recipe: Recipe) -> dict[str, Any]:
    """Fields of `TrainSettings` that only labels of images have."""
    from signet.training import Objective, Variation

    weights = recipe.class_weights
    return {
        "objective": Objective(
            loss=recipe.loss or "cross-entropy",
            focusing=recipe.focusing,
            class_weights="none" if weights is None or weights == "median" else weights,
            sampling=recipe.sampling,
            temperature=recipe.teacher_temperature,
            teacher_weight=recipe.teacher_weight,
        ),
        "variation": Variation(
            randaugment=recipe.randaugment, erasing=recipe.erasing, mixup=recipe.mixup, cutmix=recipe.cutmix
        ),
        "sizes": tuple((side, side) for side in recipe.progressive),
    }


def reasons(recipe: Recipe) -> tuple[str, ...]:
    """What of it a person should know before the start, one sentence each; all of it is the recipe's wish."""
    said = []
    if recipe.class_weights in _WEIGHTS:
        said.append(
            f"an image counts by its class, as {_WEIGHTS[recipe.class_weights]}, since the recipe says so"
        )
    if recipe.sampling == "balanced":
        said.append(
            "every class is shown alike, images of small ones several times, since the recipe says so"
        )
    if recipe.loss in _LOSSES:
        said.append(f"the loss is {_LOSSES[recipe.loss]}, since the recipe says so")
    if recipe.augmentation == "strong" or recipe.mixup or recipe.cutmix:
        said.append("pictures of a batch are mixed, and so are their labels: the training loss is not small")
    return tuple(said)


def unused(recipe: Recipe) -> tuple[str, ...]:
    """For the plan of a probe: what of the recipe has no part in it, and was not refused."""
    beside = ("class_weights", "search_seconds", "averaging", "batchnorm", "overfitting")
    names = changed(recipe, (*TRAINED_WITH, *LEARNED_WITH, *STEPPED_WITH, *beside))
    return (
        (f"{', '.join(names)} of the recipe: no part of a probe, which is a fit on features",)
        if names
        else ()
    )


def pace_of(recipe: Recipe, epochs: int) -> float:
    """Seconds of the run over those of one whose epochs are all at the last size: 1 without other sizes."""
    from signet.training.sizing import size_in

    if not recipe.progressive:
        return 1.0
    areas = [size_in(epoch, epochs, recipe.progressive) ** 2 for epoch in range(1, epochs + 1)]
    return sum(areas) / epochs / recipe.progressive[-1] ** 2


def growing(recipe: Recipe, epochs: int) -> tuple[str, ...]:
    """For the plan: which epochs are at which size, and what that costs."""
    from signet.training.sizing import size_in

    if not recipe.progressive:
        return ()
    sides = [size_in(epoch, epochs, recipe.progressive) for epoch in range(1, epochs + 1)]
    counts = [f"{sides.count(side)} at {side}" for side in dict.fromkeys(sides)]
    return (
        f"epochs: {', '.join(counts)} pixels; about {100 * pace_of(recipe, epochs):.0f} % of the time that "
        "all would take at the last size, which is the one that is sealed",
    )
