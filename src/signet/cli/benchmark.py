"""`signet benchmark`: how fast a model is on this machine, and what bounds it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.errors import SignetError


def benchmark(
    model: o.ModelName,
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help="Images, folders, globs.")],
    compare: Annotated[
        bool, typer.Option("--compare", help="Measure every engine in fp32; auto remembers the fastest.")
    ] = False,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Passes; the fastest counts.")] = 3,
    engine: o.Engine = o.EngineName.auto,
    precision: o.Precision = o.PrecisionName.auto,
    device: o.Device = "cpu",
    batch: o.BatchSize = None,
    card: o.CardFile = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Measure how fast MODEL is here, from file to answer.

    Images per second, milliseconds of each stage, the ceiling that they set, and the share of it reached.
    """
    from signet import measuring, sources
    from signet.models import load, resolve

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        paths = list(sources.list_images(inputs))
        found = resolve(model, offline=offline, card=card, on_progress=terminal.on_progress)

        def opened(name: Any, in_precision: Any, many: bool) -> Any:
            settings = o.settings(name, threads, batch, device, many=many)
            return load(found, engine=name.value, precision=in_precision.value, settings=settings)

        def measured(name: Any, in_precision: Any) -> Any:
            return measuring.benchmark(lambda many: opened(name, in_precision, many), paths, repeats=repeats)

        speed = measured(engine, precision)
        others = []
        if compare:
            for name in (o.EngineName.openvino, o.EngineName.onnx, o.EngineName.torch):
                try:
                    others.append(measured(name, o.PrecisionName.fp32))
                except SignetError as error:
                    terminal.say(f"{name.value}: {error}")
            with opened(engine, precision, False) as loaded:
                measuring.keep(loaded, {row.engine: row.images_per_second for row in others})
        if as_json:
            plain = speed.to_dict()
            terminal.object({**plain, "compared": [row.to_dict() for row in others]} if compare else plain)
        else:
            _tell(terminal, speed, others)
        return 0


def _tell(terminal: Terminal, speed: Any, others: list[Any]) -> None:
    rows = [_row(row) for row in (speed, *others)]
    terminal.table(
        ("engine", "precision", "images/s", "p50", "p95", "read", "resize", "network", "answer"),
        rows,
        right=tuple(range(2, 9)),
    )
    terminal.result(
        "milliseconds: p50 and p95 of one image at a time, from file to answer; each stage on one thread"
    )
    for row in (speed, *others):
        terminal.result(_limit(row))
    terminal.result(f"first prediction after {speed.first_prediction_seconds:.2f} s")
    if speed.peak_memory_bytes:
        terminal.result(f"peak memory {speed.peak_memory_bytes / 2**20:,.0f} MiB")


def _limit(speed: Any) -> str:
    """The ceiling beside the result, in words."""
    ceiling = speed.ceiling
    alone = ", ".join(f"{name} {ceiling[name]:,.0f}" for name in ("read", "resize", "network"))
    return (
        f"ceiling of {speed.engine} {speed.precision}, images/s on all processors: {alone} alone, "
        f"{ceiling['together']:,.0f} together; {ceiling['share']:.0%} of it reached"
    )


def _row(speed: Any) -> tuple[str, ...]:
    milliseconds = [speed.milliseconds["p50"], speed.milliseconds["p95"], *speed.stages.values()]
    return (
        speed.engine,
        speed.precision,
        f"{speed.images_per_second:,.1f}",
        *(f"{value:.2f}" for value in milliseconds),
    )
