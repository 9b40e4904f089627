"""What was noticed while the dataset was read, as findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from signet.auditing.kinds import finding
from signet.datasets import Dataset
from signet.datasets.findings import count_of, kind_of
from signet.findings import Finding

PUT_RIGHT = frozenset(("swapped", "clipped", "repeated", "turned", "listed twice", "no labels"))
"""What the reader put right, or what may be meant so; all else was left out."""

_BROKEN = frozenset(("missing", "unreadable"))
_SAID_ELSEWHERE = (
    "Read as ",
    "classes have no image in ",
    "differ only in upper and lower case",
    "images have no label.",
    "files do not exist",
)
"""Sentences of readers that other findings tell more of."""


def find_noted(dataset: Dataset[Any]) -> Iterator[Finding]:
    """The sentences of `Dataset.notes`: each of a known kind of fault by its rule, the others as they are.

    Files that a reader of boxes or pixels left out are findings of their own kind here, as no row is left of
    them that could be looked at.
    """
    for note in dataset.notes:
        kind = kind_of(note)
        if kind in _BROKEN:
            yield finding(str(kind), note, details={"count": count_of(note)})
        elif kind is not None:
            yield finding(
                "annotations",
                note,
                severity="note" if kind in PUT_RIGHT else "warning",
                details={"what": kind, "count": count_of(note)},
            )
        elif not any(part in note for part in _SAID_ELSEWHERE):
            yield finding("reading", note)
