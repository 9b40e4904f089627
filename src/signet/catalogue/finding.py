"""Finding models: which of the catalogue's fit a query, in which order, and which no other beats."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from signet.cards import TASKS, Licence
from signet.catalogue.listing import NO_WEIGHTS, STATUSES, Entry, completed, entries
from signet.errors import BadRequest, UnknownName, near_misses
from signet.notebooks import table

SORT_KEYS = ("name", "params", "gmacs", "size_bytes", "input_size", "top1")
NON_COMMERCIAL = re.compile(r"(^|[^a-z])(nc|non-?commercial|a?gpl)($|[^a-z])|(^|[^a-z])a?gplv?\d")
"""What `commercial` refuses, as it stands between the words of a licence's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for; None and empty mean anything.

    Attributes:
        text: words that must all occur in name or family, in any order.
        task: "classify" ...
        family: as the cards spell it, in any case.
        domain: "natural", "medical" ...
        max_params: trainable values.
        max_gmacs: multiply-adds in 10^9.
        licence: "permissive", "commercial" or None.
        status: one of `STATUSES`.
    """

    text: str = ""
    task: str | None = None
    family: str | None = None
    domain: str | None = None
    max_params: int | None = None
    max_gmacs: float | None = None
    licence: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The entries that fit, and how many were left out because their licence is not known.

    Attributes:
        entries: in the order asked for.
        licence_unknown: models that fit otherwise, with an inherited or missing licence.
    """

    entries: tuple[Entry, ...]
    licence_unknown: int = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def _repr_html_(self) -> str:
        rows = [
            (
                entry.name,
                entry.task,
                "" if entry.params is None else f"{entry.params / 1e6:,.1f} M",
                f"{entry.licence.weights}{'' if entry.licence.stated else ' (inherited)'}",
                entry.status,
            )
            for entry in self.entries
        ]
        left_out = f"; {self.licence_unknown:,} more have no stated licence" if self.licence_unknown else ""
        caption = f"{len(rows):,} models{left_out}"
        return table(("name", "task", "params", "licence", "status"), rows, caption=caption, right=(2,))


def find(
    task: str | None = None,
    *,
    text: str = "",
    family: str | None = None,
    max_params: int | None = None,
    max_gmacs: float | None = None,
    licence: str | None = None,
) -> Found:
    """The models that fit, by name.

    Args:
        task: "classify", "embed" ...; None for any.
        text: words that must all occur in name or family.
        family: "ResNet" ...
        max_params: trainable values.
        max_gmacs: multiply-adds for one image in 10^9.
        licence: "permissive" or "commercial".

    Example:
        >>> [entry.name for entry in find("embed")]
        ['starter']
    """
    return select(
        Query(
            text=text,
            task=task,
            family=family,
            max_params=max_params,
            max_gmacs=max_gmacs,
            licence=licence,
        )
    )


def select(query: Query, *, sort: str = "name", pareto: Sequence[str] = ()) -> Found:
    """The models that fit a query.

    Args:
        query: what is looked for.
        sort: one of `SORT_KEYS`; accuracies best first, all else smallest first, unknown last.
        pareto: sort keys; only models that no other beats in all of them are kept.

    Raises:
        UnknownName: a key, status or task that does not exist.
        BadRequest: another licence filter, or a limit that is no number.
    """
    for key in (sort, *pareto):
        if key not in SORT_KEYS:
            raise UnknownName("sort key", key, SORT_KEYS, f"Known: {', '.join(SORT_KEYS)}.")
    if "name" in pareto:
        raise BadRequest("--pareto: expected figures to weigh against each other; 'name' is none.")
    if query.status is not None and query.status not in STATUSES:
        raise UnknownName("status", query.status, STATUSES, f"Known: {', '.join(STATUSES)}.")
    if query.task is not None and query.task not in TASKS:
        raise UnknownName("task", query.task, TASKS, f"Known: {', '.join(TASKS)}.")
    if query.max_gmacs is not None and not query.max_gmacs >= 0:
        raise BadRequest(f"--max-gmacs: expected a number from 0, got {query.max_gmacs:g}.")
    if query.licence not in (None, "permissive", "commercial"):
        raise BadRequest(f"--licence: expected permissive or commercial, got {query.licence!r}.")
    fitting = [entry for entry in entries() if _fits(entry, query)]
    allowed = [completed(entry) for entry in fitting if _licensed(entry.licence, query.licence)]
    unknown = sum(entry.licence.verdict == "unknown" for entry in fitting) if query.licence else 0
    if pareto:
        allowed = _front([entry for entry in allowed if entry.status != NO_WEIGHTS], pareto)
    return Found(tuple(_sorted(allowed, sort)), unknown)


def near(text: str) -> tuple[str, ...]:
    """What a search without a result may have meant: families and parts of names that look like its words."""
    parts = {
        part
        for entry in entries()
        for part in (entry.family.lower(), *entry.name.rpartition("/")[2].partition(".")[0].split("_"))
    }
    found = {word: near_misses(word, parts, 2) for word in text.lower().split() if word not in parts}
    return tuple(dict.fromkeys(name for names in found.values() for name in names))


def _sorted(found: Sequence[Entry], key: str) -> list[Entry]:
    """By one key, then by name; accuracies best first; those without the figure last."""
    if key == "name":
        return sorted(found, key=lambda entry: entry.name)

    def place(entry: Entry) -> tuple[bool, float, str]:
        value = entry.key(key)
        figure = value if isinstance(value, int | float) else 0.0
        return value is None, -figure if key == "top1" else figure, entry.name

    return sorted(found, key=place)


def _fits(entry: Entry, query: Query) -> bool:
    words = query.text.lower().split()
    if entry.status == NO_WEIGHTS and not (words or query.family or query.status):
        return False  # it is known, but cannot be had: shown to those who ask for it
    text = f"{entry.name} {entry.family}".lower()
    return (
        all(word in text for word in words)
        and query.task in (None, entry.task)
        and (query.family is None or query.family.lower() == entry.family.lower())
        and query.domain in (None, entry.domain)
        and query.status in (None, entry.status)
        and (query.max_params is None or (entry.params is not None and entry.params <= query.max_params))
        and (query.max_gmacs is None or (entry.gmacs is not None and entry.gmacs <= query.max_gmacs))
    )


def _licensed(licence: Licence, wanted: str | None) -> bool:
    if wanted is None:
        return True
    if licence.verdict == "unknown":
        return False
    if wanted == "permissive":
        return licence.verdict == "permissive"
    return NON_COMMERCIAL.search(licence.weights.lower()) is None


def _front(candidates: Sequence[Entry], keys: Sequence[str]) -> list[Entry]:
    """Those that no other one beats: at least as good in every key and better in one."""
    points: list[tuple[Entry, tuple[float, ...]]] = []
    for entry in candidates:
        values = [(key, entry.key(key)) for key in keys]
        own = tuple(-v if key == "top1" else v for key, v in values if isinstance(v, int | float))
        if len(own) == len(keys):
            points.append((entry, own))
    different = {own for _, own in points}

    def beaten(own: tuple[float, ...]) -> bool:
        return any(
            theirs != own and all(a <= b for a, b in zip(theirs, own, strict=True)) for theirs in different
        )

    left = {own for own in different if not beaten(own)}
    return [entry for entry, own in points if own in left]
