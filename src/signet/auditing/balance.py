"""How the images are shared out among classes and splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from signet.arrays import Integers
from signet.auditing.kinds import finding
from signet.auditing.observing import Observed, split_places
from signet.datasets import Dataset
from signet.datasets.findings import named
from signet.errors import MissingExtra, near_misses
from signet.findings import Finding
from signet.naming import shown

FEW_IMAGES = 10
RATIO, SMALL_RATIO = 10.0, 3.0
MIX, CHANCE = 0.1, 1e-3


def find_imbalance(seen: Observed) -> Iterator[Finding]:
    """Classes without images, with few, with many; classes that only some splits have."""
    dataset = seen.dataset
    usable = dataset.subset(seen.readable)
    counts = {name: usable.subset(places).class_counts for name, places in split_places(usable).items()}
    learned = counts.get("train", usable.class_counts)
    yield from _unlabelled(dataset)
    yield from _empty(dataset)
    yield from _between_splits(dataset, counts)
    yield from _small(dataset, learned)
    if dataset.task == "classify":
        yield from _mix(counts)


def _unlabelled(dataset: Dataset[Any]) -> Iterator[Finding]:
    without = [entry for entry in dataset.entries if not entry.classes]
    if without and dataset.task == "classify" and dataset.exclusive:
        yield finding(
            "unlabelled",
            f"{len(without):,} of {len(dataset):,} images have no label: "
            f"{named(entry.path.name for entry in without)}.",
            (str(entry.path) for entry in without),
        )


def _empty(dataset: Dataset[Any]) -> Iterator[Finding]:
    empty = np.flatnonzero(dataset.class_counts == 0)
    # A table of 1,000 names of which ten are in use is a problem of ten classes.
    if len(empty) and not dataset.indices_given:
        yield finding(
            "empty class",
            f"{len(empty)} classes have no image: {_labels(dataset, empty)}.",
            details={"classes": _list(dataset, empty)},
        )


def _between_splits(dataset: Dataset[Any], counts: dict[str, Integers]) -> Iterator[Finding]:
    train = counts.get("train")
    if train is None:
        return
    for name, here in counts.items():
        if name == "train":
            continue
        unlearned = np.flatnonzero((here > 0) & (train == 0))
        if len(unlearned):
            known = [dataset.labels[place] for place in np.flatnonzero(train).tolist()]
            near = near_misses(dataset.labels[int(unlearned[0])], known, 1)
            hint = (
                f" Is {shown(dataset.labels[int(unlearned[0])])!r} meant to be {shown(near[0])!r}?"
                if near
                else ""
            )
            yield finding(
                "unlearned class",
                f"{len(unlearned)} classes have {int(here[unlearned].sum()):,} images in {shown(name)} and "
                f"none in train: {_labels(dataset, unlearned)}.{hint}",
                _sources(dataset, name, unlearned),
                details={"split": name, "classes": _list(dataset, unlearned)},
            )
        unmeasured = np.flatnonzero((train > 0) & (here == 0))
        if len(unmeasured) and here.any():
            yield finding(
                "unmeasured class",
                f"{len(unmeasured)} classes have images in train and none in {shown(name)}: "
                f"{_labels(dataset, unmeasured)}.",
                details={"split": name, "classes": _list(dataset, unmeasured)},
            )


def _small(dataset: Dataset[Any], learned: Integers) -> Iterator[Finding]:
    least = 1 if dataset.task == "classify" else 0  # one picture may hold many objects
    single = np.flatnonzero(learned == least) if least else np.zeros(0, np.int64)
    if len(single):
        yield finding(
            "tiny class",
            f"{len(single)} classes have a single image to learn from: {_labels(dataset, single)}.",
            severity="severe",
            details={"classes": _list(dataset, single)},
        )
    few = np.flatnonzero((learned > least) & (learned < FEW_IMAGES))
    if len(few):
        words = named(f"{dataset.labels[place]} ({learned[place]})" for place in few.tolist())
        yield finding(
            "tiny class",
            f"{len(few)} classes have fewer than {FEW_IMAGES} images to learn from: {words}.",
            details={"classes": _list(dataset, few)},
        )
    used = learned[learned > 0]
    if len(used) < 2 or used.max() < SMALL_RATIO * used.min():
        return
    most, least = int(learned.argmax()), int(np.where(learned > 0, learned, learned.max() + 1).argmin())
    ratio = learned[most] / learned[least]
    yield finding(
        "imbalance",
        f"{shown(dataset.labels[most])!r} has {ratio:.1f} times as many as {shown(dataset.labels[least])!r}: "
        f"{learned[most]:,} and {learned[least]:,}.",
        severity="warning" if ratio >= RATIO else "note",
        details={"counts": {label: int(count) for label, count in zip(dataset.labels, learned, strict=True)}},
    )


def _mix(counts: dict[str, Integers]) -> Iterator[Finding]:
    """Splits whose classes have other shares than those of another, by more than chance."""
    try:
        from scipy.stats import chi2_contingency
    except ImportError as error:
        raise MissingExtra("Comparing splits", "fit", "scipy") from error
    for one, two in combinations(counts, 2):
        both = np.stack([counts[one], counts[two]])
        both = both[:, both.all(axis=0)]  # classes that one of them lacks are told by themselves
        if both.shape[1] < 2:
            continue
        shares = both / both.sum(axis=1, keepdims=True)
        distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
        if distance >= MIX and chi2_contingency(both).pvalue < CHANCE:
            yield finding(
                "class mix",
                f"The shares of the classes in {shown(one)} and {shown(two)} differ by {100 * distance:.0f} "
                "points in total.",
                details={"splits": [one, two], "distance": round(distance, 4)},
            )


def _sources(dataset: Dataset[Any], split: str, classes: Integers) -> list[str]:
    wanted = set(classes.tolist())
    return [
        str(entry.path)
        for entry in dataset.entries
        if entry.split == split and not wanted.isdisjoint(entry.classes)
    ]


def _list(dataset: Dataset[Any], places: Integers) -> list[str]:
    return [dataset.labels[place] for place in places.tolist()]


def _labels(dataset: Dataset[Any], places: Integers | Sequence[int]) -> str:
    return named(dataset.labels[int(place)] for place in places)
