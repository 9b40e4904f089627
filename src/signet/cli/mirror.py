"""`signet mirror`: the folder that a site without a network needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.errors import BadInput, BadRequest, Interrupted
from signet.naming import shown

app = typer.Typer(
    help="Make, check and list a folder of models for a site without a network (SIGNET_MIRROR).",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Names = Annotated[
    list[str],
    typer.Argument(metavar="NAMES", help="Names, @FILE with one a line, or - for those of stdin."),
]


@app.command("pull")
def pull(
    names: Names,
    to: Annotated[Path, typer.Option("--to", help="The mirror; made when missing.")],
    licence: Annotated[
        str | None,
        typer.Option("--licence", help="permissive or commercial: refuse all when one does not fit."),
    ] = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Bring models into a mirror, with all that is needed of them where there is no network.

    One that fails does not stop the others; exit code 1 then. What was interrupted goes on with the same
    command.
    """
    from signet.mirroring import pulling

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        done = []
        try:
            for model in pulling.each(
                _named(names),
                to.expanduser(),
                licence=licence,
                overwrite=overwrite,
                offline=offline,
                on_progress=terminal.on_progress,
            ):
                done.append(model)
                _tell(terminal, model)
        except KeyboardInterrupt as error:
            raise Interrupted(
                "interrupted; what has come is kept, and the same command goes on with it"
            ) from error
        result = pulling.Pulled(to, tuple(done))
        counts = {status: sum(model.status == status for model in done) for status in _STATUSES}
        words = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        if as_json:
            terminal.object(result.to_dict())
        terminal.say(f"{words}; {result.size_bytes / 1e6:,.1f} MB written to {to}")
        return 0 if result.ok else 1


_STATUSES = ("pulled", "there", "failed")


@app.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The mirror.")],
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Hash every file of a mirror again, and name every fault. Exit code 1 when there is one."""
    from signet import mirroring

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        checked = mirroring.verify(folder, terminal.on_progress)
        terminal.stop()
        if as_json:
            terminal.object(checked.to_dict())
        else:
            for model in checked.models:
                for fault in model.faults:
                    terminal.result(f"{model.name}: {fault}")
        _say_what_counts(terminal, checked)
        faulty = sum(not model.ok for model in checked.models)
        if not as_json:
            terminal.result(
                f"{faulty} of {len(checked.models)} models are not as they should be"
                if faulty
                else f"{len(checked.models)} models, nothing wrong found"
            )
            if checked.manifest:
                terminal.result(f"mirror.json has the sha256 {checked.manifest}")
        return 0 if checked.ok else 1


def _say_what_counts(terminal: Terminal, checked: Any) -> None:
    """How much was proved, and how much nobody can say."""
    counts = {kind: sum(model.held_to == kind for model in checked.models) for kind in _HELD_TO}
    if checked.manifest is None:
        terminal.say("this mirror has no mirror.json; its models are held to what their own folders state")
    for kind, words in _HELD_TO.items():
        if counts[kind]:
            terminal.say(f"{counts[kind]} {words}")
    for name in checked.unlisted:
        terminal.say(f"not in mirror.json: {name}")


_HELD_TO = {
    "record": "held to their own model.json",
    "config": "held to the sha256 that their config.json states, which speaks of the weights only",
    "nothing": "with no digest stated, which nobody can verify",
}


@app.command("list")
def list_models(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The mirror; that of SIGNET_MIRROR by default.")
    ] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """List the models of a mirror."""
    from signet import mirroring
    from signet.hub.folders import MIRROR_VARIABLE, mirror_folder

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        place = folder or mirror_folder()
        if place is None:
            raise BadRequest(f"expected the folder of a mirror: give DIR, or set {MIRROR_VARIABLE}.")
        held = mirroring.contents(place)
        if as_json:
            terminal.object({"mirror": str(place), "models": [model.to_dict() for model in held]})
            return 0
        rows = [
            (
                model.name,
                f"{model.size_bytes / 1e6:,.1f} MB" if model.size_bytes else "",
                "" if model.licence is None else _licence(model.licence),
                model.task,
                "" if model.parameters is None else f"{model.parameters / 1e6:,.1f} M",
                model.trust,
                model.fault,
            )
            for model in held
        ]
        if rows:
            titles = ("name", "size", "licence", "task", "params", "digest", "")
            terminal.table(titles, rows, right=(1, 4), spare=(4, 3))
        terminal.say(f"{len(rows)} models")
        return 0


def _licence(licence: Any) -> str:
    return f"{licence.weights}{'' if licence.stated else ' (not stated)'}"


def _tell(terminal: Terminal, model: Any) -> None:
    """One line for each name."""
    if model.status == "failed":
        line = f"failed {model.name}: {model.error}"
    else:
        size = f" {model.size_bytes / 1e6:,.1f} MB" if model.files else ""
        line = f"{model.status} {model.name}{size}{f' ({model.remark})' if model.remark else ''}"
    if not terminal.as_json:
        terminal.result(line)
    elif model.status == "failed":
        terminal.say(line)


def _named(words: list[str]) -> Iterator[str]:
    """The names that the arguments give, with those of lists in their places.

    Raises:
        BadInput: a list cannot be read.
    """
    for word in words:
        if word == "-":
            yield from _lines(sys.stdin.buffer.read(), "standard input")
        elif word.startswith("@"):
            try:
                data = Path(word[1:]).read_bytes()
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise BadInput(
                    f"{shown(word)}: expected a file with one name a line, got: {reason}."
                ) from error
            yield from _lines(data, word)
        else:
            yield word


def _lines(data: bytes, what: str) -> list[str]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{shown(what)}: expected names in UTF-8, one a line, got something else.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
