"""`signet embed`: images as vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from signet.cli import opening
from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.errors import BadInput
from signet.naming import shown
from signet.progress import Progress


def embed(
    model: o.ModelName,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT", help="Images, folders (recursive), globs.")
    ] = None,
    list_file: o.ListFile = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="X.npy (with X.npy.sources.json) or X.parquet.")],
    layer: Annotated[
        str, typer.Option("--layer", help="penultimate, or one of `show --layers`.")
    ] = "penultimate",
    pool: Annotated[str, typer.Option("--pool", help="mean over positions, or none.")] = "mean",
    engine: o.Engine = o.EngineName.auto,
    precision: o.Precision = o.PrecisionName.auto,
    device: o.Device = "cpu",
    batch: o.BatchSize = None,
    card: o.CardFile = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Write images as vectors, with the list of their sources."""
    from signet import tapping
    from signet.embedding import check_out, embed_to_file
    from signet.models import load, resolve

    check_out(out, overwrite=overwrite)
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        paths = list(opening.listed(inputs, list_file))
        if not paths:
            raise BadInput(f"embed: expected images, found none in {opening.named(inputs, list_file)}.")
        found = resolve(model, offline=offline, card=card, on_progress=terminal.on_progress)
        found = tapping.with_layer(found, layer, pool)
        settings = o.settings(engine, threads, batch, device, many=len(paths) > 1)
        loaded: Any = load(found, engine=engine.value, precision=precision.value, settings=settings)
        terminal.say_engine(loaded)
        done = 0

        def on_answer(_: Any) -> None:
            nonlocal done
            done += 1
            terminal.on_progress(Progress("embedding", done, len(paths)))

        with loaded:
            embedded = embed_to_file(loaded, paths, out, overwrite=overwrite, on_answer=on_answer)
        for source, message in embedded.failed:
            named = message if shown(source) in message else f"{source}: {message}"
            terminal.say(f"left out: {named}")
        terminal.say(f"{embedded.count} vectors of {embedded.width} numbers in {out}")
        if as_json:
            terminal.object(
                {
                    "out": str(out),
                    "count": embedded.count,
                    "width": embedded.width,
                    "sources": list(embedded.sources),
                    "failed": [{"source": source, "message": text} for source, text in embedded.failed],
                    "engine": loaded.engine.name,
                    "precision": loaded.engine.precision,
                }
            )
        return 0
