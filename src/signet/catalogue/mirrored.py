"""The lines of what lies in the mirror: read from configurations and headers, nothing is hashed or loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from signet.cards import Card
from signet.catalogue import index
from signet.catalogue.annotating import DOMAIN, annotated
from signet.catalogue.entry import Entry
from signet.catalogue.sizes import count_of
from signet.errors import SignetError
from signet.hub.folders import list_mirror, mirror_folder, read_config
from signet.hub.names import place_of
from signet.storage import read_json


def mirrored(indexed: Mapping[str, Entry]) -> Iterator[Entry]:
    """What the mirror has, each under the name of the index where that lists it.

    Args:
        indexed: the lines of the index by name: where the mirror has one of them, all that is known of it
            holds, and only status and size are the mirror's.
    """
    for name in list_mirror():
        try:
            yield _entry(name, place_of(name, mirror_folder() or Path()), indexed)
        except (OSError, SignetError):
            continue  # one that cannot be used does not hide the others; `signet mirror list` says why


def _entry(name: str, folder: Path, indexed: Mapping[str, Entry]) -> Entry:
    weights = max((file for file in folder.iterdir() if file.is_file()), key=lambda file: file.stat().st_size)
    size = weights.stat().st_size
    config = read_config(folder / "config.json") or {}
    full = name if index.has(name) else f"{config.get('library', 'timm')}/{name}"
    known = indexed.get(full)
    if known is not None:
        return dataclasses.replace(known, status="mirrored", size_bytes=size)
    card = _card(folder, name, config)
    return Entry(
        name=name,
        task=card.task,
        family=card.family,
        params=card.parameters or _counted(card, weights, indexed),
        gmacs=card.gmacs,
        depth=card.depth,
        size_bytes=size,
        input_size=card.input_size,
        licence=card.licence,
        status="mirrored",
        claims=card.claims,
        domain=card.domain or DOMAIN,
        year=card.year,
        paper=card.paper,
        good_for=card.good_for,
    )


def _card(folder: Path, name: str, config: Mapping[str, Any]) -> Card:
    """The card that `signet mirror pull` laid beside a model, else the one that its configuration states."""
    from signet.catalogue.entries import card

    if (folder / "card.json").is_file():
        return annotated(Card.from_dict(read_json(folder / "card.json")))
    return card(name, config, None, "unknown", origin="")


def _counted(card: Card, weights: Path, indexed: Mapping[str, Entry]) -> int | None:
    """As many values as the file's header lists, else as the index counts for the same architecture."""
    if weights.suffix == ".safetensors":
        return count_of(weights)
    if card.output.classes != 1000:
        return None
    same = (
        row.params
        for name, row in indexed.items()
        if name.rpartition("/")[2].startswith(f"{card.architecture}.")
    )
    return next(filter(None, same), None)
