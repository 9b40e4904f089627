"""Files that are no images, and images that are odd among the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from signet.auditing.kinds import finding
from signet.auditing.observing import Look, Observed
from signet.datasets.findings import named
from signet.findings import Exhibit, Finding

TINY = 16
"""Pixels of the shorter side below which an image is tiny."""

ASPECT, BEYOND_MEDIAN = 4.0, 2.0
"""Longer by shorter side from which on an image is extreme, and by how much it must exceed the median."""

FLAT = 1.0
"""Standard deviation of the luma below which nothing can be seen."""

MINORITY = 0.2
"""Largest share of grey (or of coloured) images that makes them odd."""


def find_broken(seen: Observed) -> Iterator[Finding]:
    """Files that are missing or cannot be decoded."""
    broken = [place for place, look in enumerate(seen.looks) if look is None]
    missing = [place for place in broken if not _exists(seen.dataset.entries[place].path)]
    unreadable = sorted(set(broken) - set(missing))
    if missing:
        yield finding(
            "missing",
            f"{len(missing):,} of {len(seen):,} files do not exist: {_names(seen, missing)}.",
            seen.sources(missing),
        )
    if unreadable:
        failures = seen.prints.failures
        yield finding(
            "unreadable",
            f"{len(unreadable):,} of {len(seen):,} files cannot be read as images: "
            f"{_names(seen, unreadable)}.",
            seen.sources(unreadable),
            details={
                "errors": {seen.source(place): failures[seen.prints.paths[place]] for place in unreadable}
            },
        )


def find_odd(seen: Observed) -> Iterator[Finding]:
    """Blank, tiny, very long, turned, transparent images, and the few that are grey among coloured ones."""
    looks = dict(seen.seen())
    for kind, words, places in (
        ("blank", "show one colour only", [p for p, look in looks.items() if look.contrast < FLAT]),
        (
            "tiny",
            f"are less than {TINY} pixels high or wide",
            [p for p, k in looks.items() if min(k.size) < TINY],
        ),
        ("extreme aspect", "are very long or very high", _long(looks)),
        ("turned", "are stored turned (EXIF)", [p for p, look in looks.items() if look.orientation > 1]),
        ("transparent", "have transparent pixels", [p for p, look in looks.items() if look.transparent]),
    ):
        if places:
            yield finding(
                kind,
                f"{len(places):,} of {len(looks):,} images {words}: {_names(seen, places)}.",
                seen.sources(places),
                exhibits=_one_each(seen, places, looks),
            )
    yield from _grey(seen, looks)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no disk takes
        return False


def _long(looks: dict[int, Look]) -> list[int]:
    if not looks:
        return []
    aspects = {place: max(look.size) / min(look.size) for place, look in looks.items()}
    least = max(ASPECT, BEYOND_MEDIAN * float(np.median(list(aspects.values()))))
    return [place for place, aspect in aspects.items() if aspect >= least]


def _grey(seen: Observed, looks: dict[int, Look]) -> Iterator[Finding]:
    grey = [place for place, look in looks.items() if look.grey]
    coloured = [place for place, look in looks.items() if not look.grey]
    few, word, others = min(
        (grey, "grey", "coloured"), (coloured, "coloured", "grey"), key=lambda row: len(row[0])
    )
    if few and len(few) <= MINORITY * len(looks):
        yield finding(
            "grey",
            f"{len(few):,} images are {word} where the other {len(looks) - len(few):,} are {others}: "
            f"{_names(seen, few)}.",
            seen.sources(few),
            exhibits=_one_each(seen, few, looks),
            details={"classes": _classes(seen, few)},
        )


def _classes(seen: Observed, places: list[int]) -> dict[str, int]:
    """How many of some rows each class has, the most first."""
    counts = Counter(index for place in places for index in seen.dataset.entries[place].classes)
    return {seen.dataset.labels[index]: count for index, count in counts.most_common()}


def _one_each(seen: Observed, places: list[int], looks: dict[int, Look]) -> list[Exhibit]:
    return [
        seen.exhibit([place], f"{looks[place].size[1]} x {looks[place].size[0]} pixels") for place in places
    ]


def _names(seen: Observed, places: list[int]) -> str:
    return named(seen.dataset.entries[place].path.name for place in places)
