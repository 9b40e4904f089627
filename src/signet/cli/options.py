"""Options that many commands share, stated once."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from signet.errors import BadRequest
from signet.naming import shown


class EngineName(enum.StrEnum):
    """Engines of the command contract; plug-ins are reached from Python."""

    auto = "auto"
    torch = "torch"
    openvino = "openvino"
    onnx = "onnx"


class PrecisionName(enum.StrEnum):
    """Precisions of the command contract."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    int8 = "int8"


class GoldenKind(enum.StrEnum):
    """Where golden images come from."""

    own = "own"
    made = "made"


Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing to stderr but errors.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never ask the network.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Processor threads; all usable ones by default.")
]
Engine = Annotated[EngineName, typer.Option("--engine", help="What runs the network.")]
Precision = Annotated[
    PrecisionName,
    typer.Option(
        "--precision",
        help="auto is int8 of a quantized graph, else fp32 until this model has evidence for bf16 here.",
    ),
]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 ... (all but cpu: engine torch).")]
BatchSize = Annotated[int | None, typer.Option("--batch", min=1, help="Images for each run of the network.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]
Split = Annotated[str | None, typer.Option("--split", help="train, val, test, or a name from the table.")]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Dataset format: folder, csv, coco, yolo, voc, voc-segments, open-images or masks; else "
        "recognised.",
    ),
]
CardFile = Annotated[Path | None, typer.Option("--card", help="Card of a graph file.")]
ListFile = Annotated[
    Path | None, typer.Option("--list", help="File with one path a line (or NUL-separated); - for stdin.")
]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A catalogue name, a seal, or a graph file.")]


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


def settings(engine: Any, threads: int | None, batch: int | None, device: str, *, many: bool) -> Any:
    """Engine settings from the options of a command."""
    from signet.streaming import settings_for

    return settings_for(many=many, threads=threads, batch=batch, device=device, engine=engine.value)


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
