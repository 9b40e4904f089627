"""Finding models: which of the catalogue's fit a query, in which order, and which no other beats."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from signet.cards import TASKS, Licence
from signet.catalogue.entry import (
    ALIASES,
    FIGURES,
    HIGHEST_FIRST,
    MEASURES,
    NO_WEIGHTS,
    SORT_KEYS,
    STATUSES,
    TITLES,
    Entry,
    measure_of,
)
from signet.catalogue.listing import completed, entries
from signet.errors import BadRequest, UnknownName, near_misses
from signet.notebooks import table

NON_COMMERCIAL = re.compile(r"(^|[^a-z])(nc|non-?commercial|a?gpl)($|[^a-z])|(^|[^a-z])a?gplv?\d")
"""What `commercial` refuses, as it stands between the words of a licence's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for; None and empty mean anything. A model whose figure is not known passes no limit.

    Attributes:
        text: words that must all occur in name or family, in any order.
        task: "classify" ...
        family: as the cards spell it, in any case; "yolo*" for all that begin so.
        domain: "natural", "medical" ...
        min_top1: accuracy on ImageNet-1k, or on the model's own set; 0 to 1.
        min_ap: COCO's average precision of boxes, of detectors and instance segmenters; 0 to 1.
        min_mask_ap: the same of masks.
        min_miou: mean intersection over union, of semantic segmenters; 0 to 1.
        max_params: trainable values.
        max_gmacs: multiply-adds in 10^9.
        max_size: bytes of the weight file.
        input_size: pixels of both sides of a prepared image.
        min_input: pixels of its shorter side.
        max_input: pixels of its longer side.
        since: first year of publication.
        licence: "permissive", "commercial" or None.
        status: one of `STATUSES`.
    """

    text: str = ""
    task: str | None = None
    family: str | None = None
    domain: str | None = None
    min_top1: float | None = None
    min_ap: float | None = None
    min_mask_ap: float | None = None
    min_miou: float | None = None
    max_params: int | None = None
    max_gmacs: float | None = None
    max_size: int | None = None
    input_size: int | None = None
    min_input: int | None = None
    max_input: int | None = None
    since: int | None = None
    licence: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The entries that fit, and what was left out.

    Attributes:
        entries: in the order asked for.
        licence_unknown: models that fit otherwise, with an inherited or missing licence.
        figure_unknown: by key, models that fit otherwise, but of which nobody states that figure.
        dominated: with a front only: by name of each kept model, those that it beats. A model that several
            beat is listed once, at the one that is best by the first key.
    """

    entries: tuple[Entry, ...]
    licence_unknown: int = 0
    figure_unknown: Mapping[str, int] = field(default_factory=dict)
    dominated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def to_list(self) -> list[dict[str, object]]:
        """The JSON of the command contract; with a front, each model also says whom it beats."""
        rows = [entry.to_dict() for entry in self.entries]
        if self.dominated:
            rows = [{**row, "dominates": list(self.dominated.get(row["name"], ()))} for row in rows]
        return rows

    def _repr_html_(self) -> str:
        measured = [key for key in MEASURES.values() if any(entry.key(key) is not None for entry in self)]
        rows = [
            (
                entry.name,
                entry.task,
                "" if entry.params is None else f"{entry.params / 1e6:,.1f} M",
                *(_percent(entry.key(key)) for key in measured),
                f"{entry.licence.weights}{'' if entry.licence.stated else ' (inherited)'}",
                entry.status,
            )
            for entry in self.entries
        ]
        left_out = f"; {self.licence_unknown:,} more have no stated licence" if self.licence_unknown else ""
        caption = f"{len(rows):,} models{left_out}"
        titles = ("name", "task", "params", *(TITLES[key] for key in measured), "licence", "status")
        return table(titles, rows, caption=caption, right=range(2, 3 + len(measured)))


def find(  # noqa: PLR0913  (each is a filter of its own, as on the command line)
    task: str | None = None,
    *,
    text: str = "",
    family: str | None = None,
    domain: str | None = None,
    min_top1: float | None = None,
    min_ap: float | None = None,
    min_mask_ap: float | None = None,
    min_miou: float | None = None,
    max_params: int | None = None,
    max_gmacs: float | None = None,
    max_size: int | None = None,
    input_size: int | None = None,
    min_input: int | None = None,
    max_input: int | None = None,
    since: int | None = None,
    licence: str | None = None,
    status: str | None = None,
    sort: str | None = None,
    pareto: Sequence[str] = (),
) -> Found:
    """The models that fit.

    Args:
        task: "classify", "embed" ...; None for any.
        text: words that must all occur in name or family.
        family: "ResNet" ..., or "yolo*" for all that begin so.
        domain: "natural" ...
        min_top1: accuracy, 0 to 1.
        min_ap: COCO's average precision of boxes, 0 to 1.
        min_mask_ap: the same of masks.
        min_miou: mean intersection over union, 0 to 1.
        max_params: trainable values.
        max_gmacs: multiply-adds for one image in 10^9.
        max_size: bytes of the weight file.
        input_size: pixels of both sides of a prepared image.
        min_input: pixels of its shorter side.
        max_input: pixels of its longer side.
        since: first year of publication.
        licence: "permissive" or "commercial".
        status: "embedded", "mirrored", "downloadable" or "no public weights".
        sort: one of `SORT_KEYS`, or "accuracy", the measure of the task; accuracies and years highest first,
            all else lowest first, unknown last. By default the measure of a task of boxes, masks or pixels
            that is asked for, and the name for all else.
        pareto: keys of figures; only models that no other beats in all of them are kept.

    Example:
        >>> [entry.name for entry in find("embed", max_params=1_000_000)]
        ['starter']
    """
    query = Query(
        text=text,
        task=task,
        family=family,
        domain=domain,
        min_top1=min_top1,
        min_ap=min_ap,
        min_mask_ap=min_mask_ap,
        min_miou=min_miou,
        max_params=max_params,
        max_gmacs=max_gmacs,
        max_size=max_size,
        input_size=input_size,
        min_input=min_input,
        max_input=max_input,
        since=since,
        licence=licence,
        status=status,
    )
    return select(query, sort=sort, pareto=pareto)


def select(query: Query, *, sort: str | None = None, pareto: Sequence[str] = ()) -> Found:
    """The models that fit a query.

    Args:
        query: what is looked for.
        sort: as `find`.
        pareto: as `find`.

    Raises:
        UnknownName: a key, status or task that does not exist.
        BadRequest: another licence filter, or a limit that is none.
    """
    measure = measure_of(query.task)
    aliases = {**ALIASES, "accuracy": measure}
    sort = sort or ("name" if measure == "top1" else measure)
    sort, *weighed = (aliases.get(key, key) for key in (sort, *pareto))
    _check(query, sort, weighed)
    unknown: Counter[str] = Counter()
    fitting = [entry for entry in entries() if _fits(entry, query, unknown)]
    allowed = [completed(entry) for entry in fitting if licensed(entry.licence, query.licence)]
    held = [entry for entry in fitting if entry.status != NO_WEIGHTS]
    hidden = sum(entry.licence.verdict == "unknown" for entry in held) if query.licence else 0
    dominated: dict[str, tuple[str, ...]] = {}
    if weighed:
        held = [entry for entry in allowed if entry.status != NO_WEIGHTS]
        for key in weighed:
            unknown[key] += sum(entry.key(key) is None for entry in held)
        allowed, dominated = _front(held, weighed)
    return Found(tuple(_sorted(allowed, sort)), hidden, dict(+unknown), dominated)


def near(text: str) -> tuple[str, ...]:
    """What a search without a result may have meant: families and parts of names that look like its words."""
    parts = {
        part
        for entry in entries()
        for part in (entry.family.lower(), *entry.name.rpartition("/")[2].partition(".")[0].split("_"))
    }
    found = {word: near_misses(word, parts, 2) for word in text.lower().split() if word not in parts}
    return tuple(dict.fromkeys(name for names in found.values() for name in names))


def loosened(query: Query) -> dict[str, int]:
    """By filter, how many models would fit without it; a filter whose loss gains none is missing."""
    found, none = {}, Query()
    for spec in dataclasses.fields(query):
        if getattr(query, spec.name) not in (None, ""):
            without: dict[str, Any] = {spec.name: getattr(none, spec.name)}
            count = len(select(dataclasses.replace(query, **without)))
            if count:
                found[spec.name] = count
    return found


def _check(query: Query, sort: str, pareto: Sequence[str]) -> None:
    for key in (sort, *pareto):
        if key not in SORT_KEYS:
            known = (*SORT_KEYS, "accuracy", *ALIASES)
            raise UnknownName("sort key", key, known, f"Known: {', '.join(known)}.")
    for key in pareto:
        if key not in FIGURES:
            raise BadRequest(f"--pareto: expected figures to weigh against each other; {key!r} is none.")
    if query.status is not None and query.status not in STATUSES:
        raise UnknownName("status", query.status, STATUSES, f"Known: {', '.join(STATUSES)}.")
    if query.task is not None and query.task not in TASKS:
        raise UnknownName("task", query.task, TASKS, f"Known: {', '.join(TASKS)}.")
    if query.licence not in (None, "permissive", "commercial"):
        raise BadRequest(f"--licence: expected permissive or commercial, got {query.licence!r}.")
    for name, least in _least(query).items():
        if not 0 <= least <= 1:
            option = f"--min-{name.replace('_', '-')}"
            raise BadRequest(f"{option}: expected a fraction from 0 to 1, such as 0.8, got {least:g}.")
    for name in ("max_params", "max_gmacs", "max_size", "input_size", "min_input", "max_input", "since"):
        limit = getattr(query, name)
        if limit is not None and not limit >= 0:
            raise BadRequest(f"--{name.replace('_', '-')}: expected a number from 0, got {limit:g}.")


def _sorted(found: Sequence[Entry], key: str) -> list[Entry]:
    """By one key, then by name; accuracies and years highest first; those without the figure last."""

    def place(entry: Entry) -> tuple[bool, float, str, str]:
        value = entry.key(key)
        if not isinstance(value, int | float):
            return not value, 0.0, str(value or ""), entry.name
        return False, -value if key in HIGHEST_FIRST else value, "", entry.name

    return sorted(found, key=place)


def _fits(entry: Entry, query: Query, unknown: Counter[str]) -> bool:
    """Whether all but the licence fits; where only a figure is missing, that is counted in `unknown`."""
    words = query.text.lower().split()
    asked = words or query.family or query.status or measure_of(query.task) != "top1"
    if entry.status == NO_WEIGHTS and not asked:
        return (
            False  # known, but not to be had; of boxes, masks and pixels so few models are that all are shown
        )
    text = f"{entry.name} {entry.family}".lower()
    if not (
        all(word in text for word in words)
        and query.task in (None, entry.task)
        and (query.family is None or fnmatchcase(entry.family.lower(), query.family.lower()))
        and query.domain in (None, entry.domain)
        and query.status in (None, entry.status)
    ):
        return False
    missing = None
    for key, value, least, most in _limits(entry, query):
        if value is None:
            missing = missing or key
        elif not least <= value <= most:
            return False
    for key, wanted in _least(query).items():
        accuracy = completed(entry).key(key)
        if not isinstance(accuracy, float):
            missing = missing or key
        elif accuracy < wanted:
            return False
    if missing is not None and entry.status != NO_WEIGHTS:
        unknown[missing] += 1
    return missing is None


def _least(query: Query) -> dict[str, float]:
    """The measured figures that are asked for, by their keys."""
    stated = {key: getattr(query, f"min_{key}") for key in MEASURES.values()}
    return {key: value for key, value in stated.items() if value is not None}


def _limits(entry: Entry, query: Query) -> Iterator[tuple[str, float | None, float, float]]:
    """(key, the entry's value, least, most) of each limit that is set, accuracy apart."""
    for key, limit in (
        ("params", query.max_params),
        ("gmacs", query.max_gmacs),
        ("size_bytes", query.max_size),
    ):
        if limit is not None:
            value = getattr(entry, key)
            yield key, value, 0, limit
    if query.since is not None:
        yield "year", entry.year, query.since, math.inf
    shorter, longer = (
        (None, None) if entry.input_size is None else (min(entry.input_size), max(entry.input_size))
    )
    if query.input_size is not None:
        yield "input_size", shorter, query.input_size, query.input_size
        yield "input_size", longer, query.input_size, query.input_size
    if query.min_input is not None:
        yield "input_size", shorter, query.min_input, math.inf
    if query.max_input is not None:
        yield "input_size", longer, 0, query.max_input


def licensed(licence: Licence, wanted: str | None) -> bool:
    """Whether a licence passes a filter: "permissive", "commercial" or None for any."""
    if wanted is None:
        return True
    if licence.verdict == "unknown":
        return False
    if wanted == "permissive":
        return licence.verdict == "permissive"
    return NON_COMMERCIAL.search(licence.weights.lower()) is None


def _front(
    candidates: Sequence[Entry], keys: Sequence[str]
) -> tuple[list[Entry], dict[str, tuple[str, ...]]]:
    """(those that no other beats: at least as good in every key and better in one; whom each of them beats).

    Without a figure in one of the keys nobody beats and nobody is beaten: those are left out.
    """
    points: list[tuple[Entry, tuple[float, ...]]] = []
    for entry in candidates:
        values = [(key, entry.key(key)) for key in keys]
        own = tuple(-v if key in HIGHEST_FIRST else v for key, v in values if isinstance(v, int | float))
        if len(own) == len(keys):
            points.append((entry, own))
    # In this order a point is only beaten by earlier ones, and of several the first is best by the first key.
    points.sort(key=lambda point: (point[1], point[0].name))
    front: list[tuple[Entry, tuple[float, ...]]] = []
    beaten: dict[str, list[str]] = {}
    for entry, own in points:
        winner = next(
            (
                other
                for other, theirs in front
                if theirs != own and all(a <= b for a, b in zip(theirs, own, strict=True))
            ),
            None,
        )
        if winner is None:
            front.append((entry, own))
            beaten[entry.name] = []
        else:
            beaten[winner.name].append(entry.name)
    return [entry for entry, _ in front], {name: tuple(names) for name, names in beaten.items()}


def _percent(value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, float) else ""
