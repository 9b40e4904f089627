"""`signet show`: the whole card of one model, its program in words, its lineage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal

NO_WEIGHTS = "no public weights"


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
    from signet.catalogue.systems import systems_of
    from signet.naming import shown
    from signet.resolving import guess

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        unheld = [row for row in systems_of(model) if row.own == model and row.status == NO_WEIGHTS]
        if unheld:
            if as_json:
                terminal.object(unheld[0].to_dict())
            else:
                _tell_system(terminal, unheld[0])
            return 0
        guessed = guess(model, card)
        if guessed is not None:
            if as_json:
                terminal.object({"guess": guessed.to_dict()})
            else:
                for line in guessed.lines():
                    terminal.line(shown(line))
            return 0
        known, where, found = card_of(model, card, terminal)
        rows = systems_of(known.name)
        plain = {**known.to_dict(), "status": where, "program_words": known.program.words()}
        plain["systems"] = [row.to_dict() for row in rows]
        plain["features"] = _features(found)
        if layers:
            with o.open_model(
                model, o.RunOptions(offline=offline, card=card), terminal, many=False
            ) as loaded:
                plain["outputs"] = list(loaded.engine.outputs)
                plain["layers"] = _layers(loaded.pretrained, terminal)
        if as_json:
            terminal.object(plain)
        else:
            _tell(terminal, known, where, plain)
            for row in rows:
                _section(terminal, f"stated and published: {row.variant}", _figures(row))
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


def _features(found: Any) -> str:
    """What `embed` takes of a graph; where that is nothing, why."""
    from signet.errors import SignetError
    from signet.features import penultimate_words

    try:
        return "" if found is None else penultimate_words(found)
    except SignetError as error:
        return f"none: {error}"


def card_of(model: str, card: Any, terminal: Terminal) -> tuple[Any, str, Any]:
    """The card, where the weights are, and the model where they are here; nothing is downloaded."""
    from signet.catalogue import asking, entries, index
    from signet.errors import OfflineMiss
    from signet.resolving import resolve

    try:
        found = resolve(model, offline=True, card=card)
    except OfflineMiss:
        name = index.full_name(asking.asked(model.removeprefix("hf-hub:")).name)
        return entries.card(name, index.config(name), None, "unknown", origin="hub"), "downloadable", None
    return found.card, found.where, found


def _tell(terminal: Terminal, card: Any, where: str, plain: Mapping[str, Any]) -> None:
    size = card.input_size
    terminal.result(card.name)
    rows = [
        ("task", card.task),
        ("family", card.family),
        ("architecture", card.architecture),
        ("parameters", "" if card.parameters is None else f"{card.parameters:,}"),
        ("GMACs", "" if card.gmacs is None else f"{card.gmacs:.3g}"),
        ("input", "" if size is None else f"{size[0]}x{size[1]}"),
        ("depth", "" if card.depth is None else str(card.depth)),
        ("paper", " ".join(filter(None, (card.paper, f"({card.year})" if card.year else "")))),
        ("labels", _labels(card.labels)),
        ("licence", _licence(card.licence)),
        ("code", card.licence.code or ""),
        ("training data", card.licence.training_data or ""),
        ("domain", card.domain),
        ("weights", f"{where}, digest {card.digest_trust} {card.weights_digest or ''}".strip()),
        ("origin", card.origin),
        ("good for", card.good_for),
        ("features", plain["features"]),
        ("outputs", ", ".join(plain.get("outputs", ()))),
    ]
    terminal.table(("", ""), [row for row in rows if row[1]])
    _section(terminal, "preprocessing", [f"{n}. {words}" for n, words in enumerate(card.program.words(), 1)])
    _section(terminal, "claims", [_claim(row) for row in card.claims])
    if card.lineage:
        terminal.result("")
        terminal.result("lineage")
        _nested(terminal, card.lineage, 2)


def _licence(licence: Any) -> str:
    words = licence.words or ("" if licence.stated else "inherited, not stated")
    return f"{licence.weights} ({words})" if words else str(licence.weights)


def _claim(claim: Any) -> str:
    size = f" at {claim.evaluation_size} px" if claim.evaluation_size else ""
    return f"{claim.metric} {claim.value:.4g} on {claim.dataset}{size} ({claim.source})"


def _tell_system(terminal: Terminal, row: Any) -> None:
    """What is known of a system that nobody published weights of."""
    terminal.result(str(row.own))
    lines = [
        ("system", row.variant),
        ("task", row.task),
        ("paper", " ".join(filter(None, (row.paper, f"({row.year})" if row.year else "")))),
        ("weights", f"{row.status}; nearest: {row.nearest}"),
    ]
    terminal.table(("", ""), lines)
    _section(terminal, "stated and published", _figures(row))


def _figures(row: Any) -> list[str]:
    """Stated figures, counts and published figures of a system, and why they differ."""
    stated = ", ".join(f"{key} {value:,}" for key, value in row.stated.items())
    counts = ", ".join(f"{value:,} as {key} counts" for key, value in row.parameters.items())
    return [
        *([f"stated: {stated}"] if stated else []),
        *([f"parameters: {counts}"] if counts else []),
        *(
            f"{figure.metric} {figure.value:.4g} on {figure.dataset}"
            f"{', ' + figure.how if figure.how else ''} ({figure.source})"
            for figure in row.published
        ),
        *([row.explains] if row.explains else []),
    ]


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
