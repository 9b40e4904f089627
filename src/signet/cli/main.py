"""The `signet` command: its commands, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from signet.cli import (
    benchmark,
    demo,
    embed,
    evaluate,
    find,
    finetune,
    predict,
    seal,
    show,
    verify,
)
from signet.errors import BadRequest, Interrupted, Refused, SignetError
from signet.version import __version__

app = typer.Typer(
    name="signet",
    help="Pretrained vision models that can be trusted at every joint.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("find")(find.find)
app.command("show")(show.show)
app.command("predict")(predict.predict)
app.command("embed")(embed.embed)
app.command("evaluate")(evaluate.evaluate)
app.command("finetune")(finetune.finetune)
app.command("seal")(seal.seal)
app.command("pack")(seal.pack)
app.command("verify")(verify.verify)
app.command("benchmark")(benchmark.benchmark)
app.command("demo")(demo.demo)


@app.callback()
def signet(
    version: Annotated[
        bool, typer.Option("--version", help="Write the version and leave.", is_eager=True)
    ] = False,
) -> None:
    """Pretrained vision models that can be trusted at every joint."""
    if version:
        print(f"signet {__version__}")  # noqa: T201
        raise typer.Exit


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
    sys.exit(main(words))


def main(words: list[str]) -> int:
    """Run the command line; returns the exit code of the command contract."""
    try:
        code = app(words, standalone_mode=False)
        return int(code) if isinstance(code, int) else DONE
    except (typer.Abort, KeyboardInterrupt):
        return _told("interrupted; where there is a --resume, it continues", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has left; that is no failure, and there is nobody to tell.
        sys.stderr.close()
        return DONE
    except SignetError as error:
        return _told(f"error: {error}", exit_code(error), "--json" in words, error)
    except Exception as error:
        # The usage errors of the library below typer; it has them under a private name only, and
        # gives them the method `show`.
        if not hasattr(error, "show"):
            raise
        error.show(file=sys.stderr)
        return ASKED_WRONGLY


def _told(text: str, code: int, as_json: bool = False, error: SignetError | None = None) -> int:
    """Say what happened on stderr, and as an object on stdout where one was asked for."""
    from signet.naming import shown

    print(shown(text), file=sys.stderr)  # noqa: T201
    if as_json and error is not None:
        import json

        plain = {"error": {"type": type(error).__name__, "message": str(error)}}
        print(json.dumps(plain))  # noqa: T201
    return code
