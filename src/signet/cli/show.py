"""`signet show`: the whole card of one model, its program in words, its lineage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal


def show(
    model: o.ModelName,
    layers: Annotated[bool, typer.Option("--layers", help="Also its layers, for embed --layer.")] = False,
    card: o.CardFile = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Show all that is known of MODEL. Weights that are not here are not downloaded for it."""
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        known, where = card_of(model, card, terminal)
        plain = {**known.to_dict(), "status": where, "program_words": known.program.words()}
        if layers:
            with o.open_model(
                model, o.RunOptions(offline=offline, card=card), terminal, many=False
            ) as loaded:
                plain["outputs"] = list(loaded.engine.outputs)
                plain["layers"] = _layers(loaded.pretrained, terminal)
        if as_json:
            terminal.object(plain)
        else:
            _tell(terminal, known, where, plain.get("outputs"))
            _section(terminal, "layers", plain.get("layers", []))
        return 0


def _layers(pretrained: Any, terminal: Terminal) -> list[str]:
    """The names of its layers; where none can be named, that is said."""
    from signet import tapping
    from signet.errors import BadRequest

    try:
        return list(tapping.layers(pretrained))
    except BadRequest as error:
        terminal.say(str(error))
        return []


def card_of(model: str, card: Any, terminal: Terminal) -> tuple[Any, str]:
    """The card, and where the weights are; nothing is downloaded."""
    from signet.catalogue import asking, entries, index
    from signet.errors import OfflineMiss
    from signet.resolving import resolve

    try:
        found = resolve(model, offline=True, card=card)
    except OfflineMiss:
        name = index.full_name(asking.asked(model.removeprefix("hf-hub:")).name)
        return entries.card(name, index.config(name), None, "unknown", origin="hub"), "downloadable"
    return found.card, found.where


def _tell(terminal: Terminal, card: Any, where: str, outputs: list[str] | None) -> None:
    size = card.input_size
    terminal.result(card.name)
    rows = [
        ("task", card.task),
        ("family", card.family),
        ("architecture", card.architecture),
        ("parameters", "" if card.parameters is None else f"{card.parameters:,}"),
        ("GMACs", "" if card.gmacs is None else f"{card.gmacs:.3g}"),
        ("input", "" if size is None else f"{size[0]}x{size[1]}"),
        ("labels", _labels(card.labels)),
        ("licence", f"{card.licence.weights}{'' if card.licence.stated else ' (inherited, not stated)'}"),
        ("training data", card.licence.training_data or ""),
        ("weights", f"{where}, digest {card.digest_trust} {card.weights_digest or ''}".strip()),
        ("origin", card.origin),
        ("good for", card.good_for),
        ("outputs", ", ".join(outputs or ())),
    ]
    terminal.table(("", ""), [row for row in rows if row[1]])
    _section(terminal, "preprocessing", [f"{n}. {words}" for n, words in enumerate(card.program.words(), 1)])
    claims = [f"{row.metric} {row.value:.4g} on {row.dataset} ({row.source})" for row in card.claims]
    _section(terminal, "claims", claims)
    if card.lineage:
        terminal.result("")
        terminal.result("lineage")
        _nested(terminal, card.lineage, 2)


def _section(terminal: Terminal, title: str, lines: list[str]) -> None:
    if lines:
        terminal.result("")
        terminal.result(title)
        for line in lines:
            terminal.result(line, indent=2)


def _nested(terminal: Terminal, fields: Mapping[str, Any], indent: int) -> None:
    for key, value in fields.items():
        if isinstance(value, Mapping):
            terminal.result(f"{key}:", indent)
            _nested(terminal, value, indent + 2)
        else:
            terminal.result(f"{key}: {value}", indent)


def _labels(labels: tuple[str, ...] | None) -> str:
    if labels is None:
        return "none"
    return f"{len(labels)}: {', '.join(labels[:4])}{', ...' if len(labels) > 4 else ''}"
