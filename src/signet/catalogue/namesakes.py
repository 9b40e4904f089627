"""Several models of one name: what tells them apart, and how far their accuracies are from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from signet.catalogue import index
from signet.catalogue.entry import Entry
from signet.catalogue.listing import completed, entries
from signet.catalogue.recipes import Recipe, recipe_of


@dataclass(frozen=True, slots=True)
class Namesake:
    """One of them.

    Attributes:
        entry: its line, with its claims.
        recipe: how it was trained, as far as its tag says.
    """

    entry: Entry
    recipe: Recipe

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: the line, with the recipe."""
        return {**self.entry.to_dict(), "recipe": self.recipe.to_dict()}


def namesakes(name: str) -> tuple[Namesake, ...]:
    """The models that a name without zoo or tag may mean, best first; () for a name of one, or of nobody."""
    meant = set(index.candidates(name))
    if len(meant) < 2:
        return ()
    found = [completed(entry) for entry in entries() if entry.name in meant]
    found.sort(key=lambda entry: (-(_top1(entry) or 0.0), entry.name))
    return tuple(Namesake(entry, recipe_of(entry.name)) for entry in found)


def why(found: Sequence[Namesake]) -> str:
    """One sentence: how much a name hides, and in what its models differ."""
    values = [value for one in found if (value := _top1(one.entry)) is not None]
    hidden = ""
    if len(values) > 1:
        low, high = 100 * min(values), 100 * max(values)
        hidden = f"The same name hides {high - low:.1f} points of top-1: {low:.1f} to {high:.1f} %. "
    sides = sorted({max(one.entry.input_size) for one in found if one.entry.input_size is not None})
    data = {one.recipe.trained_on for one in found if one.recipe.trained_on}
    recipes = {one.recipe.words for one in found if one.recipe.words}
    publishers = sorted({one.recipe.by for one in found if one.recipe.by})
    counts = {one.entry.params for one in found if one.entry.params}
    ways = (
        (len(data) > 1, f"training data ({len(data)} kinds)"),
        (len(recipes) > 1, f"recipe ({len(recipes)} that are known)"),
        (len(sides) > 1, f"resolution ({sides[0]} to {sides[-1]} px)" if sides else ""),
        (len(publishers) > 1, f"publisher ({', '.join(publishers)})"),
        (len(counts) > 1, "parameters"),
    )
    told = [words for differs, words in ways if differs]
    if not told:
        return f"{hidden}What else tells them apart is not published."
    joined = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
    return f"{hidden}They differ in {joined}."


def _top1(entry: Entry) -> float | None:
    value = entry.key("top1")
    return value if isinstance(value, float) else None
