"""`signet embed`: images as vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.progress import Progress


def embed(
    model: o.ModelName,
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Images, folders, globs.")],
    out: Annotated[Path, typer.Option("--out", help="X.npy (with X.npy.sources.json) or X.parquet.")],
    layer: Annotated[str, typer.Option("--layer", help="A layer's name, or penultimate.")] = "penultimate",
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
    """Write the feature vectors of images, and the list of their sources."""
    from signet import sources, tapping
    from signet.embedding import embed_to_file
    from signet.models import load, resolve

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        paths = list(sources.list_images(inputs))
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
            terminal.say(f"left out: {message if source in message else f'{source}: {message}'}")
        terminal.say(f"{embedded.count} vectors of {embedded.width} numbers in {out}")
        if as_json:
            terminal.object(
                {
                    "out": str(out),
                    "count": embedded.count,
                    "width": embedded.width,
                    "failed": [{"source": source, "message": text} for source, text in embedded.failed],
                    "engine": loaded.engine.name,
                    "precision": loaded.engine.precision,
                }
            )
        return 0
