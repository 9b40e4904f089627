"""The lines of the catalogue: starter, mirror, what the zoos carry, and what is known but not public."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signet.architectures.catalogue import ARCHITECTURES
from signet.cards import Claim, Licence
from signet.catalogue import index
from signet.catalogue.annotating import licence
from signet.catalogue.entry import NO_WEIGHTS, Entry
from signet.catalogue.facts import claims_of, gmacs_of
from signet.catalogue.families import family_of
from signet.catalogue.systems import System, without_weights
from signet.storage import read_json


def entries() -> list[Entry]:
    """Every model, once. Those of the index are without their claims; `completed` adds them."""
    indexed = {name: _indexed(name, config) for name, config in index.configs()}
    if os.environ.get("SIGNET_MIRROR"):
        from signet.catalogue.mirrored import mirrored

        indexed |= {entry.name: entry for entry in mirrored(indexed)}
    here = {name: entry for name, entry in indexed.items() if entry.status == "mirrored"}
    return [
        _starter(),
        *here.values(),
        *(entry for name, entry in indexed.items() if name not in here),
        *(_known(row) for row in without_weights() if row.own not in indexed),
    ]


def completed(entry: Entry) -> Entry:
    """The entry with the figures that were published of it."""
    if entry.claims:
        return entry
    return dataclasses.replace(entry, claims=claims_of(entry.name, entry.input_size))


def _starter() -> Entry:
    folder = Path(index.__file__).parent / "starter"
    fields = read_json(folder / "card.json")
    claims = tuple(Claim(**row) for row in fields.get("claims", ()))
    size = (folder / "model.safetensors").stat().st_size
    shape = fields["inputs"][0]["shape"]
    return Entry(
        name=index.STARTER,
        task=fields["task"],
        family=fields["family"],
        params=fields.get("parameters"),
        gmacs=fields.get("gmacs"),
        depth=fields.get("depth"),
        size_bytes=size,
        input_size=(shape[2], shape[3]),
        licence=Licence(**fields["licence"]),
        status="embedded",
        claims=claims,
        year=fields.get("year"),
        good_for=fields.get("good_for", ""),
    )


def _indexed(name: str, config: Mapping[str, Any]) -> Entry:
    from signet.catalogue.configs import size_of, stated_claims

    stated = config["pretrained_cfg"]
    architecture, library = config["architecture"], config["library"]
    family = family_of(architecture, library)
    dense = "task" in config
    # Most detectors and segmenters take pictures of any size.
    size = None if dense and "input_size" not in stated else size_of(stated)
    gmacs = config.get("gmacs")
    return Entry(
        name=name,
        # A CLIP gives vectors until it is given words.
        task=config["task"] if dense else "embed" if "embedding_width" in config else "classify",
        family=family.name,
        params=config.get("parameters"),
        gmacs=gmacs_of(architecture, size) if gmacs is None and size and library == "timm" else gmacs,
        depth=family.depth,
        size_bytes=config.get("tensor_bytes"),
        input_size=size,
        licence=licence(name, Licence(weights=str(stated.get("license") or "unknown"))),
        status="downloadable",
        claims=stated_claims(config) if dense else (),
        year=family.year,
        paper=family.paper or "",
        good_for=family.good_for,
    )


def _known(row: System) -> Entry:
    """A system that has no weights that could be had; where Signet builds it, with what is known of that."""
    name = str(row.own)
    architecture = name.partition("/")[2]
    family, built = family_of(architecture), ARCHITECTURES.get(architecture)
    claims = (
        Claim(
            figure.metric, figure.value, figure.dataset, ", ".join(filter(None, (figure.source, figure.how)))
        )
        for figure in row.published
    )
    return Entry(
        name=name,
        task=row.task,
        family=family.name or row.system,
        params=next(iter(row.parameters.values()), None),
        gmacs=built.multiply_adds / 1000 if built and built.multiply_adds else None,
        depth=family.depth,
        size_bytes=None,
        input_size=(built.size, built.size) if built else None,
        licence=Licence(),
        status=NO_WEIGHTS,
        claims=tuple(claims),
        year=row.year,
        paper=row.paper or "",
        good_for=family.good_for,
        nearest=row.nearest or "",
    )
