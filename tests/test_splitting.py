"""Splits keep shares, keep together what belongs together, and do not depend on the order of files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.errors import BadRequest
from signet.splitting import merge_groups, stratified_group_folds, stratified_group_split

SHARES = {"train": 0.8, "val": 0.2}


def _names(count: int) -> list[str]:
    return [f"{index}.jpg" for index in range(count)]


def _classes(*counts: int) -> list[tuple[int]]:
    return [(index,) for index, count in enumerate(counts) for _ in range(count)]


def _per_class(split, classes) -> list[tuple[int, ...]]:
    targets = np.array([index for (index,) in classes])
    return [
        tuple(
            int(((targets == index) & (split.assignment == part)).sum()) for part in range(len(split.parts))
        )
        for index in range(targets.max() + 1)
    ]


def test_shares_of_each_class():
    classes = _classes(100, 50, 10, 5)
    split = stratified_group_split(classes, SHARES, names=_names(165))
    assert _per_class(split, classes) == [(80, 20), (40, 10), (8, 2), (4, 1)]
    assert split.names[0] in SHARES
    assert len(split.indices("train")) == 132


def test_small_classes_reach_every_part_where_they_can():
    classes = _classes(1, 2, 3, 4, 100)
    split = stratified_group_split(classes, SHARES, names=_names(110))
    assert _per_class(split, classes)[:4] == [(1, 0), (1, 1), (2, 1), (3, 1)]
    assert split.lacking == {"train": (), "val": (0,)}
    (said,) = split.sentences(["one", "two", "three", "four", "many"])
    assert said.startswith("1 classes have too few images")
    assert said.endswith("for 'val' to get one: one.")
    three = stratified_group_split(classes, {"train": 6, "val": 2, "test": 2}, names=_names(110))
    assert _per_class(three, classes)[:3] == [(1, 0, 0), (1, 1, 0), (1, 1, 1)]


def test_rounding_does_not_add_up():
    classes = _classes(*[7] * 40)
    split = stratified_group_split(classes, SHARES, names=_names(280))
    assert abs(len(split.indices("val")) - 56) <= 2
    assert {counts[1] for counts in _per_class(split, classes)} == {1, 2}


def test_the_order_of_files_does_not_matter():
    classes, names = _classes(30, 20, 10), _names(60)
    groups = [str(index // 3) for index in range(60)]
    split = stratified_group_split(classes, SHARES, names=names, groups=groups, seed=3)
    expected = dict(zip(names, split.names, strict=True))
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(60)
        again = stratified_group_split(
            [classes[i] for i in order],
            SHARES,
            names=[names[i] for i in order],
            groups=[groups[i] for i in order],
            seed=3,
        )
        assert dict(zip([names[i] for i in order], again.names, strict=True)) == expected


def test_seeds_give_other_splits():
    classes = _classes(50, 50)
    assignments = {
        tuple(stratified_group_split(classes, SHARES, names=_names(100), seed=seed).assignment.tolist())
        for seed in range(5)
    }
    assert len(assignments) == 5


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 4), max_size=3), st.integers(0, 12)), min_size=1, max_size=60),
    st.integers(2, 4),
    st.integers(0, 99),
)
def test_groups_are_never_divided(rows, parts, seed):
    classes = [tuple(row[0]) for row in rows]
    groups = [row[1] or None for row in rows]
    shares = {str(part): 1.0 + part for part in range(parts)}
    split = stratified_group_split(classes, shares, names=_names(len(rows)), groups=groups, seed=seed)
    for group in set(groups) - {None}:
        assert len({split.assignment[i] for i, other in enumerate(groups) if other == group}) == 1


def test_shares_with_groups_of_many_sizes():
    rng = np.random.default_rng(0)
    groups = [str(group) for group, size in enumerate(rng.integers(1, 9, 300)) for _ in range(size)]
    of_group = {group: int(rng.integers(0, 5)) for group in dict.fromkeys(groups)}
    classes = [(of_group[group],) for group in groups]
    split = stratified_group_split(classes, SHARES, names=_names(len(groups)), groups=groups)
    for train, val in _per_class(split, classes):
        assert abs(val / (train + val) - 0.2) < 0.03


def test_several_labels_keep_their_shares():
    rng = np.random.default_rng(0)
    classes = [tuple(np.flatnonzero(rng.random(6) < 0.3).tolist()) for _ in range(600)]
    split = stratified_group_split(classes, SHARES, names=_names(600))
    for label in range(6):
        has = np.array([label in some for some in classes])
        assert abs((split.assignment[has] == 1).mean() - 0.2) < 0.04


def test_folds():
    classes = _classes(50, 25, 5, 2)
    folds = stratified_group_folds(classes, 5, names=_names(82), seed=1)
    assert np.ptp(np.bincount(folds)) <= 2
    targets = np.array([index for (index,) in classes])
    for index, count in enumerate((10, 5, 1)):
        assert np.bincount(folds[targets == index], minlength=5).tolist() == [count] * 5
    grouped = stratified_group_folds(classes, 3, names=_names(82), groups=[i // 4 for i in range(82)])
    assert all(len(set(grouped[start : start + 4])) == 1 for start in range(0, 82, 4))


def test_merged_groups():
    assert merge_groups([None, None, None]).tolist() == [0, 1, 2]
    assert merge_groups([1, 2, 1, 2, None], [None, "x", "x", None, None]).tolist() == [0, 0, 0, 0, 4]
    assert merge_groups([0, 1, 2], [2, 2, 0]).tolist() == [0, 0, 2]


def test_asked_wrongly():
    with pytest.raises(BadRequest, match="positive share"):
        stratified_group_split([(0,)], {"train": 1, "val": 0}, names=["a"])
    with pytest.raises(BadRequest, match="'a' twice"):
        stratified_group_split([(0,), (0,)], SHARES, names=["a", "a"])
    with pytest.raises(BadRequest, match=r"as many names and groups as examples \(1\), got 2"):
        stratified_group_split([(0,)], SHARES, names=["a", "b"])
    with pytest.raises(BadRequest, match="at least 2, got 1"):
        stratified_group_folds([(0,)], 1, names=["a"])
    with pytest.raises(BadRequest, match="Ask for fewer folds"):
        stratified_group_folds([(0,)] * 4, 3, names=_names(4), groups=[1, 1, 2, 2])
    with pytest.raises(BadRequest, match="one length"):
        merge_groups([1], [1, 2])


def test_nothing_to_split():
    split = stratified_group_split([], SHARES, names=[])
    assert len(split.assignment) == 0
    assert split.sentences([]) == ()


def test_fifty_thousand_are_dealt_in_seconds():
    classes = [(index % 100,) for index in range(50_000)]
    split = stratified_group_split(classes, SHARES, names=_names(50_000))
    assert len(split.indices("val")) == 10_000
