"""How far a run goes: a probe alone, or training from its weights; and the parts that this needs."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from signet.datasets import Dataset
from signet.errors import BadDataset, BadRequest
from signet.finetuning.adaptations import begun_with
from signet.finetuning.automatic import LEAST_GRADUAL, Situation, Strategy, automatic
from signet.finetuning.folding import check_folds
from signet.finetuning.partition import Parts, partition
from signet.finetuning.trained import can_train, require_training
from signet.naming import shown
from signet.networks import Pretrained
from signet.progress import OnProgress
from signet.recipes import Recipe

if TYPE_CHECKING:
    from signet.training.families import Family

__all__ = ["Strategy", "check_recipe", "dealt", "situation_of", "strategy_for"]

_ASKED = {
    "full": "the recipe asks for strategy full: everything learns, from the probe's weights on",
    "probe-then-finetune": "the recipe asks for strategy probe-then-finetune: a head that fits comes first, "
    "so that its first steps do not spoil the features (Kumar et al. 2022, arXiv:2202.10054)",
    "gradual": "the recipe asks for strategy gradual: stages thaw from the head down (Howard and Ruder 2018, "
    "arXiv:1801.06146)",
    "lora": "the recipe asks for strategy lora: low-rank adapters learn beside weights that stay "
    "(Hu et al. 2021, arXiv:2106.09685)",
    "scratch": "the recipe asks for strategy scratch: of the model only the architecture is taken",
}


def check_recipe(recipe: Recipe, *, own_head: bool) -> None:
    """Refuse settings of head and adapters that contradict each other.

    Args:
        recipe: for labels of images.
        own_head: whether the caller brings a head of their own.

    Raises:
        BadRequest: they do.
    """
    plain = Recipe()
    if own_head and recipe.head != "auto":
        raise BadRequest(
            f"recipe: head {recipe.head!r}: expected 'auto' beside a head of one's own (RunSettings.head). "
            "Leave one of them out."
        )
    if recipe.head != "mlp":
        for name in ("head_hidden", "head_dropout"):
            if getattr(recipe, name) != getattr(plain, name):
                raise BadRequest(f"recipe: {name}: expected --head mlp, got {recipe.head}. Leave it out.")
    if recipe.strategy not in ("auto", "lora"):
        for name in ("lora_rank", "lora_alpha"):
            if getattr(recipe, name) != getattr(plain, name):
                raise BadRequest(
                    f"recipe: {name}: expected --strategy lora, got {recipe.strategy}. Leave it out."
                )
    if recipe.strategy == "probe" and recipe.search_seconds is not None:
        raise BadRequest(
            "--search: expected a strategy that trains, got 'probe', whose strength is searched anyway. "
            "Leave one of them out."
        )
    if recipe.strategy == "gradual" and recipe.search_seconds is not None:
        raise BadRequest(
            "--search: expected a strategy whose trials may take one epoch, got 'gradual', whose first "
            "trains the head alone. Use partial or full, or leave the search out."
        )
    if recipe.random_baseline and (own_head or recipe.head == "mlp"):
        raise BadRequest(
            "recipe: random_baseline: expected a linear head, since another network under the same head is "
            "not built from data here. Leave it out, or use --head linear."
        )
    if recipe.random_baseline and recipe.teacher is not None:
        raise BadRequest(
            "recipe: random_baseline and teacher: random weights are compared with what the pretraining is "
            "worth, to which a teacher would be added. Leave one of them out."
        )
    if recipe.strategy == "probe" and (own_head or recipe.head == "mlp"):
        named = "a head of one's own" if own_head else "--head mlp"
        raise BadRequest(
            f"--strategy probe: a probe is linear, got {named}. Use --strategy head, which trains it on the "
            "frozen network."
        )
    if recipe.strategy == "gradual" and recipe.epochs is not None and recipe.epochs < LEAST_GRADUAL:
        raise BadRequest(
            f"recipe: epochs {recipe.epochs}: expected at least {LEAST_GRADUAL} with strategy gradual, whose "
            "first epoch trains the head alone."
        )
    if recipe.strategy in ("scratch", "lora") and (recipe.frozen_stages or recipe.freeze):
        named = "freeze" if recipe.freeze else f"frozen_stages {recipe.frozen_stages}"
        raise BadRequest(
            f"recipe: {named}: with --strategy {recipe.strategy} "
            + (
                "every weight begins at random and none is worth keeping."
                if recipe.strategy == "scratch"
                else "the network's own weights stay anyway."
            )
            + " Leave it out."
        )


def strategy_for(
    found: Pretrained, dataset: Dataset[Any], recipe: Recipe, *, own_head: bool = False
) -> Strategy:
    """What the recipe asks for; left open, what suits data, network and machine.

    Raises:
        BadRequest: the recipe asks for training, and the model has no form for it.
        MissingExtra: likewise, and torch is not installed.
    """
    name = recipe.strategy
    if name == "probe":
        return Strategy("probe", ("the recipe asks for a probe only",))
    if name != "auto":
        if name != "scratch" or begun_with(found, recipe) is None:  # which needs no weights
            require_training(found, name)
        return Strategy(name, (_ASKED.get(name, f"the recipe asks for strategy {name}"),))
    return automatic(situation_of(found, dataset, recipe, own_head=own_head))


def situation_of(
    found: Pretrained, dataset: Dataset[Any], recipe: Recipe, *, own_head: bool = False
) -> Situation:
    """What the choice depends on, from what is known before a file is opened.

    Args:
        found: the model; its module is built, where torch can, to see what it is made of.
        dataset: rows that cannot be read are still counted.
        recipe: head and fractions.
        own_head: whether the caller brings a head of their own.
    """
    rows = dataset.subset([place for place, entry in enumerate(dataset.entries) if entry.split != "test"])
    counts = rows.class_counts
    used = counts[counts > 0]
    reason = can_train(found)
    # Where there is no test split, training has some held out, which neither teach nor decide.
    share = 1.0 if "test" in dataset.splits else 1 - recipe.test_fraction
    own = sum(entry.split == "val" for entry in rows.entries)
    return Situation(
        images=int(share * len(rows)),
        classes=len(used),
        least=int(share * used.min()) if len(used) else 0,
        deciding=own or int(np.floor(recipe.validation_fraction * len(rows))),
        family="other" if reason else family_of(found),
        untrainable=reason,
        adapters=find_spec("peft") is not None,
        linear=recipe.head in ("auto", "linear") and not own_head,
    )


def family_of(found: Pretrained) -> Family:
    """What a network that torch can build is made of."""
    from signet.training import family_of_module

    source = found.module
    return "other" if source is None else family_of_module(source.build())


def dealt(
    dataset: Dataset[Any], recipe: Recipe, strategy: Strategy, on_progress: OnProgress
) -> tuple[Parts, Strategy]:
    """The parts of a run; where no image is left to decide by, those of a probe, if that was left open.

    Raises:
        BadDataset: as `partition`; or the recipe asks for training, and no image is left to decide by.
    """
    training = strategy.name != "probe"
    if not training and recipe.target is not None and "test" not in dataset.splits:
        return _held_for_source(dataset, recipe, on_progress), strategy
    parts = partition(dataset, recipe, training=training, on_progress=on_progress)
    if training and recipe.kfold:
        check_folds(parts, dataset.source)
        return parts, strategy
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


def _held_for_source(dataset: Dataset[Any], recipe: Recipe, on_progress: OnProgress) -> Parts:
    """The parts of a probe that is adapted: a test part says what that costs on the source.

    Nested folds would be of the probe as it was before.
    """
    parts = partition(dataset, recipe, training=True, on_progress=on_progress)
    return dataclasses.replace(parts, validation=np.zeros(0, np.int64))
