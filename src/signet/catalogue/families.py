"""What is known of a family of networks: its paper, depth and use, and what a tag was trained on.

The facts are written by hand in `data/families.json`, each architecture by the longest prefix that fits it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Family:
    """A family, as far as one architecture of it is concerned.

    Attributes:
        name: "ResNet" ...; "" when nothing is known.
        title: of the paper that the architecture is from, or None where there is none.
        paper: "arXiv:1512.03385", or venue and year.
        year: of publication.
        depth: layers, counted as `depth_counts` says, or None where the paper does not count any.
        depth_counts: what is counted.
        good_for: one sentence.
    """

    name: str = ""
    title: str | None = None
    paper: str | None = None
    year: int | None = None
    depth: int | None = None
    depth_counts: str | None = None
    good_for: str = ""


@cache
def family_of(architecture: str, zoo: str = "") -> Family:
    """The family of an architecture; the zoo matters where one name means other networks elsewhere.

    Example:
        >>> family_of("resnet50").depth, family_of("inception_v3").year
        (50, 2015)
    """
    facts = _facts()
    prefix = _prefix(facts["architectures"], f"{zoo}/{architecture}") if zoo else None
    prefix = prefix or _prefix(facts["architectures"], architecture)
    if prefix is None:
        return Family()
    entry = facts["architectures"][prefix]
    name, paper = (entry, facts["families"][entry]["paper"]) if isinstance(entry, str) else entry
    title, year = facts["papers"].get(paper, (None, None))
    depth, counts = _depth(facts["depths"], architecture)
    return Family(name, title, paper, year, depth, counts, facts["families"][name]["good_for"])


def families() -> tuple[str, ...]:
    """The names of all families, sorted."""
    return tuple(_facts()["families"])


@cache
def training_data_of(tag: str) -> str | None:
    """What the words of a weight's tag say about its training data, with the terms of each; None: nothing.

    Example:
        >>> training_data_of("a1_in1k")
        'ImageNet-1k (ImageNet terms of access: non-commercial research and education)'
    """
    terms: dict[str, list[str]] = {}
    for word in tag.lower().split("_"):
        entry = _training().get(word)
        if entry is not None:
            names = terms.setdefault(entry[1], [])
            if entry[0] not in names:
                names.append(entry[0])
    if not terms:
        return None
    return "; ".join(f"{', '.join(names)} ({words})" for words, names in terms.items())


def trained_on(tag: str) -> tuple[str, ...]:
    """The names of the data that the words of a tag name, in their order, each once.

    Example:
        >>> trained_on("augreg_in21k_ft_in1k")
        ('ImageNet-21k', 'ImageNet-1k')
    """
    found = (_training().get(word) for word in tag.lower().split("_"))
    return tuple(dict.fromkeys(entry[0].partition(" (")[0] for entry in found if entry is not None))


def _prefix(architectures: Mapping[str, Any], architecture: str) -> str | None:
    for end in range(len(architecture), 0, -1):
        if architecture[:end] in architectures:
            return architecture[:end]
    return None


def _depth(rules: list[Mapping[str, Any]], architecture: str) -> tuple[int | None, str | None]:
    for rule in rules:
        if architecture in rule.get("architectures", ()):
            return rule["architectures"][architecture], rule["counts"]
        found = _pattern(rule["pattern"]).match(architecture) if "pattern" in rule else None
        if found:
            return rule["depths"][found[1]] if "depths" in rule else int(found[1]), rule["counts"]
    return None, None


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


@cache
def _training() -> Mapping[str, tuple[str, str]]:
    """Word of a tag to (data, terms)."""
    return {
        word: (entry["words"], entry["terms"])
        for entry in _facts()["training"]
        for word in entry["token"].split("|")
    }


@cache
def _facts() -> Mapping[str, Any]:
    text = files("signet.catalogue").joinpath("data/families.json").read_text("utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found
