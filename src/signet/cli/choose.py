"""`signet choose`: the pretrained model whose features suit a dataset best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.errors import AlreadyExists, Interrupted
from signet.naming import shown

if TYPE_CHECKING:
    from signet.choices import Choice


def choose(
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET", help="Images with their truth: classes, boxes, masks or labelled pixels."
        ),
    ],
    candidates: Annotated[
        list[str] | None,
        typer.Option(
            "--candidates", help="MODELs, joined by commas or given again; all on this machine by default."
        ),
    ] = None,
    max_ms: Annotated[
        float | None, typer.Option("--max-ms", help="Milliseconds of one image here, at most.")
    ] = None,
    max_params: Annotated[str | None, typer.Option("--max-params", help="At most so many: 10M.")] = None,
    max_bytes: Annotated[str | None, typer.Option("--max-bytes", help="File of at most: 50MB.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="permissive or commercial.")] = None,
    trainable: Annotated[
        bool,
        typer.Option("--trainable", help="Only networks that can be trained further, not only probed."),
    ] = False,
    budget: Annotated[float | None, typer.Option("--budget", help="Seconds that it may take.")] = None,
    share: Annotated[
        float,
        typer.Option("--share", help="Part of the cost of running all over all images, without --budget."),
    ] = 0.1,
    inspect: Annotated[bool, typer.Option("--audit/--no-audit", help="Audit DATASET first.")] = True,
    report: Annotated[Path | None, typer.Option("--report", help="Also write this HTML file.")] = None,
    dataset_format: o.FormatName = None,
    engine: o.Engine = o.EngineName.auto,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Choose the pretrained model whose features suit DATASET best.

    Published accuracies say where to begin, probes on a growing part of the images correct them. Objects and
    labelled pixels are cut out and told apart by their label. Nothing is trained, and features are kept.
    """
    from signet.choosing import ChooseSettings, Limits
    from signet.choosing import choose as pick
    from signet.cli.find import count, size
    from signet.datasets import open_dataset

    if report is not None and report.exists() and not overwrite:
        raise AlreadyExists(shown(report))
    limits = Limits(
        max_milliseconds=max_ms,
        max_params=None if max_params is None else count(max_params),
        max_bytes=None if max_bytes is None else size(max_bytes),
        licence=licence,
        engine=engine.value,
        trainable=trainable,
    )
    settings = ChooseSettings(
        share=share, budget_seconds=budget, seed=seed, threads=threads, inspect=inspect, offline=offline
    )
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        data = open_dataset(dataset, dataset_format)
        terminal.say(f"{data.source}: {data.format}, {len(data)} images, {len(data.labels)} labels")
        names = [name for given in candidates or () for name in given.split(",") if name]
        try:
            found = pick(
                data, names or None, limits=limits, settings=settings, on_progress=terminal.on_progress
            )
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted. Features so far are kept: run it again to go on.") from error
        if report is not None:
            _write_report(found, report, overwrite)
        if as_json:
            terminal.object(found.to_dict())
        else:
            _tell(terminal, found)
        if report is not None:
            terminal.say(f"report in {report}")
        return 0


def _write_report(found: Choice, path: Path, overwrite: bool) -> None:
    from signet import storage
    from signet.reporting import choice_page, render

    storage.write_bytes(path, render(choice_page(found)).encode(), overwrite=overwrite)


def _tell(terminal: Terminal, found: Choice) -> None:
    """The table and what follows from it, for a person."""
    from signet.cli import words

    rows = []
    for row in (*found.ranking, *([found.scratch] if found.scratch else ())):
        rows.append(
            (
                f"{row.name} *" if row.name == found.pick else row.name,
                words.accuracy(row.expected),
                f"{100 * row.low:.1f} to {100 * row.high:.1f}",
                f"{row.milliseconds:.1f}",
                words.millions(row.params),
                words.bytes_of(row.size_bytes),
                words.accuracy(row.top1),
                words.accuracy(row.scores.get("knn")),
                row.licence,
                f"{row.images:,}",
            )
        )
    titles = (
        "model",
        "expected",
        "90 %",
        "ms",
        "params",
        "size",
        "ImageNet",
        "neighbours",
        "licence",
        "images",
    )
    terminal.table(titles, rows, right=range(1, 8), spare=(7, 9, 4, 8, 5, 6))
    for one in found.left_out:
        terminal.say(f"left out: {one.name}: {one.why}")
    for note in found.notes:
        terminal.say(f"note: {note}")
    terminal.result(f"pick: {found.pick}, regret {100 * found.regret:.2f} points")
    if found.runner_up:
        terminal.result(f"next: {found.runner_up}")
    base = found.of(found.baseline)
    if base is not None:
        same = (
            "the pick" if base.name == found.pick else f"{base.name}, regret {100 * base.regret:.2f} points"
        )
        terminal.result(f"highest ImageNet top-1: {same}")
    terminal.say(
        f"{100 * found.spent:.0f} % of the cost of running all over {found.images:,} images, "
        f"{found.seconds:.1f} s"
    )
