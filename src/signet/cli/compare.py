"""`signet compare`: any models side by side on the same images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal


def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... DATASET",
            help="Two or more models, and last the images with their truth: classes, boxes, masks or pixels.",
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="The model that the others are held to; the first by default."),
    ] = None,
    split: o.Split = None,
    dataset_format: o.FormatName = None,
    report: Annotated[Path | None, typer.Option("--report", help="Also write this HTML file.")] = None,
    engine: o.Engine = o.EngineName.auto,
    precision: o.Precision = o.PrecisionName.auto,
    device: o.Device = "cpu",
    batch: o.BatchSize = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Set models side by side on the same images.

    Each one's figures, how far each is from the baseline with the interval of that difference, what each
    costs, what was published of it, and the images on which they disagree.
    """
    from signet.comparing import Terms, side_by_side
    from signet.datasets import open_dataset
    from signet.errors import AlreadyExists, BadRequest
    from signet.models import load, resolve

    if len(names) < 3:
        raise BadRequest(
            f"compare: expected at least two models and a dataset after them, got {len(names)} "
            f"{'word' if len(names) == 1 else 'words'}. One model alone: `signet evaluate MODEL DATASET`."
        )
    if report is not None and report.exists() and not overwrite:
        raise AlreadyExists(report)
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        data = open_dataset(Path(names[-1]), dataset_format)
        terminal.say(f"{data.source}: {data.format}, {len(data)} images, {len(data.labels)} labels")
        for note in data.notes:
            terminal.say(f"note: {note}")
        found = [resolve(name, offline=offline, on_progress=terminal.on_progress) for name in names[:-1]]

        def opened(pretrained: Any) -> Any:
            settings = o.settings(engine, threads, batch, device, many=True)
            model: Any = load(pretrained, engine=engine.value, precision=precision.value, settings=settings)
            terminal.say_engine(model)
            return model

        terms = Terms(split=split, baseline=_as_carded(baseline, names[:-1], found), seed=seed)
        compared = side_by_side(found, data, terms, open_model=opened, on_progress=terminal.on_progress)
        if report is not None:
            from signet import storage
            from signet.reporting import comparison_page, render

            storage.write_bytes(report, render(comparison_page(compared)).encode(), overwrite=overwrite)
            terminal.say(f"report in {report}")
        if as_json:
            terminal.object(compared.to_dict())
        else:
            tell(terminal, compared)
        return 0


def _as_carded(baseline: str | None, names: list[str], found: list[Any]) -> str | None:
    """The card's name of a baseline that is written as on the command line."""
    if baseline in names:
        return str(found[names.index(baseline)].card.name)
    return baseline


def tell(terminal: Terminal, compared: Any) -> None:
    """Two tables for a person: figures and cost, then differences."""
    metrics = list(dict.fromkeys(name for model in compared.models for name in model.metrics))[:3]
    rows = [
        (
            model.name,
            *(_figure(model.metrics.get(name)) for name in metrics),
            "" if model.milliseconds is None else f"{model.milliseconds:.1f}",
            "" if model.params is None else f"{model.params / 1e6:.2f}",
            "" if model.size_bytes is None else f"{model.size_bytes / 1e6:.1f}",
            _published(model, compared.main_metric()),
        )
        for model in compared.models
    ]
    titles = ("model", *metrics, "ms", "M params", "MB", "published")
    terminal.table(titles, rows, right=tuple(range(1, len(titles) - 1)), spare=(len(titles) - 1,))
    rows = [
        (
            f"{pair.first} - {pair.second}",
            pair.metric,
            f"{pair.figure.value:+.4f}",
            "unknown"
            if math.isnan(pair.figure.low)
            else f"{pair.figure.low:+.4f} to {pair.figure.high:+.4f}",
            _chance(pair.p),
            _chance(pair.p_holm),
        )
        for pair in compared.pairs
    ]
    terminal.result("")
    terminal.table(
        ("difference", "metric", "value", "95 % interval", "p", "p Holm"), rows, right=(2, 3, 4, 5)
    )
    terminal.say(
        f"{compared.count} images in {compared.seconds:.1f} s; the models fare differently on "
        f"{compared.disagreeing} of them"
    )
    for note in dict.fromkeys(
        [*compared.notes, *(note for model in compared.models for note in model.notes)]
    ):
        terminal.say(f"note: {note}")


def _chance(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _figure(figure: Any) -> str:
    if figure is None or math.isnan(figure.value):
        return ""
    ends = "" if math.isnan(figure.low) else f" ({figure.low:.3f} to {figure.high:.3f})"
    return f"{figure.value:.4f}{ends}"


def _published(model: Any, metric: str) -> str:
    """The first claim of the main figure, with the data it is of."""
    claim = next((claim for claim in model.claims if claim.metric == metric), None)
    return "" if claim is None else f"{claim.value:.4g} on {claim.dataset}"
