"""`signet audit`: what is wrong in a dataset, before anything is learned from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.errors import AlreadyExists, BadRequest
from signet.naming import shown

if TYPE_CHECKING:
    from signet.auditing import Mended
    from signet.findings import Audit

NO_MODEL = "none"


def audit(
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET", help="Images with their truth: classes, boxes, masks or labelled pixels."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="Whose features judge labels and splits: a MODEL that classifies or embeds, or none.",
        ),
    ] = "starter",
    fix: Annotated[
        bool, typer.Option("--fix", help="Write a table of the sound rows; no image is touched.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --fix: the table; DATASET.mended.csv by default.")
    ] = None,
    drop_conflicts: Annotated[
        bool, typer.Option("--drop-conflicts", help="With --fix: leave out identical files of two truths.")
    ] = False,
    drop_suspects: Annotated[
        bool, typer.Option("--drop-suspects", help="With --fix: leave out labels that are probably wrong.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write this HTML file, with pictures.")
    ] = None,
    dataset_format: o.FormatName = None,
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
    """Find what is wrong in DATASET.

    Broken and odd files, copies, leaks across splits, groups torn apart, labels that are probably wrong,
    trouble with classes and their names, splits of different kind. Exit code 1 when a finding is severe.
    """
    from signet.auditing import AuditSettings, check_table
    from signet.auditing import audit as inspect
    from signet.datasets import open_dataset
    from signet.models import resolve

    table = _table_place(dataset, out) if fix else None
    if not fix and (out is not None or drop_conflicts or drop_suspects):
        raise BadRequest("--out, --drop-conflicts and --drop-suspects say what --fix writes: add --fix.")
    for place in (report, table):
        if place is not None and place.exists() and not overwrite:
            raise AlreadyExists(shown(place))
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        data = open_dataset(dataset, dataset_format)
        terminal.say(f"{data.source}: {data.format}, {len(data)} images, {len(data.labels)} labels")
        if fix:
            check_table(data)
        judge = None
        if model != NO_MODEL:
            judge = resolve(model, offline=offline, card=card, on_progress=terminal.on_progress)
        settings = AuditSettings(
            seed=seed,
            threads=threads,
            engine=engine.value,
            precision=precision.value,
            device=device,
            batch=batch,
        )
        found = inspect(data, model=judge, settings=settings, on_progress=terminal.on_progress)
        done = None
        if table is not None:
            from signet.auditing import mended, write_table

            done = mended(data, found, drop_conflicts=drop_conflicts, drop_suspects=drop_suspects)
            write_table(done.dataset, table, overwrite=overwrite)
        if report is not None:
            _write_report(found, report, overwrite)
        if as_json:
            fixed = {} if done is None else {"fixed": {"table": str(table), **done.to_dict()}}
            terminal.object({**found.to_dict(), **fixed})
        else:
            _tell(terminal, found)
        _tell_done(terminal, done, table, report)
        return 0 if found.ok else 1


def _table_place(dataset: Path, out: Path | None) -> Path:
    """Beside the dataset, never in it: a table in a folder would change what the folder is read as."""
    if out is None:
        whole = dataset.absolute()
        return whole.with_name(f"{whole.name if whole.is_dir() else whole.stem}.mended.csv")
    if out.suffix.lower() != ".csv":
        raise BadRequest(f"--out: expected a file that ends in .csv, got {shown(out.name)}.")
    return out


def _write_report(found: Audit, path: Path, overwrite: bool) -> None:
    from signet import storage
    from signet.reporting import audit_page, render

    storage.write_bytes(path, render(audit_page(found)).encode(), overwrite=overwrite)


def _tell(terminal: Terminal, found: Audit) -> None:
    """The findings for a person."""
    for one in found.findings:
        terminal.result(f"{one.severity}: {one.kind}")
        terminal.result(one.message, indent=2)
        if one.fix:
            terminal.result(f"-> {one.fix}", indent=2)
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items())
    terminal.result(f"{counts}; {found.images:,} images in {found.seconds:.1f} s")
    for sentence in found.skipped:
        terminal.say(f"not looked for: {sentence}")


def _tell_done(terminal: Terminal, done: Mended[Any] | None, table: Path | None, report: Path | None) -> None:
    if report is not None:
        terminal.say(f"report in {report}")
    if done is not None:
        for line in done.words():
            terminal.say(f"fix: {line}")
        terminal.say(f"table of {len(done.dataset):,} images in {table}")
