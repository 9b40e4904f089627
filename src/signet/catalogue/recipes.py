"""What the tag of a weight says of how, and by whom, it was trained.

The words are explained by hand in `data/recipes.json`, each with its source; one that no source explains is
left out, so a recipe may be unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from signet.catalogue.families import trained_on
from signet.catalogue.licences import OWN


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a weight was trained, as far as its name says.

    Attributes:
        words: what was done; "" when nothing that is known says so.
        by: who published it; "" when the name does not say.
        source: where that is explained; "" where there is nothing to explain.
        trained_on: the data, from the last to the first: "ImageNet-1k"; () when the tag does not say.
    """

    words: str = ""
    by: str = ""
    source: str = ""
    trained_on: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain JSON."""
        return {
            "words": self.words,
            "by": self.by,
            "source": self.source,
            "trained_on": list(self.trained_on),
        }


def recipe_of(name: str) -> Recipe:
    """The recipe of `zoo/architecture.tag`.

    Example:
        >>> recipe_of("timm/resnet50.tv2_in1k").by
        'torchvision'
    """
    zoo, _, rest = name.partition("/")
    tag = rest.partition(".")[2].lower()
    known = _known().get(zoo, {})
    parts = tag.split("_")
    words, by, sources = [], "", []
    place = 0
    while place < len(parts):
        for end in range(len(parts), place, -1):
            entry = known.get("_".join(parts[place:end]))
            if entry is not None:
                text, who, source = entry
                words += [text] if text else []
                sources += [_sources()[source]] if text else []
                by = by or who
                place = end - 1
                break
        place += 1
    if not by and OWN.match(name):
        by = "timm"
    return Recipe("; ".join(words), by, "; ".join(dict.fromkeys(sources)), trained_on(tag))


@cache
def _known() -> Mapping[str, Mapping[str, tuple[str, str, str]]]:
    whole = _whole()
    return {
        zoo: {word: (row[0], row[1], row[2]) for word, row in rows.items()}
        for zoo, rows in whole.items()
        if zoo not in ("about", "sources")
    }


def _sources() -> Mapping[str, str]:
    found: Mapping[str, str] = _whole()["sources"]
    return found


@cache
def _whole() -> Mapping[str, Mapping[str, str]]:
    text = files("signet.catalogue").joinpath("data/recipes.json").read_text("utf-8")
    found: Mapping[str, Mapping[str, str]] = json.loads(text)
    return found
