"""Splits that are stratified, seeded and leak-free. Pure functions of labels, names and groups.

What belongs together (copies of one picture, pictures of one patient) forms a *unit*, and a unit is never
divided. Units are dealt to the parts class by class, rarest class first, so that each part has its share
of every class.

Source: K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD
2011 (iterative stratification: rarest label first, to the part that wants it most); here over units in
place of single examples, with at least one unit of a class in each part where there are enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from signet.arrays import Array, Integers, frozen
from signet.errors import BadRequest

UNLABELLED = -1
"""The class that stands for "no class" while dealing."""

_LISTED_NAMES = 10


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Which part each example went to.

    Attributes:
        parts: the names of the parts, in the order asked for.
        assignment: int64 (N,), positions in `parts`.
        lacking: for each part, the classes that occur elsewhere but not in it.
    """

    parts: tuple[str, ...]
    assignment: Integers
    lacking: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "assignment", frozen(self.assignment, "assignment", "int64", (None,)))
        object.__setattr__(self, "lacking", MappingProxyType(dict(self.lacking)))

    def indices(self, part: str) -> Integers:
        """int64 (K,), the positions of one part's examples, ascending."""
        return np.flatnonzero(self.assignment == self.parts.index(part))

    @property
    def names(self) -> tuple[str, ...]:
        """For each example the name of its part."""
        return tuple(self.parts[part] for part in self.assignment)

    def sentences(self, labels: Sequence[str]) -> tuple[str, ...]:
        """What a person should know: the classes that a part could not be given."""
        said = []
        for part, classes in self.lacking.items():
            if classes:
                names = ", ".join(labels[index] for index in classes[:_LISTED_NAMES])
                more = f" and {len(classes) - _LISTED_NAMES} more" if len(classes) > _LISTED_NAMES else ""
                said.append(
                    f"{len(classes)} classes have too few images (or groups of images "
                    f"that belong together) for {part!r} to get one: {names}{more}."
                )
        return tuple(said)


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is dealt as one: the members' positions, and how often each class occurs among them."""

    members: tuple[int, ...]
    counts: Mapping[int, int]


def stratified_group_split(
    classes: Sequence[Sequence[int]],
    shares: Mapping[str, float],
    *,
    names: Sequence[str],
    groups: Sequence[Hashable | None] | None = None,
    seed: int = 0,
) -> Split:
    """Deal examples to named parts, each class by the same shares.

    A class with fewer units than parts goes to the parts of the largest shares first (so a class of one
    image is only for training), and `Split.lacking` names it. A class with enough units reaches every
    part. The result depends on the seed and on the names, not on the order of the examples.

    Args:
        classes: for each of N examples its class indices: one, several (multi-label), or none.
        shares: name of a part to its share; they are scaled to a sum of 1.
        names: N names that differ (relative paths, say).
        groups: for each example what it belongs with, None for nothing. See `merge_groups`.
        seed: any whole number from 0.

    Raises:
        BadRequest: lengths that differ, names that are not unique, a share that is not positive.

    Example:
        >>> split = stratified_group_split([(0,)] * 8 + [(1,)] * 4, {"train": 3, "val": 1},
        ...     names=[f"{i}.jpg" for i in range(12)])
        >>> len(split.indices("train")), len(split.indices("val"))
        (9, 3)
    """
    if not shares or not all(share > 0 for share in shares.values()):
        raise BadRequest(f"shares: expected one positive share for each part, got {dict(shares)}.")
    total = sum(shares.values())
    parts = tuple(shares)
    assignment = _dealt(classes, [share / total for share in shares.values()], names, groups, seed)
    present = [
        {index for position in np.flatnonzero(assignment == part).tolist() for index in classes[position]}
        for part in range(len(parts))
    ]
    every = set().union(*present)
    lacking = {
        name: tuple(sorted(every - present[part])) if len(classes) else () for part, name in enumerate(parts)
    }
    return Split(parts, assignment, lacking)


def stratified_group_folds(
    classes: Sequence[Sequence[int]],
    folds: int,
    *,
    names: Sequence[str],
    groups: Sequence[Hashable | None] | None = None,
    seed: int = 0,
) -> Integers:
    """Deal examples to folds of equal share, for k-fold validation.

    A class with at least as many units as folds reaches every fold. Arguments as in
    `stratified_group_split`.

    Returns:
        int64 (N,): the fold of each example, 0 to folds - 1.

    Raises:
        BadRequest: fewer than 2 folds, or fewer units than folds.
    """
    if folds < 2:
        raise BadRequest(f"folds: expected at least 2, got {folds}.")
    assignment = _dealt(classes, [1 / folds] * folds, names, groups, seed)
    if len(np.unique(assignment)) < folds:
        raise BadRequest(
            f"folds: {folds} folds need at least {folds} images (or groups of images that belong together) "
            f"to deal, got fewer. Ask for fewer folds."
        )
    return assignment


def merge_groups(*groupings: Sequence[Hashable | None]) -> Integers:
    """Join groupings of the same N examples: what any of them keeps together stays together.

    Args:
        groupings: for each example its group, None for a group of its own.

    Returns:
        int64 (N,): the position of the first example of each one's joined group.

    Raises:
        BadRequest: no grouping, or lengths that differ.

    Example:
        >>> merge_groups(["a", "a", None, "b"], [None, 1, 1, None]).tolist()
        [0, 0, 0, 3]
    """
    if len({len(grouping) for grouping in groupings}) != 1:
        raise BadRequest(
            f"groups: expected groupings of one length, got lengths "
            f"{[len(grouping) for grouping in groupings]}."
        )
    parent = list(range(len(groupings[0])))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    for grouping in groupings:
        first: dict[Hashable, int] = {}
        for position, group in enumerate(grouping):
            if group is not None:
                one, other = sorted((root(first.setdefault(group, position)), root(position)))
                parent[other] = one
    return np.array([root(position) for position in range(len(parent))], np.int64)


def _dealt(
    classes: Sequence[Sequence[int]],
    shares: Sequence[float],
    names: Sequence[str],
    groups: Sequence[Hashable | None] | None,
    seed: int,
) -> Integers:
    if len(names) != len(classes) or (groups is not None and len(groups) != len(classes)):
        raise BadRequest(
            f"expected as many names and groups as examples ({len(classes)}), "
            f"got {len(names)} and {len(classes if groups is None else groups)}."
        )
    if len(set(names)) != len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise BadRequest(f"names: expected names that differ, got {twice!r} twice.")
    units = _units(classes, names, groups)
    assignment = np.zeros(len(classes), np.int64)
    for unit, part in zip(units, _Deal(units, shares).run(seed), strict=True):
        assignment[list(unit.members)] = part
    return assignment


def _units(
    classes: Sequence[Sequence[int]], names: Sequence[str], groups: Sequence[Hashable | None] | None
) -> list[_Unit]:
    """Units in the order of their first name, so that the order of the examples does not matter."""
    order = sorted(range(len(names)), key=names.__getitem__)
    together: dict[Hashable, list[int]] = {}
    for position in order:
        group = None if groups is None else groups[position]
        key = ("alone", position) if group is None else ("group", group)
        together.setdefault(key, []).append(position)
    return [
        _Unit(
            tuple(members),
            Counter(index for member in members for index in (set(classes[member]) or {UNLABELLED})),
        )
        for members in together.values()
    ]


class _Deal:
    """One dealing of units to parts: what each part still wants of each class."""

    def __init__(self, units: Sequence[_Unit], shares: Sequence[float]) -> None:
        self.units = units
        self.shares = shares
        self.left = Counter(index for unit in units for index in unit.counts)
        self.rarity = dict(self.left)
        totals: Counter[int] = Counter()
        for unit in units:
            totals.update(unit.counts)
        self.owed = {index: self._owed_parts(count) for index, count in self.left.items()}
        self.wanted = {index: self._wanted(index, total) for index, total in totals.items()}
        self.placed = [0] * len(shares)

    def _owed_parts(self, units: int) -> set[int]:
        """The parts that must get a unit of a class which has so many."""
        if units >= len(self.shares):
            return set(range(len(self.shares)))
        if len(set(self.shares)) == 1:
            return set()  # equal parts: none comes first, the emptiest gets it
        return set(sorted(range(len(self.shares)), key=lambda part: -self.shares[part])[:units])

    def _wanted(self, index: int, total: int) -> list[float]:
        owed = self.owed[index]
        if owed and len(owed) < len(self.shares):
            return [total / len(owed) if part in owed else 0.0 for part in range(len(self.shares))]
        return [share * total for share in self.shares]

    def run(self, seed: int) -> list[int]:
        """The part of each unit."""
        shuffled = np.random.default_rng(seed).permutation(len(self.units)).tolist()
        rarest = [min(unit.counts, key=lambda index: (self.rarity[index], index)) for unit in self.units]
        order = sorted(
            shuffled,
            key=lambda unit: (self.rarity[rarest[unit]], rarest[unit], -len(self.units[unit].members)),
        )
        parts = [0] * len(self.units)
        for unit in order:
            parts[unit] = self._place(self.units[unit], rarest[unit])
        return parts

    def _place(self, unit: _Unit, rarest: int) -> int:
        wanted, owed = self.wanted[rarest], self.owed[rarest]
        if owed and self.left[rarest] <= len(owed):
            candidates = sorted(owed)
        else:
            # Parts that want nearly the same of this class differ only by rounding: whichever is furthest
            # behind over all classes gets it, so that rounding does not add up over many small classes.
            most = max(wanted)
            candidates = [part for part, want in enumerate(wanted) if want > max(most - 1, 0)]
            candidates = candidates or list(range(len(wanted)))
        dealt = sum(self.placed)
        part = max(
            candidates,
            key=lambda part: (self.shares[part] * dealt - self.placed[part], wanted[part], -part),
        )
        self.placed[part] += len(unit.members)
        for index, count in unit.counts.items():
            self.wanted[index][part] -= count
            self.left[index] -= 1
            self.owed[index].discard(part)
        return part


def judgeable(targets: Integers, folds: Integers) -> Array:
    """Which images a fit without their fold can answer: bool (N,), those of a class that lies in several.

    Args:
        targets: int64 (N,).
        folds: int64 (N,).
    """
    pairs = np.unique(np.stack([targets, folds]), axis=1)
    several = np.bincount(pairs[0], minlength=int(targets.max()) + 1) > 1
    return np.asarray(several[targets], np.bool_)
