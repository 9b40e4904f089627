"""A network that Signet builds itself and of which it has no weights: what it is, and how to bring some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from signet.cli import show_one
from signet.cli.terminal import Terminal

if TYPE_CHECKING:
    from signet.architectures.catalogue import Architecture
    from signet.cards import Card
    from signet.catalogue.systems import System

ZOO = "signet/"


def own(model: str) -> tuple[Card, Architecture] | None:
    """The untrained card and the entry of a network that is built here; None for any other name.

    Weights of it that are in the mirror make it a model like any other.

    Raises:
        UnknownName, BadRequest: it is a network of ours, and what is set behind its name is not understood.
    """
    from signet.architectures.catalogue import ARCHITECTURES
    from signet.catalogue import index
    from signet.untrained import untrained

    name = model.removeprefix(ZOO).lower()
    architecture, colon, _ = name.partition(":")
    entry = ARCHITECTURES.get(architecture)
    if entry is None or (not model.startswith(ZOO) and index.candidates(architecture)):
        return None
    if not colon and _is_here(model):
        return None
    return untrained(ZOO + name).card, entry


def system_of(architecture: str) -> System | None:
    """The system of the list that a network of ours is."""
    from signet.catalogue.systems import systems

    return next((row for row in systems() if row.own == ZOO + architecture), None)


def to_dict(card: Card, entry: Architecture) -> dict[str, Any]:
    """Plain JSON: the fields of a system, where it is one of the list, and `built`."""
    from signet.catalogue.systems import NOT_PUBLIC

    row = system_of(card.architecture)
    known: Mapping[str, Any] = {} if row is None else row.to_dict()
    alone = {"task": card.task, "year": entry.year, "paper": entry.paper, "status": NOT_PUBLIC}
    return {**alone, **known, "name": card.name, "built": _built(card, entry)}


def tell(terminal: Terminal, card: Card, entry: Architecture) -> None:
    """The same for a person."""
    row, built = system_of(card.architecture), _built(card, entry)
    if row is None:
        terminal.result(card.name)
        paper = f"{entry.paper} ({entry.year})"
        terminal.table(("", ""), [("task", card.task), ("paper", paper), ("weights", "no public weights")])
    else:
        show_one.tell_system(terminal, row, card.name)
    height, width = built["input_size"]
    lines = [
        (
            "parameters",
            f"{built['parameters']:,} with {entry.classes} classes" if built["parameters"] else "",
        ),
        ("GFLOPs", f"{built['gflops']:g}, as published" if built["gflops"] else ""),
        ("GMACs", f"{built['gmacs']:g} at {height}x{width}" if built["gmacs"] else ""),
        ("input", f"{height}x{width} px"),
        ("outputs", ", ".join(built["outputs"])),
        ("published", entry.stated if built["parameters"] else ""),
        ("described in", f"{entry.paper}, {entry.table}"),
        ("note", entry.note),
    ]
    terminal.result("")
    terminal.result("built by Signet, Apache-2.0")
    for title, words in lines:
        if words:
            terminal.result(f"{title}: {words}", indent=2)
    settings = [f"{key}=...: {rule.meaning}" for key, rule in entry.arguments.items()]
    show_one.section(terminal, "what may be set behind the name and a colon", settings)
    steps = [f"{place}. {words}" for place, words in enumerate(card.program.words(), 1)]
    show_one.section(terminal, "preprocessing", steps)
    show_one.section(terminal, "weights of your own", built["weights"])


def _built(card: Card, entry: Architecture) -> dict[str, Any]:
    """What is built, as data; counts only of the network with nothing set behind its name."""
    from signet.architectures.yolo_table import NETWORKS

    plain, network = ":" not in card.name, NETWORKS.get(card.architecture)
    gmacs = None if entry.multiply_adds is None else entry.multiply_adds / 1000
    return {
        "parameters": entry.parameters if plain else None,
        "classes": entry.classes,
        "gflops": network.stated[1] if plain and network else None,
        "gmacs": gmacs if plain else None,
        "input_size": list(card.input_size or (entry.size, entry.size)),
        "outputs": list(entry.outputs or ("logits",)),
        "stated": entry.stated,
        "table": entry.table,
        "arguments": {key: rule.meaning for key, rule in entry.arguments.items()},
        "note": entry.note,
        "program": card.program.to_list(),
        "weights": _ways(card.architecture, is_yolo=network is not None),
    }


def _ways(architecture: str, *, is_yolo: bool) -> list[str]:
    """How weights are brought."""
    more = ', "labels": [...]' if is_yolo else ', "pretrained_cfg": {...}'
    config = f'{{"library": "signet", "architecture": "{architecture}", "num_classes": ...{more}}}'
    folder = (
        f"a folder {ZOO}{architecture} in $SIGNET_MIRROR with model.safetensors and config.json ({config}): "
        f"then {ZOO}{architecture} is a MODEL"
    )
    checkpoint = (
        "a checkpoint in the names of its publishers, as it is: signet show MY.pt, signet predict MY.pt "
        "IMAGES (docs/own-weights.md)"
    )
    return [checkpoint, folder] if is_yolo else [folder]


def _is_here(model: str) -> bool:
    """Whether a path or a model of the mirror bears this name."""
    from signet.errors import HubError, UnknownName
    from signet.resolving import resolve

    try:
        resolve(model, offline=True)
    except (UnknownName, HubError):
        return False
    return True
