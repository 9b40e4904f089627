"""What commands that run a model do first: list the images, resolve the model, open it, say what runs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet.errors import BadRequest
from signet.naming import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a model is to run, as the command line says."""

    engine: str = "auto"
    precision: str = "auto"
    device: str = "cpu"
    batch: int | None = None
    threads: int | None = None
    offline: bool = False
    card: Path | None = None


def listed(inputs: list[str] | None, list_file: Path | None) -> Iterator[Path]:
    """The images that the arguments and the list of a command name, in this order.

    Raises:
        BadRequest: there are neither.
        BadInput: the list cannot be read.
    """
    from signet import sources

    if not inputs and list_file is None:
        raise BadRequest("expected images, folders or --list FILE after the model, got none.")
    yield from sources.list_images(inputs or [])
    if list_file is not None:
        yield from sources.read_list(list_file if str(list_file) != "-" else "-")


def named(inputs: list[str] | None, list_file: Path | None) -> str:
    """Where images were looked for, in words."""
    lists = [] if list_file is None else ["standard input" if str(list_file) == "-" else list_file]
    return ", ".join(shown(name) for name in (*(inputs or ()), *lists))


def open_model(model: str, options: RunOptions, terminal: Any, *, many: bool = True) -> Any:
    """Resolve and load a model as the options say, and say what runs it.

    Args:
        model: as written on the command line.
        options: engine, precision, threads ...
        terminal: told of downloads, and of engine and precision.
        many: several images are to come, so that all processors should work on different ones.
    """
    from signet.models import load, resolve
    from signet.streaming import settings_for

    chosen = settings_for(
        many=many, threads=options.threads, batch=options.batch, device=options.device, engine=options.engine
    )
    found = resolve(model, offline=options.offline, card=options.card, on_progress=terminal.on_progress)
    loaded: Any = load(found, engine=options.engine, precision=options.precision, settings=chosen)  # type: ignore[arg-type]
    terminal.say_engine(loaded)
    return loaded
