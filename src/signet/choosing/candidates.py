"""Who takes part: given models, or those of the catalogue that are here, within hard limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from signet.cards import Licence
from signet.catalogue.entry import Entry
from signet.catalogue.finding import Query, licensed, select
from signet.catalogue.listing import entries
from signet.catalogue.sizes import bytes_of, parameters_of
from signet.choices import LeftOut
from signet.choosing.priors import Stated, stated_of
from signet.errors import BadRequest, SignetError, UnknownName, WrongTask
from signet.features import graph_with_features
from signet.models import resolve
from signet.networks import Pretrained
from signet.progress import OnProgress, silent
from signet.running import EngineChoice, engines_for

HERE = ("embedded", "mirrored")
"""Status of entries whose weights are on this machine."""

_TASKS = ("classify", "embed")
_LICENCES = (None, "permissive", "commercial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a candidate must keep; None is no limit. A candidate whose figure is not known passes none.

    Attributes:
        max_milliseconds: for one image on this machine, as measured here.
        max_params: trainable values.
        max_bytes: of the weight or graph file.
        licence: "permissive" or "commercial", as `find` means them.
        engine: must be able to run it.
        trainable: only networks that can be trained further, for whoever wants more than a probe.
    """

    max_milliseconds: float | None = None
    max_params: int | None = None
    max_bytes: int | None = None
    licence: str | None = None
    engine: EngineChoice = "auto"
    trainable: bool = False

    def __post_init__(self) -> None:
        for name in ("max_milliseconds", "max_params", "max_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BadRequest(f"{name}: expected a number above 0, got {value}.")
        if self.licence not in _LICENCES:
            raise UnknownName("licence filter", str(self.licence), ("permissive", "commercial"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that takes part.

    Attributes:
        name: what every command takes as MODEL.
        pretrained: with features as an output.
        stated: what is published of it.
        params: trainable values; None when nobody counted.
        size_bytes: of its file; None when it has none.
    """

    name: str
    pretrained: Pretrained
    stated: Stated
    params: int | None
    size_bytes: int | None

    @property
    def licence(self) -> Licence:
        """Terms of the weights."""
        return self.pretrained.card.licence


@dataclass(frozen=True, slots=True)
class Gathered:
    """Who takes part, who does not, and how many more the catalogue could have fetched."""

    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...]
    downloadable: int = 0


Given = str | Path | Pretrained | Entry


def gather(
    given: Iterable[Given] | None, limits: Limits, *, offline: bool = False, on_progress: OnProgress = silent
) -> Gathered:
    """The candidates within the limits that can be known before anything runs.

    Args:
        given: names, paths, entries of the catalogue, or models; None for all that are on this machine.
        limits: hard filters.
        offline: never ask the network.
        on_progress: told of downloads.

    Raises:
        UnknownName: a given name does not exist.
        BadRequest: nothing is given.
    """
    asked = given is not None
    wanted: list[Given] = list(given) if given is not None else list(_here())
    if not wanted:
        raise BadRequest("candidates: expected at least one model, got none. See `signet find`.")
    wanted = _with_entries(wanted)
    kept: dict[tuple[object, ...], Candidate] = {}
    left_out: list[LeftOut] = []
    for one in wanted:
        name = _name_of(one)
        try:
            found = _candidate(one, name, offline, on_progress)
        except UnknownName:
            if asked:
                raise
            continue
        except SignetError as error:
            left_out.append(LeftOut(name, str(error)))
            continue
        why = _beyond(found, limits)
        key = _network_of(found.pretrained)
        if not why and key in kept:
            why = f"the same network at the same input size as {kept[key].name}"
        if why:
            left_out.append(LeftOut(name, why))
        else:
            kept[key] = found
    more = 0 if asked else _downloadable(limits)
    return Gathered(tuple(kept.values()), tuple(left_out), more)


def _here() -> list[Entry]:
    return [one for status in HERE for one in select(Query(status=status)) if one.task in _TASKS]


def _with_entries(wanted: Sequence[Given]) -> list[Given]:
    """Names that the catalogue lists whole become its entries, which know sizes and licences."""
    names = {one for one in wanted if isinstance(one, str)}
    known = {entry.name: entry for entry in entries() if entry.name in names} if names else {}
    return [known.get(one, one) if isinstance(one, str) else one for one in wanted]


def _downloadable(limits: Limits) -> int:
    query = Query(
        task="classify",
        status="downloadable",
        max_params=limits.max_params,
        max_size=limits.max_bytes,
        licence=limits.licence,
    )
    return len(select(query))


def _name_of(one: Given) -> str:
    match one:
        case Pretrained():
            return one.card.name
        case Entry():
            return one.name
        case _:
            return str(one)


def _candidate(one: Given, name: str, offline: bool, on_progress: OnProgress) -> Candidate:
    entry = one if isinstance(one, Entry) else None
    found = one if isinstance(one, Pretrained) else resolve(name, offline=offline, on_progress=on_progress)
    if found.card.task not in _TASKS:
        raise WrongTask(
            f"its task is {found.card.task!r}: expected a classifier, or a model that gives vectors."
        )
    if entry is not None and entry.licence.stated and not found.card.licence.stated:
        found = dataclasses.replace(found, card=dataclasses.replace(found.card, licence=entry.licence))
    featured = graph_with_features(found)
    params = found.card.parameters or (entry.params if entry else None) or parameters_of(found)
    size = (entry.size_bytes if entry else None) or bytes_of(found)
    return Candidate(name, featured, stated_of(name, found.card), params, size)


def _network_of(found: Pretrained) -> tuple[object, ...]:
    """Equal for the same network at the same input size, however it was named."""
    return (tuple(sorted(network.digest for network in found.networks)), found.card.input_size)


def _beyond(found: Candidate, limits: Limits) -> str:
    """Which limit a candidate does not keep, in words; "" when it keeps all."""
    for value, limit, words in (
        (found.params, limits.max_params, "parameters"),
        (found.size_bytes, limits.max_bytes, "bytes"),
    ):
        if limit is not None and value is None:
            return f"its number of {words} is not known, and at most {limit:,} are allowed"
        if limit is not None and value is not None and value > limit:
            return f"{value:,} {words}, and at most {limit:,} are allowed"
    if not licensed(found.licence, limits.licence):
        stated = "" if found.licence.stated else ", which is inherited or missing"
        return f"its licence is {found.licence.weights}{stated}, and only {limits.licence} ones are allowed"
    if limits.trainable and found.pretrained.module is None:
        return "it is a graph, which can be probed and not trained further"
    engines: Sequence[str] = engines_for(found.pretrained)
    if limits.engine != "auto" and limits.engine not in engines:
        return f"engine {limits.engine} cannot run it here"
    return "" if engines else "no engine that is installed here can run it"
