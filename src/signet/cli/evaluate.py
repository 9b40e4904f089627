"""`signet evaluate`: how good a model is on labelled images, with intervals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from signet.cli import opening
from signet.cli import options as o
from signet.cli.terminal import Terminal


def evaluate(
    model: o.ModelName,
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET", help="Images with their truth: classes, boxes, masks or labelled pixels."
        ),
    ],
    split: o.Split = None,
    dataset_format: o.FormatName = None,
    report: Annotated[Path | None, typer.Option("--report", help="Also write this HTML file.")] = None,
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
    """Measure how good MODEL is on DATASET.

    Of classes accuracy and calibration, of objects COCO's average precision and recall, of pixels the
    intersection over union; figures of each label; all with intervals.
    """
    from signet.datasets import open_dataset
    from signet.errors import AlreadyExists
    from signet.evaluation import evaluate as measure

    if report is not None and report.exists() and not overwrite:
        raise AlreadyExists(report)
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        data = open_dataset(dataset, dataset_format)
        terminal.say(f"{data.source}: {data.format}, {len(data)} images, {len(data.labels)} labels")
        for note in data.notes:
            terminal.say(f"note: {note}")
        if split is not None:
            data.select(split)  # a wrong name is told before a model is opened
        options = opening.RunOptions(
            engine=engine.value,
            precision=precision.value,
            device=device,
            batch=batch,
            threads=threads,
            offline=offline,
            card=card,
        )
        with opening.open_model(model, options, terminal) as loaded:
            found = measure(loaded, data, split=split, seed=seed, on_progress=terminal.on_progress)
        if report is not None:
            from signet import storage
            from signet.reporting import evaluation_page, render

            html = render(evaluation_page(found))
            storage.write_bytes(report, html.encode(), overwrite=overwrite)
            terminal.say(f"report in {report}")
        if as_json:
            terminal.object(found.to_dict())
        else:
            tell(terminal, found)
        return 0


def tell(terminal: Terminal, report: object) -> None:
    """The figures for a person."""
    from signet.records import Report

    if not isinstance(report, Report):
        return
    rows = [
        (
            name,
            f"{figure.value:.4f}",
            "unknown" if math.isnan(figure.low) else f"{figure.low:.4f} to {figure.high:.4f}",
        )
        for name, figure in report.metrics.items()
    ]
    terminal.table(("metric", "value", "95 % interval"), rows, right=(1, 2))
    provenance = report.provenance
    terminal.say(
        f"{report.count} images in {report.seconds:.1f} s, engine {provenance.get('engine')}, "
        f"precision {provenance.get('precision')}"
    )
    for note in report.notes:
        terminal.say(f"note: {note}")
    if report.unreadable:
        terminal.say(f"{len(report.unreadable)} images could not be read and are in no figure:")
        for row in report.unreadable[:10]:
            terminal.say(f"  {row.error}")
