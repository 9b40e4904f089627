"""The commands of `signet`, and the reader of command lines that has them all."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from signet.version import __version__

COMMANDS = {
    "find": "find:find",
    "show": "show:show",
    "predict": "predict:predict",
    "embed": "embed:embed",
    "evaluate": "evaluate:evaluate",
    "compare": "compare:compare",
    "audit": "audit:audit",
    "choose": "choose:choose",
    "finetune": "finetune:finetune",
    "compress": "compress:compress",
    "seal": "seal:seal",
    "pack": "seal:pack",
    "sign": "sign:sign",
    "verify": "verify:verify",
    "export": "export:export",
    "benchmark": "benchmark:benchmark",
    "demo": "demo:demo",
    "mirror": "mirror:app",
}
"""Command to the module below `signet.cli` that has it, and its name there: of a function or of a group."""


def application(words: Sequence[str] = ()) -> typer.Typer:
    """The command line; of only one command where the first word names it, so that no other is loaded."""
    wanted = words[:1] if words and words[0] in COMMANDS else list(COMMANDS)
    app = typer.Typer(
        name="signet",
        help="Pretrained vision models that can be trusted at every joint.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(signet)
    for command in wanted:
        module, _, name = COMMANDS[command].partition(":")
        found = getattr(import_module(f"signet.cli.{module}"), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=command)
        else:
            app.command(command)(found)
    return app


def _write_version(wanted: bool) -> None:
    if wanted:
        print(f"signet {__version__}")  # noqa: T201
        raise typer.Exit


def signet(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Write the version and leave.", is_eager=True, callback=_write_version
        ),
    ] = False,
) -> None:
    """Pretrained vision models that can be trusted at every joint."""
