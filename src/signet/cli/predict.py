"""`signet predict`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from signet.cli import opening, predict_images
from signet.cli import options as o


def predict(
    model: o.ModelName,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Images, folders (recursive), globs; or videos, addresses."),
    ] = None,
    list_file: o.ListFile = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write JSON lines to this file.")] = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="Labels (5), boxes or segments (all) for each image.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", help="Leave out labels (0) and boxes (0.25) below this.")
    ] = None,
    draw: Annotated[Path | None, typer.Option("--draw", help="Folder for drawn pictures.")] = None,
    cutout: Annotated[
        Path | None, typer.Option("--cutout", help="Folder for each instance, cut out as transparent PNG.")
    ] = None,
    track: Annotated[
        bool, typer.Option("--track", help="Videos: give objects numbers that stay theirs.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted --out file.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when any input failed.")] = False,
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
    """Predict with MODEL on images, or on the frames of videos. One line for each, in order."""
    run_options = opening.RunOptions(
        engine=engine.value,
        precision=precision.value,
        device=device,
        batch=batch,
        threads=threads,
        offline=offline,
        card=card,
    )
    asked = predict_images.Request(
        model=model, inputs=inputs, list_file=list_file, options=run_options, out=out, top=top,
        min_score=min_score, draw=draw, cutout=cutout, track=track, resume=resume, strict=strict,
        overwrite=overwrite, as_json=as_json, quiet=quiet,
    )  # fmt: skip
    return predict_images.run(asked)
