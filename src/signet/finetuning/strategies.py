"""How far a run goes: a probe alone, or training from its weights; and the parts that this needs."""

from __future__ import annotations

from typing import Any, NamedTuple

from signet.datasets import Dataset
from signet.errors import BadDataset, BadRequest
from signet.finetuning.partition import Parts, partition
from signet.finetuning.trained import can_train, require_training
from signet.naming import shown
from signet.networks import Pretrained
from signet.progress import OnProgress
from signet.recipes import Recipe


class Strategy(NamedTuple):
    """What is trained, and why.

    Attributes:
        name: "probe", "head", "partial" or "full".
        why: the reasons, one sentence each.
    """

    name: str
    why: tuple[str, ...]


def strategy_for(found: Pretrained, recipe: Recipe) -> Strategy:
    """What the recipe asks for; left open, a partial training where it can be had.

    Raises:
        BadRequest: the recipe asks for training, and the model has no form for it; or for random weights, of
            which there is no probe to begin with and to compare with.
        MissingExtra: likewise, and torch is not installed.
    """
    if recipe.strategy == "scratch":
        raise BadRequest(
            "--strategy scratch: expected a dataset of labelled pixels or objects, got one of labels of "
            "images, which are learned from a pretrained network only. Use probe, head, partial or full."
        )
    if recipe.strategy == "probe":
        return Strategy("probe", ("the recipe asks for a probe only",))
    if recipe.strategy != "auto":
        require_training(found, recipe.strategy)
        return Strategy(recipe.strategy, (f"the recipe asks for strategy {recipe.strategy}",))
    reason = can_train(found)
    if reason is not None:
        return Strategy("probe", (f"a probe only, since {reason}",))
    why = "a probe first, then the last stages from its weights; the better one is sealed"
    return Strategy("partial", (why,))


def dealt(
    dataset: Dataset[Any], recipe: Recipe, strategy: Strategy, on_progress: OnProgress
) -> tuple[Parts, Strategy]:
    """The parts of a run; where no image is left to decide by, those of a probe, if that was left open.

    Raises:
        BadDataset: as `partition`; or the recipe asks for training, and no image is left to decide by.
    """
    training = strategy.name != "probe"
    parts = partition(dataset, recipe, training=training, on_progress=on_progress)
    if not training or len(parts.validation):
        return parts, strategy
    if recipe.strategy != "auto":
        raise BadDataset(
            f"{shown(dataset.source)}: training needs images to decide by, and no class has enough to spare "
            "one. Expected at least 3 images of some class (copies count once). Add images, or use "
            "--strategy probe."
        )
    why = "a probe only, since no class has an image to spare for deciding whether training helped"
    return partition(dataset, recipe, training=False, on_progress=on_progress), Strategy("probe", (why,))
