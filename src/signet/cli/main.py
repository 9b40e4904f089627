"""The `signet` command: its commands, and what becomes of errors."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from signet.errors import BadRequest, Interrupted, Refused, SignetError
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


DONE, FAILED, ASKED_WRONGLY, REFUSED, INTERRUPTED = 0, 1, 2, 3, 130


def exit_code(error: BaseException) -> int:
    """The exit code that the command contract gives to an error."""
    match error:
        case Refused():
            return REFUSED
        case BadRequest():
            return ASKED_WRONGLY
        case Interrupted() | KeyboardInterrupt():
            return INTERRUPTED
        case _:
            return FAILED


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    # Who ends a batch job politely gets the same as Ctrl-C: whole lines, and what to do to go on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main(words))


def main(words: list[str]) -> int:
    """Run the command line; returns the exit code of the command contract."""
    as_json = "--json" in words
    try:
        code = application(words)(words, standalone_mode=False, obj=words)
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer's own answer to Ctrl-C
            return _told(Interrupted("interrupted"), as_json)
        return int(code) if isinstance(code, int) else DONE
    except (BrokenPipeError, SystemExit):  # typer makes the second of the first
        return _nobody_reads()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _told(SignetError(f"{where}{error.strerror or error}"), as_json)
    except (typer.Abort, KeyboardInterrupt):
        return _told(Interrupted("interrupted"), as_json)
    except SignetError as error:
        return _told(error, as_json)
    except Exception as error:
        # The usage errors of the library below typer; it has them under a private name only, and
        # gives them the methods `show` and `format_message`.
        if not hasattr(error, "show") or not hasattr(error, "format_message"):
            raise
        error.show(file=sys.stderr)
        if as_json:
            _write_error(BadRequest(error.format_message()))
        return ASKED_WRONGLY


def _nobody_reads() -> int:
    """Whoever read our output has left: that is no failure, and there is nobody to tell."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    # What is still in the buffers is written when the interpreter ends, and must not fail then.
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    return DONE


def _told(error: SignetError, as_json: bool) -> int:
    """Say what happened on stderr, and as an object on stdout where one was asked for."""
    from signet.cli.terminal import wrapped
    from signet.naming import shown

    prefix = "" if isinstance(error, Interrupted) else "error: "
    for line in (f"{prefix}{error}", *getattr(error, "__notes__", ())):
        print(wrapped(shown(line), sys.stderr), file=sys.stderr)  # noqa: T201
    if as_json:
        _write_error(error)
    return exit_code(error)


def _write_error(error: SignetError) -> None:
    import json

    try:
        print(json.dumps({"error": {"type": type(error).__name__, "message": str(error)}}), flush=True)  # noqa: T201
    except OSError:  # stdout itself is what failed, and stderr has said so
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
