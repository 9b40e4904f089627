"""The `signet` command: from words to an exit code, and what becomes of errors."""

from __future__ import annotations

import io
import os
import signal
import sys

from signet.errors import BadRequest, Interrupted, Refused, SignetError

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
    if words[:1] == ["predict"]:
        from signet.cli import converter

        converter.put_off()
    sys.exit(main(words))


def main(words: list[str]) -> int:
    """Run the command line; returns the exit code of the command contract."""
    as_json = "--json" in words
    try:
        code = _answered(words)
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer's own answer to Ctrl-C
            return _told(Interrupted("interrupted"), as_json)
        return int(code) if isinstance(code, int) else DONE
    except (BrokenPipeError, SystemExit):  # typer makes the second of the first
        return _nobody_reads()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _told(SignetError(f"{where}{error.strerror or error}"), as_json)
    except KeyboardInterrupt:
        return _told(Interrupted("interrupted"), as_json)
    except SignetError as error:
        return _told(error, as_json)
    except Exception as error:
        import typer

        if isinstance(error, typer.Abort):
            return _told(Interrupted("interrupted"), as_json)
        # The usage errors of the library below typer; it has them under a private name only, and
        # gives them the methods `show` and `format_message`.
        if not hasattr(error, "show") or not hasattr(error, "format_message"):
            raise
        error.show(file=sys.stderr)
        if as_json:
            _write_error(BadRequest(error.format_message()))
        return ASKED_WRONGLY


def _answered(words: list[str]) -> object:
    """What the command returns: an exit code, or nothing."""
    from signet.cli import plain

    asked = plain.request(words)
    if asked is not None:
        from signet.cli import predict_images

        return predict_images.run(asked)
    from signet.cli.commands import application

    return application(words)(words, standalone_mode=False, obj=words)


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
