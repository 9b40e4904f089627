"""What is published of a candidate's accuracy on ImageNet, where from, and whether it is its own."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from signet.cards import Card
from signet.catalogue import facts
from signet.choosing.posterior import Prior

_IMAGENET_CLASSES = (1000, 1001)


class Stated(NamedTuple):
    """A prior, and where its figure is from, in words ("" for none)."""

    prior: Prior
    words: str = ""


def stated_of(name: str, card: Card) -> Stated:
    """The accuracy on ImageNet-1k validation: its own, else that of its architecture.

    A classifier of other labels than ImageNet's has none, whatever its architecture; neither has a figure on
    a set of somebody's own, since such figures do not compare.

    Args:
        name: as it was asked for.
        card: of the model.
    """
    for one in dict.fromkeys((card.name, name)):
        found = facts.top1_of(one, card.input_size)
        if found is not None:
            return Stated(_prior(found), "published of these weights")
    own = [c.value for c in card.claims if c.metric == "top1" and c.dataset == facts.DATASETS["1k"]]
    if own:
        return Stated(_prior(max(own)), "as its card states")
    if card.task != "classify" or card.output.classes not in _IMAGENET_CLASSES:
        return Stated(Prior(None))
    library, _, rest = card.name.partition("/")
    architecture = card.architecture or rest.partition(".")[0]
    same = _of_architectures().get(architecture, {})
    if same:
        figures = same.get(library) or [value for values in same.values() for value in values]
        return Stated(_prior(float(np.median(figures)), True), f"published of other {architecture} weights")
    row = _packaged().get(architecture)
    if row is not None:
        return Stated(_prior(float(row["top1"]), True), f"published of {row['variant']}: {row['source']}")
    return Stated(Prior(None))


def _prior(top1: float, borrowed: bool = False) -> Prior:
    return Prior(min(max(top1, 0.001), 0.999), borrowed)


@cache
def _of_architectures() -> Mapping[str, Mapping[str, list[float]]]:
    """Architecture to library to the accuracies of all its weights."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in facts.names():
        value = facts.top1_of(name)
        if value is not None:
            library, _, rest = name.partition("/")
            found.setdefault(rest.partition(".")[0], {}).setdefault(library, []).append(value)
    return found


@cache
def _packaged() -> Mapping[str, Mapping[str, str]]:
    """Architectures that no zoo of the catalogue has, by the name that cards give them."""
    text = files("signet.choosing").joinpath("data/architectures.csv").read_text("utf-8")
    return {row["architecture"]: row for row in csv.DictReader(io.StringIO(text))}
