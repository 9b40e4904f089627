"""Presets: recipes for a purpose, as packaged TOML, some of whose settings follow from the dataset."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from signet.cards import Card
from signet.datasets import Dataset
from signet.errors import BadDataset, BadInput
from signet.extents import extent_of
from signet.naming import shown
from signet.recipes import Recipe

_SAMPLED = 50  # headers that tell how large the images are


class Preset(NamedTuple):
    """What a preset comes to for one dataset.

    Attributes:
        recipe: with its settings; those that the given recipe changes itself are left as they are.
        why: one sentence each.
    """

    recipe: Recipe
    why: tuple[str, ...]


class Counted(NamedTuple):
    """What of a preset follows from the number of images.

    Attributes:
        recipe: with these settings, too.
        why: one sentence each.
        steps: of the whole training, in place of the epochs that the plan would choose; None where the preset
            states none, or the recipe states epochs of its own.
    """

    recipe: Recipe
    why: tuple[str, ...]
    steps: int | None


def applied(recipe: Recipe, dataset: Dataset[Any], card: Card) -> Preset:
    """A recipe with those settings of the preset that it names that are known before the images are dealt.

    Args:
        recipe: `recipe.preset` names the preset; its other settings win where they are not the default.
        dataset: labels of images; the size of its images decides.
        card: of the model, since some presets are for a family.

    Raises:
        BadDataset: there are more images of a class than the preset is for.
    """
    name = recipe.preset
    if name is None:
        return Preset(recipe, ())
    stated = _stated(name)
    rows = dataset.subset([place for place, entry in enumerate(dataset.entries) if entry.split != "test"])
    _check_limits(name, stated.get("limits", {}), rows)
    settings = dict(stated["settings"])
    said = []
    if "area" in stated:
        area = _typical_area(rows)
        chosen = _first(stated["area"], area)["settings"]
        settings |= chosen
        said.append(f"{chosen['input_size']} pixels, since the images have about {area:,}")
    own = _changed(recipe)
    used = {key: value for key, value in settings.items() if key not in own}
    words = ", ".join(f"{key} = {value}" for key, value in used.items())
    why = [f"preset {name}: {words}", *(f"preset {name}: {sentence}" for sentence in said)]
    kept = [key for key in settings if key in own]
    if kept:
        why.append(f"the recipe's own {', '.join(kept)} in place of the preset's")
    family = stated.get("family")
    if family and not any(part in card.architecture.lower() for part in family["names"]):
        why.append(f"preset {name}: {family['words']}, and {card.name} is none")
    return Preset(recipe.changed(**used), tuple(why))


def counted(given: Recipe, chosen: Recipe, images: int) -> Counted:
    """What of the preset follows from the images that are learned from: those held out are none of them.

    Args:
        given: the recipe as a person gave it, whose settings win.
        chosen: `applied` of it.
        images: that one network learns from in an epoch.
    """
    rules = [] if given.preset is None else _stated(given.preset).get("images", [])
    if not rules or chosen.strategy == "probe":  # a fit on features has no steps
        return Counted(chosen, (), None)
    own, rule = _changed(given), _first(rules, images)
    settings = dict(rule.get("settings", {}))
    if isinstance(chosen.batch, int):
        settings["batch"] = max(2, min(chosen.batch, images))
    used = {key: value for key, value in settings.items() if key not in own}
    why = [f"preset {given.preset}: {key} = {value}" for key, value in used.items()]
    steps = int(rule["steps"])
    because = f"since {images:,} images are learned from"
    if given.epochs is not None:
        words = f"the recipe's own epochs in place of the {steps:,} steps of preset {given.preset}"
        return Counted(chosen.changed(**used), (*why, f"{words}, {because}"), None)
    why.append(f"preset {given.preset}: {steps:,} steps, {because}")
    return Counted(chosen.changed(**used), tuple(why), steps)


def epochs_of(steps: int, images: int, step_images: int) -> int:
    """The epochs that come nearest to so many steps, at least one.

    Args:
        steps: of the whole training.
        images: that are learned from in an epoch.
        step_images: images of a step; the last one of an epoch may have fewer.
    """
    return max(1, round(steps / math.ceil(images / step_images)))


def _stated(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text("utf-8"))


def _check_limits(name: str, limits: Mapping[str, int], rows: Dataset[Any]) -> None:
    most = limits.get("most_a_class")
    counts = rows.class_counts
    if most is None or not len(counts) or counts.max() <= most:
        return
    label = rows.labels[int(counts.argmax())]
    raise BadDataset(
        f"{shown(rows.source)}: --preset {name} is for at most {most} images of a class, got "
        f"{int(counts.max())} of {shown(label)!r}. Leave the preset out: more images carry more than a probe."
    )


def _first(rules: list[dict[str, Any]], value: int) -> dict[str, Any]:
    """The first rule whose limit is above a value; the last has none."""
    return next(rule for rule in rules if "below" not in rule or value < rule["below"])


def _typical_area(rows: Dataset[Any]) -> int:
    """The median number of pixels of some images, from their headers."""
    areas = []
    for path in rows.paths[:: max(1, len(rows) // _SAMPLED)]:
        try:
            height, width = extent_of(path).stored
        except BadInput:
            continue
        areas.append(height * width)
    if not areas:
        raise BadDataset(f"{shown(rows.source)}: expected images that can be read, got none.")
    return int(np.median(areas))


def _changed(recipe: Recipe) -> set[str]:
    """Settings that are not as they are left out."""
    plain = Recipe()
    names = (field.name for field in dataclasses.fields(Recipe))
    return {name for name in names if getattr(recipe, name) != getattr(plain, name)}
