"""Label names that are probably not meant as they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from signet.auditing.kinds import finding
from signet.datasets import Dataset
from signet.datasets.findings import named
from signet.findings import Finding
from signet.naming import natural_key, shown

_SEPARATORS = re.compile(r"[\s_\-]+")
_BLANKS = re.compile(r"\s{2,}")


def find_label_trouble(dataset: Dataset[object]) -> Iterator[Finding]:
    """Twins, blanks and an order of indices that somebody else will have another way."""
    labels = dataset.labels
    blanks = [
        label for label in labels if label != label.strip() or _BLANKS.search(label) or not label.strip()
    ]
    if blanks:
        yield finding(
            "label blanks",
            f"{len(blanks)} labels are empty or have blanks at an end or in a row: {_quoted(blanks)}.",
            details={"labels": blanks},
        )
    twins = twins_of(labels)
    if twins:
        pairs = named(" and ".join(repr(shown(label)) for label in group) for group in twins)
        yield finding(
            "label twins",
            f"{len(twins)} sets of labels differ only in case, blanks, hyphens, underscores or Unicode form: "
            f"{pairs}.",
            details={"labels": [list(group) for group in twins]},
        )
    yield from _order(dataset)


def twins_of(labels: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Sets of different labels that a person would write for one."""
    alike: dict[str, dict[str, None]] = {}
    for label in labels:
        plain = _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", label)).strip().casefold()
        if plain:
            alike.setdefault(plain, {})[label] = None
    return [tuple(group) for group in alike.values() if len(group) > 1]


def _order(dataset: Dataset[object]) -> Iterator[Finding]:
    labels = dataset.labels
    natural, textual = sorted(labels, key=natural_key), sorted(labels)
    # Only digits make an order that a person would call wrong; upper case before lower is a convention.
    numbered = [re.sub(r"[^0-9]", "", label) for label in labels]
    if natural == textual or not any(numbered):
        return
    if sorted(numbered, key=natural_key) == sorted(numbered):
        return
    example = next((two, one) for one, two in pairwise(textual) if natural_key(one) > natural_key(two))
    words = f"{shown(example[1])!r} before {shown(example[0])!r}"
    if list(labels) == textual:
        yield finding(
            "label order",
            f"The indices of the labels follow the order of text ({words}): a list of names in natural order "
            "would give other names to them.",
        )
    elif list(labels) == natural:
        yield finding(
            "label order",
            f"The labels are in natural order; readers that sort by text have {words}, and so other indices.",
            severity="note",
        )


def _quoted(labels: list[str]) -> str:
    return named(repr(label) for label in labels)
