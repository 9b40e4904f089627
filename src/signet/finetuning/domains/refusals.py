"""What a network cannot be adapted by, said before anything is learned; and what a plan says of a target."""

from __future__ import annotations

import dataclasses
from typing import Any

from signet.datasets import Dataset
from signet.errors import BadRequest, MissingExtra
from signet.finetuning.domains.networks import trainable
from signet.finetuning.domains.target import Target, target_of
from signet.finetuning.jobs import HeadFactory
from signet.finetuning.plans import Plan
from signet.finetuning.trained import can_train
from signet.naming import shown
from signet.networks import Pretrained
from signet.recipes import Recipe

_WAYS = {
    "none": "nothing; its figures are measured alone",
    "adabn": "BatchNorm statistics of the target",
    "coral": "a linear head on features that have the target's covariance",
    "tent": "BatchNorm statistics of the target, then scale and shift of the norms by the entropy of answers",
    "auto": "what the images without labels speak for: nothing, adabn or coral",
}


def fit_target(
    found: Pretrained, dataset: Dataset[Any], recipe: Recipe, head: HeadFactory | None
) -> Target | None:
    """The images that the recipe names, which the model can be adapted to; None where it names none.

    Raises:
        BadRequest, MissingExtra: as `refuse_unadaptable` and `target_of`.
        BadDataset: as `target_of`.
    """
    refuse_unadaptable(found, recipe, head)
    return target_of(recipe, dataset)


def refuse_unadaptable(found: Pretrained, recipe: Recipe, head: HeadFactory | None) -> None:
    """Refuse a way of adapting that a model does not have.

    Args:
        found: the model.
        recipe: with or without a target.
        head: makes a head of the user's own.

    Raises:
        BadRequest: there is nothing in the network that it could change.
        MissingExtra: it needs torch, which is not installed.
    """
    way = recipe.adaptation
    if recipe.target is None:
        return
    if way == "coral" and head is not None:
        raise BadRequest(
            "--adaptation coral: expected a linear head, got one of your own. Use adabn, or leave it out."
        )
    if way not in ("adabn", "tent"):
        return
    name = shown(found.card.name)
    if not trainable(found):
        raise BadRequest(
            f"--adaptation {way}: {name} is a graph, which has no form that torch can change. Use "
            "--adaptation coral."
        )
    if can_train(found) is not None:
        raise MissingExtra(f"--adaptation {way}", "train", "torch")
    source = found.module
    module = None if source is None else source.build()
    if way == "adabn" and not has_batchnorm(module):
        raise BadRequest(
            f"--adaptation adabn: {name} has no BatchNorm, whose statistics it would take from the target. "
            "Use --adaptation coral or tent."
        )
    if way == "tent" and not has_norms(module):
        raise BadRequest(
            f"--adaptation tent: {name} has no norm with a scale that could learn. Use --adaptation coral."
        )


def has_batchnorm(module: Any) -> bool:
    """Whether a torch module has BatchNorm that can take other statistics."""
    from signet.training.domain_statistics import adaptable

    return bool(adaptable(module))


def has_norms(module: Any) -> bool:
    """Whether a torch module has norms with a scale."""
    from signet.training.entropy_descent import norms_of

    return bool(norms_of(module))


def with_target(plan: Plan, target: Target | None, recipe: Recipe) -> Plan:
    """A plan that says what is adapted to, and how; as it is without a target.

    Args:
        plan: what is going to be done.
        target: to which the result is adapted.
        recipe: how.
    """
    if target is None:
        return plan
    where = "other images of it" if target.apart else "the same images"
    use = (
        "it has no labels, so accuracy on it will not be known"
        if target.labelled is None
        else f"its labels say what that was worth, on {where}, and decide nothing"
    )
    why = f"target: {len(target.paths)} images of {shown(target.source)}; {use}"
    way = f"adaptation {recipe.adaptation}: {_WAYS[recipe.adaptation]}"
    return dataclasses.replace(plan, why=(*plan.why, why, way), notes=(*plan.notes, *target.notes))
