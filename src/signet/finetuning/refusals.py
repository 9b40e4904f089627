"""Settings that a dataset, or a strategy, has no use for: refused in words, before anything long begins."""

from __future__ import annotations

from typing import Any

from signet.datasets import Dataset
from signet.errors import BadRequest, WrongTask
from signet.finetuning.detector_networks import FAMILIES
from signet.finetuning.optimising import STEPPED_WITH
from signet.finetuning.steadying import refuse_unsteady
from signet.naming import shown
from signet.recipes import Recipe

LEARNED_WITH = (
    "mixup",
    "cutmix",
    "erasing",
    "randaugment",
    "loss",
    "focusing",
    "sampling",
    "progressive",
    "random_baseline",
    "kfold",
    "teacher",
    "teacher_views",
    "teacher_temperature",
    "teacher_weight",
)
"""Settings of a training on labels of images; a probe, pixels and objects have no use for them."""

TRAINED_WITH = (
    "epochs",
    "head_rate",
    "backbone_rate",
    "weight_decay",
    "warmup",
    "label_smoothing",
    "augmentation",
    "gradient_clip",
    "patience",
    "frozen_stages",
    "input_size",
)
"""Settings of any training that are looked at beside `STEPPED_WITH`; a probe has no use for them."""

ASKED_OF_TRAINING = (*TRAINED_WITH, *LEARNED_WITH, *STEPPED_WITH, "search_seconds", "averaging", "batchnorm")
"""Whoever changes one of these wants to see a training."""

_OF_LEARNERS = (
    "preset",
    "strengths",
    "folds",
    "search_seconds",
    "head_hidden",
    "head_dropout",
    "lora_rank",
    "lora_alpha",
    "label_smoothing",
    "target",
    "adaptation",
)
_OF_OBJECTS = ("mosaic",)
_TRUTHS = {"segment": "labelled pixels", "detect": "boxes", "instances": "objects with masks"}


def changed(recipe: Recipe, names: tuple[str, ...]) -> list[str]:
    """Those of some settings that are not as they are left out."""
    blank = Recipe()
    return [name for name in names if getattr(recipe, name) != getattr(blank, name)]


def refuse_unfit(recipe: Recipe, dataset: Dataset[Any]) -> None:
    """Refuse what the recipe asks for, and the dataset's truth makes no sense of.

    Raises:
        WrongTask: the recipe's head is not for that truth (of pixels and objects the makers of their networks
            say so).
        BadRequest: nor is another setting.
    """
    refuse_unsteady(recipe, dataset.task)
    if recipe.kfold is not None and changed(recipe, ("folds",)):
        raise BadRequest(
            f"recipe: kfold {recipe.kfold} and folds {recipe.folds}: the probe is judged by the folds of "
            "kfold, too. Leave folds out."
        )
    if dataset.task != "classify":
        _refuse_for_views(recipe, dataset)
        return
    source = shown(dataset.source)
    if recipe.head not in ("auto", "linear", "mlp"):
        wanted = f"objects (--head {recipe.head})" if recipe.head in FAMILIES else "a label for each pixel"
        raise WrongTask(
            f"{dataset.source}: expected {wanted}, got {_labels(dataset)}, for which the head is linear or "
            "mlp."
        )
    for name in _OF_OBJECTS:
        if getattr(recipe, name):
            raise BadRequest(f"recipe: {name}: expected a dataset of objects, got {_labels(dataset)}.")
    if recipe.class_weights == "median":
        raise BadRequest(
            f"recipe: class_weights 'median': expected labelled pixels, got {_labels(dataset)}. "
            "Use 'inverse', 'balanced' or 'none'."
        )
    unused = (
        # One recipe with its epochs and rates serves a probe and what follows it: the plan names these.
        changed(recipe, (*LEARNED_WITH, *STEPPED_WITH, "class_weights")) if recipe.strategy == "probe" else []
    )
    if unused:
        raise BadRequest(
            f"recipe: {', '.join(unused)}: expected a strategy that trains, got 'probe', which is a fit on "
            "features. Leave it out, or use --strategy partial."
        )
    if recipe.random_baseline and recipe.strategy == "scratch":
        raise BadRequest(
            "recipe: random_baseline: expected a strategy that begins with pretrained weights, got "
            "'scratch', which is that baseline itself. Leave it out."
        )
    if dataset.exclusive:
        return
    if recipe.sampling == "balanced":
        raise BadRequest(
            f"recipe: sampling 'balanced': {source} has several labels an image, and an image of a rare one "
            "may show frequent ones too. Use class_weights = 'inverse' or 'balanced'."
        )
    if recipe.loss == "cross-entropy":
        raise BadRequest(
            f"recipe: loss 'cross-entropy': {source} has several labels an image, each a question of its "
            "own. Use 'bce' or 'focal', or leave it out."
        )


def _refuse_for_views(recipe: Recipe, dataset: Dataset[Any]) -> None:
    truth = _TRUTHS[dataset.task]
    unfit = changed(recipe, (*LEARNED_WITH, *_OF_LEARNERS))
    if unfit:
        raise BadRequest(
            f"recipe: {', '.join(unfit)}: expected labels of images, got {truth}, whose views and losses are "
            "others. Leave it out."
        )
    if recipe.augmentation == "strong":
        raise BadRequest(
            f"recipe: augmentation 'strong' mixes pictures and turns them, which {truth} do not survive: "
            "expected 'none', 'light' or 'medium'."
        )
    fitting = (None, "none", "median") if dataset.task == "segment" else (None, "none")
    if recipe.class_weights not in fitting:
        words = " or ".join(repr(word) for word in fitting if word)
        raise BadRequest(
            f"recipe: class_weights {recipe.class_weights!r}: expected {words} for {truth}. Leave it out."
        )


def _labels(dataset: Dataset[Any]) -> str:
    return "one label an image" if dataset.exclusive else "labels of images"
