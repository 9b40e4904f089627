"""Options that many commands share, stated once."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer


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


def settings(engine: Any, threads: int | None, batch: int | None, device: str, *, many: bool) -> Any:
    """Engine settings from the options of a command."""
    from signet.streaming import settings_for

    return settings_for(many=many, threads=threads, batch=batch, device=device, engine=engine.value)
