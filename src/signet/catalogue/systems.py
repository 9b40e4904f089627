"""The systems that Signet answers for: what is stated of each, what was published, and why they differ.

`data/systems.jsonl` is written by hand, one line for each system. A system may have several cards, one of
Signet's own, or none: then it says so, and names the nearest that is public.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from signet.errors import BadCard, UnknownName

PUBLIC, NOT_PUBLIC, NOT_YET = "public weights", "no public weights", "not carried yet"


@dataclass(frozen=True, slots=True)
class Figure:
    """One published figure of a system.

    Attributes:
        metric: "top1" ...; a fraction.
        value: the figure.
        dataset: on what.
        how: "one crop", "ten crops" ...; "" where the source does not say.
        source: who says so.
    """

    metric: str
    value: float
    dataset: str
    how: str
    source: str


@dataclass(frozen=True, slots=True)
class System:
    """One row.

    Attributes:
        system: "ResNet" ...
        variant: "ResNet-50" ...
        task: what it does.
        own: name of Signet's own card, or None.
        names: cards of the zoos that carry it.
        year: of publication.
        paper: "arXiv:1512.03385" ..., or None.
        status: one of PUBLIC, NOT_PUBLIC, NOT_YET.
        nearest: the card to take instead, where nothing is public.
        stated: what the user's list states: params, top1, top5, size_mb, depth.
        parameters: how counted, to the count.
        published: figures with sources.
        explains: why the stated and the published or built figures differ; "" where they do not.
    """

    system: str
    variant: str
    task: str
    own: str | None
    names: tuple[str, ...]
    year: int | None
    paper: str | None
    status: str
    nearest: str | None
    stated: Mapping[str, float]
    parameters: Mapping[str, int]
    published: tuple[Figure, ...]
    explains: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@cache
def systems() -> tuple[System, ...]:
    """Every row, in the order of the file.

    Raises:
        BadCard: a row has other fields than a system.
    """
    return tuple(_system(json.loads(line)) for line in _text().splitlines())


def systems_of(name: str) -> tuple[System, ...]:
    """The rows that a card belongs to; none for the models that no row asks for."""
    if f'"{name}"' not in _text():
        return ()
    return tuple(row for row in systems() if name == row.own or name in row.names)


def without_weights() -> tuple[System, ...]:
    """The rows with a name of Signet's own and no weights that could be had."""
    return tuple(row for row in systems() if row.own is not None and row.status == NOT_PUBLIC)


def _system(row: Mapping[str, Any]) -> System:
    known = {spec.name for spec in fields(System)}
    for key in row:
        if key not in known:
            raise BadCard(str(UnknownName("field of a system", key, known)))
    if row["status"] not in (PUBLIC, NOT_PUBLIC, NOT_YET):
        raise BadCard(str(UnknownName("status of a system", row["status"], (PUBLIC, NOT_PUBLIC, NOT_YET))))
    values = {**row, "names": tuple(row["names"])}
    values["published"] = tuple(Figure(**figure) for figure in row["published"])
    return System(**values)


@cache
def _text() -> str:
    return files("signet.catalogue").joinpath("data/systems.jsonl").read_text("utf-8")
