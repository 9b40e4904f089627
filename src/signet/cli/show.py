"""`signet show`: the whole card of one model, or what tells several of one name apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from signet.cli import opening
from signet.cli import options as o
from signet.cli.terminal import Terminal

if TYPE_CHECKING:
    from signet.catalogue.systems import System
    from signet.zoos.graph_guess import GraphGuess
    from signet.zoos.state_guess import Guess
    from signet.zoos.yolo_files import YoloGuess


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
    from signet.cli import show_one, show_own
    from signet.resolving import guess

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        guessed = guess(model, card)
        if guessed is not None and not as_json:
            show_one.tell_guess(terminal, guessed)
        if guessed is not None and not _is_model(guessed):
            if as_json:
                terminal.object({"guess": guessed.to_dict()})
            return 0
        built = show_own.own(model)
        if built is not None:
            if as_json:
                terminal.object(show_own.to_dict(*built))
            else:
                show_own.tell(terminal, *built)
            return 0
        system = _system_of(model)
        if system is not None:
            if as_json:
                terminal.object({"name": system.own, **system.to_dict()})
            else:
                show_one.tell_system(terminal, system)
            return 0
        if card is None and not layers and _tell_namesakes(terminal, model):
            return 0
        plain, known, rows = _whole(terminal, model, card)
        if guessed is not None:
            plain["guess"] = guessed.to_dict()
        if layers:
            with opening.open_model(
                model, opening.RunOptions(offline=offline, card=card), terminal, many=False
            ) as loaded:
                plain["outputs"] = list(loaded.engine.outputs)
                plain["layers"] = _layers(loaded.pretrained, terminal)
        if as_json:
            terminal.object(plain)
        else:
            if guessed is not None:
                terminal.result("")
            show_one.tell(terminal, known, plain, rows)
        return 0


def _is_model(guessed: Guess | GraphGuess | YoloGuess) -> bool:
    """Whether a file is a model as it is, and no card need be written first."""
    from signet.zoos.yolo_files import YoloGuess

    return isinstance(guessed, YoloGuess)


def _system_of(model: str) -> System | None:
    """The system of the list that has this name, `signet/` left out or not, and neither card nor network."""
    from signet.architectures.catalogue import ARCHITECTURES
    from signet.catalogue import index
    from signet.catalogue.systems import systems

    name = model.lower()
    if index.candidates(model) or name.removeprefix("signet/") in ARCHITECTURES:
        return None
    return next(
        (row for row in systems() if row.own is not None and row.own in (name, f"signet/{name}")), None
    )


def _tell_namesakes(terminal: Terminal, model: str) -> bool:
    """Show the models of a name side by side, where it is one of several and nothing nearer has it."""
    from signet.catalogue.namesakes import namesakes, why
    from signet.errors import SignetError, UnknownName
    from signet.resolving import resolve

    found = namesakes(model)
    if not found:
        return False
    try:
        resolve(model, offline=True)
    except UnknownName as error:
        if not error.ambiguous:
            raise
    except SignetError:
        return False
    else:
        return False  # a path, or a model of the mirror, that bears exactly this name
    if terminal.as_json:
        terminal.object({"models": [one.to_dict() for one in found], "why": why(found)})
    else:
        from signet.cli.show_many import tell_many

        tell_many(terminal, model, found)
    return True


def _whole(terminal: Terminal, model: str, card: Any) -> tuple[dict[str, Any], Any, tuple[System, ...]]:
    """(the JSON, the card, the systems of the list that it belongs to)."""
    from signet.catalogue.recipes import recipe_of
    from signet.catalogue.systems import systems_of

    known, where, found = card_of(model, card, terminal)
    rows = systems_of(known.name)
    plain = {
        **known.to_dict(),
        "status": where,
        "recipe": recipe_of(known.name).to_dict(),
        "licence_verdict": known.licence.verdict,
        "program_words": known.program.words(),
        "systems": [row.to_dict() for row in rows],
        "features": _features(found),
    }
    return plain, known, rows


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
