"""Settings of a recipe that contradict each other, or that another one makes useless: refused in words."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from signet.errors import BadRequest

if TYPE_CHECKING:
    from signet.recipes import Recipe

_WITH_MOMENTUM = ("sgd", "rmsprop")
_OF_A_TEACHER = ("teacher_views", "teacher_temperature", "teacher_weight")
_OF_THE_BODY = ("frozen_stages", "layer_decay", "stage_rates")


def refuse_contradictions(recipe: Recipe) -> None:
    """Refuse a recipe whose settings do not go together.

    Raises:
        BadRequest: with both settings, and what to do.
    """
    _check_optimizer(recipe)
    _check_frozen(recipe)
    _check_folds(recipe)
    _check_loss(recipe)
    _check_target(recipe)


def _check_optimizer(recipe: Recipe) -> None:
    if recipe.nesterov and (recipe.optimizer != "sgd" or not recipe.momentum):
        raise BadRequest(
            f"recipe: nesterov looks ahead of the momentum of sgd: got the optimizer {recipe.optimizer!r} "
            f"with a momentum of {recipe.momentum:g}. Use optimizer = 'sgd', or leave nesterov out."
        )
    if _given(recipe, "momentum") and recipe.optimizer not in _WITH_MOMENTUM:
        raise BadRequest(
            f"recipe: momentum {recipe.momentum:g}: expected the optimizer 'sgd' or 'rmsprop', got "
            f"{recipe.optimizer!r}, which has none to set. Leave it out, or use one of those."
        )
    if recipe.schedule != "step" and (_given(recipe, "step_at") or _given(recipe, "step_factor")):
        raise BadRequest(
            f"recipe: step_at and step_factor: expected the schedule 'step', got {recipe.schedule!r}. Leave "
            "them out, or use schedule = 'step'."
        )
    if recipe.schedule == "one-cycle" and _given(recipe, "warmup"):
        raise BadRequest(
            "recipe: warmup: expected a schedule without a rise of its own, got 'one-cycle', which rises "
            "over three tenths of the steps. Leave warmup out, or use schedule = 'cosine'."
        )
    if list(recipe.step_at) != sorted(recipe.step_at):
        raise BadRequest(f"recipe: step_at: expected shares that rise, got {list(recipe.step_at)}.")


def _check_frozen(recipe: Recipe) -> None:
    if recipe.freeze and recipe.frozen_stages is not None:
        raise BadRequest(
            f"recipe: freeze names the stages that stay as they are, and frozen_stages "
            f"({recipe.frozen_stages}) counts them: expected one of the two."
        )
    if recipe.freeze and recipe.strategy in ("head", "scratch", "probe"):
        reasons = {"scratch": "begins all of them at random, none worth keeping"}
        reason = reasons.get(recipe.strategy, "leaves all of them as they are")
        raise BadRequest(
            f"recipe: freeze: expected a strategy that trains stages of a pretrained network, got "
            f"{recipe.strategy!r}, which {reason}. Use strategy = 'full', or leave freeze out."
        )
    moved = [name for name in _OF_THE_BODY if _given(recipe, name)] if recipe.strategy == "head" else []
    if recipe.strategy == "head" and recipe.batchnorm in ("batch", "adapt"):
        moved.append("batchnorm")  # "re-estimated" is for statistics of a head as well
    if moved:
        raise BadRequest(
            f"recipe: {', '.join(moved)}: expected a strategy that trains stages below the head, got 'head', "
            "which leaves all of them as they are. Use strategy = 'partial', or leave it out."
        )
    both = sorted(set(recipe.freeze) & set(recipe.stage_rates))
    if both:
        raise BadRequest(
            f"recipe: {', '.join(both)}: expected a stage to be frozen or to have a rate, got both. Take it "
            "out of freeze or out of stage_rates."
        )


def _check_loss(recipe: Recipe) -> None:
    if _given(recipe, "focusing") and recipe.loss != "focal":
        raise BadRequest(
            f"recipe: focusing {recipe.focusing:g}: expected the loss 'focal', which it is a number of, got "
            f"{'none named' if recipe.loss is None else repr(recipe.loss)}. Name it, or leave focusing out."
        )
    if recipe.teacher is None:
        unused = [name for name in _OF_A_TEACHER if _given(recipe, name)]
        if unused:
            raise BadRequest(
                f"recipe: {', '.join(unused)}: expected a teacher, got none. Name one: teacher = MODEL."
            )


def _given(recipe: Recipe, name: str) -> bool:
    """Whether a setting differs from what it is when it is left out."""
    (spec,) = (field for field in dataclasses.fields(recipe) if field.name == name)
    factory = spec.default_factory
    return bool(getattr(recipe, name) != (spec.default if factory is dataclasses.MISSING else factory()))


def _check_folds(recipe: Recipe) -> None:
    if recipe.kfold is None:
        return
    if recipe.search_seconds is not None:
        raise BadRequest(
            f"recipe: kfold {recipe.kfold} and search_seconds: a search needs images that decide between "
            "what it tries, and folds leave none aside. Search first, and give a run of folds what it found."
        )
    if recipe.random_baseline:
        raise BadRequest(
            f"recipe: kfold {recipe.kfold} and random_baseline: random weights are compared with one "
            "network, and folds make several. Ask for the baseline in a run without folds."
        )


def _check_target(recipe: Recipe) -> None:
    way = recipe.adaptation
    if recipe.target is None:
        if _given(recipe, "adaptation"):
            raise BadRequest(
                f"recipe: adaptation {way!r}: expected images to adapt to, got no target. Name some: "
                "--target FOLDER, or leave adaptation out."
            )
        return
    if recipe.kfold is not None:
        raise BadRequest(
            f"recipe: kfold {recipe.kfold} and target: expected one network to adapt, got one for each fold. "
            "Leave one of them out."
        )
    if way == "coral" and recipe.head == "mlp":
        raise BadRequest(
            "recipe: adaptation 'coral' and head 'mlp': expected a linear head, which is fitted anew on "
            "features like the target's. Use --adaptation adabn, or --head linear."
        )
