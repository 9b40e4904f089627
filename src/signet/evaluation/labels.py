"""A dataset's labels in a model's list: by name, by the strictest rule that finds one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from signet.arrays import Integers
from signet.datasets import Dataset
from signet.errors import BadDataset, WrongTask
from signet.models import Model
from signet.naming import shown
from signet.networks import Pretrained

TWINS = {"crane": "crane bird", "maillot": "maillot tank suit"}
"""Names that most lists of ImageNet's classes give to two of them, and how a list that keeps them apart calls
the other: who writes "crane" may mean either."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Where a dataset's labels are in a model's list.

    Attributes:
        positions: dataset label index to model output index; labels that the model lacks are missing.
        notes: what a reader must know.
    """

    positions: Mapping[int, int]
    notes: tuple[str, ...] = ()

    def targets(self, classes: Sequence[int]) -> tuple[int, ...]:
        """The model's indices of an image's classes; those that it lacks are left out."""
        return tuple(self.positions[index] for index in classes if index in self.positions)

    def only(self, among: Collection[int] | None) -> Matched:
        """Some of the labels, by their index in the dataset; all when None."""
        if among is None:
            return self
        return Matched(
            {index: place for index, place in self.positions.items() if index in among}, self.notes
        )

    def shared(self, known: Sequence[str]) -> Shared:
        """The labels that both sides have, in the model's order.

        Args:
            known: the model's label list.
        """
        places = sorted(set(self.positions.values()))
        own = {place: number for number, place in enumerate(places)}
        theirs = {index: own[place] for index, place in self.positions.items()}
        return Shared(tuple(known[place] for place in places), _table(own), _table(theirs))


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Labels that a dataset and a model share, and how either side comes to them.

    Attributes:
        names: as the model writes them.
        from_model: int64, for each of the model's indices a position in `names`, or -1; the last entry, -1,
            stands for all indices beyond, and for -1 itself.
        from_dataset: the same of the dataset's indices.
    """

    names: tuple[str, ...]
    from_model: Integers
    from_dataset: Integers


def _table(places: Mapping[int, int]) -> Integers:
    table = np.full(max(places) + 2, -1, np.int64)
    table[list(places)] = list(places.values())
    return table


def match_labels(model: Model[Any] | Pretrained, dataset: Dataset[Any]) -> Matched:
    """Find each label of a dataset in a model's list: those that occur; of objects and pixels all it has.

    A dataset that states class indices is taken by them. A name is that of an equal one; where there is
    none, of one that is equal but for case, blanks, hyphens and underscores ("house_finch"); where there is
    none, of one that is equal in its first part before a comma. What was not equal is in the notes.

    Raises:
        WrongTask: the model has none of the labels, or fewer outputs than the indices need.
        BadDataset: a name that the model's list has several times.
    """
    used = sorted({index for entry in dataset.entries for index in entry.classes})
    if dataset.task != "classify":
        # What is answered with a label that no image here has is a false alarm all the same.
        used = list(range(len(dataset.labels)))
    known = model.card.labels
    if dataset.indices_given:
        outputs = len(known) if known is not None else model.card.output.classes
        if outputs is not None and used and used[-1] >= outputs:
            raise WrongTask(
                f"{shown(dataset.source)}: its class indices go up to {used[-1]}, and {model.card.name} has "
                f"{outputs} classes. They do not speak of the same labels."
            )
        return Matched({index: index for index in used})
    if known is None:
        raise WrongTask(
            f"{model.card.name} has no label names, so the names of {shown(dataset.source)} cannot be "
            f"matched. {_by_index(dataset, 'Name the labels in its card.')}"
        )
    names = {index: dataset.labels[index] for index in used}
    positions = _by_name(names, known, _by_index(dataset, "Name it in the dataset as the model does."))
    missing = [name for index, name in names.items() if index not in positions]
    if not positions:
        raise WrongTask(
            f"{model.card.name} knows none of the labels of {shown(dataset.source)} "
            f"({few([*names.values()])}); its own are {few(known)}. "
            "Fine-tune it on these labels first"
            f"{', or give a CSV with class_index' if dataset.task == 'classify' else ''}."
        )
    notes = []
    placed = [(name, known[positions[index]]) for index, name in names.items() if index in positions]
    alike = [f"{name} as {label}" for name, label in placed if name != label]
    if alike:
        notes.append(f"{len(alike)} labels are written otherwise in the model's list: {few(alike)}.")
    if missing:
        what = {"classify": "images", "segment": "pixels"}.get(dataset.task, "objects")
        notes.append(
            f"{len(missing)} of the dataset's {len(used)} labels are unknown to the model, and their {what} "
            f"are left out: {few(missing)}."
        )
    return Matched(positions, tuple(notes))


def _by_index(dataset: Dataset[Any], otherwise: str) -> str:
    """What to do where names do not help: only tables of classes can state indices."""
    return "Give a CSV with class_index instead of names." if dataset.task == "classify" else otherwise


def _by_name(names: Mapping[int, str], known: Sequence[str], remedy: str) -> dict[int, int]:
    """Dataset index to model index, for each name by the strictest rule that finds it.

    Args:
        names: of the dataset, by index.
        known: the model's list.
        remedy: what to do where one name means several classes, in a sentence.

    Raises:
        BadDataset: that rule finds several.
    """
    positions: dict[int, int] = {}
    for rule in (str, _plain, _first_part):
        places: dict[str, list[int]] = {}
        for place, label in enumerate(known):
            places.setdefault(rule(label), []).append(place)
        for index, name in names.items():
            if index in positions:
                continue
            found = places.get(rule(name), [])
            twin = places.get(rule(TWINS.get(name, "")), []) if found else []
            if len(found) + len(twin) > 1:
                raise BadDataset(
                    f"label {shown(name)!r} means {len(found) + len(twin)} classes of the model (indices "
                    f"{', '.join(map(str, sorted(found + twin)))}). {remedy}"
                )
            if found:
                positions[index] = found[0]
    return positions


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-")


def _first_part(name: str) -> str:
    return _plain(name.split(",", maxsplit=1)[0])


def few(names: Sequence[str], most: int = 4) -> str:
    """The first names, and how many there are."""
    listed = ", ".join(shown(name) for name in names[:most])
    return f"{listed}, ... ({len(names)})" if len(names) > most else listed
