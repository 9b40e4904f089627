"""`signet compress`: a seal becomes a smaller or faster one, behind a gate."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signet.cli import finetune_options as f
from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.errors import AlreadyExists

if TYPE_CHECKING:
    from signet.comparisons import Contestant
    from signet.compression import Compressed
    from signet.recipes import Recipe
    from signet.records import Interval


class TargetName(enum.StrEnum):
    """What a seal can be compressed to."""

    int8 = "int8"
    fp16 = "fp16"
    bf16 = "bf16"
    pruned = "pruned"
    distilled = "distilled"


def compress(
    sealed: Annotated[Path, typer.Argument(metavar="SEAL", help="A sealed model.")],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Images with their truth, that judge.")],
    to: Annotated[TargetName, typer.Option("--to", help="What to make of it.")],
    out: Annotated[Path, typer.Option("--out", help="The seal to write: Y.signet.")],
    max_drop: Annotated[
        float, typer.Option("--max-drop", min=0, max=1, help="Greatest loss of accuracy; 0.01: one point.")
    ] = 0.01,
    min_alike: Annotated[
        float, typer.Option("--min-alike", min=0, max=1, help="Least share of decisions that stay.")
    ] = 0.95,
    proven: Annotated[
        bool,
        typer.Option("--proven", help="Hold the upper end of the drop's interval to --max-drop."),
    ] = False,
    keep_refused: Annotated[
        bool, typer.Option("--keep-refused", help="Write what the gate refuses, too; its card says so.")
    ] = False,
    mixed: Annotated[
        bool, typer.Option(help="Where int8 is refused, take the costliest layers back to floats.")
    ] = True,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Other images that set the ranges; else some of DATASET."),
    ] = None,
    macs: Annotated[
        float | None,
        typer.Option("--macs", help="pruned: share of the multiply-adds left at most; 0.7 by default."),
    ] = None,
    student: Annotated[
        str | None, typer.Option("--student", help="distilled: the smaller model that learns.")
    ] = None,
    recipe: f.RecipeFile = None,
    changes: f.Settings = None,
    split: o.Split = None,
    dataset_format: o.FormatName = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="HTML of what was measured; Y.report.html by default.")
    ] = None,
    engine: o.Engine = o.EngineName.auto,
    precision: o.Precision = o.PrecisionName.auto,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Compress SEAL, and deliver it only where it decides as before.

    Before and after are measured on the same images of DATASET, none of which set a range or was learned
    from. Exit code 3 when
    the gate refuses: nothing is written then but the report.
    """
    from signet import sources, storage
    from signet.compression import CompressSettings, Gate, compression_page
    from signet.compression import compress as make
    from signet.datasets import open_dataset
    from signet.reporting import render

    page = report or out.with_name(f"{out.name.removesuffix('.signet')}.report.html")
    if page.exists() and not overwrite:
        raise AlreadyExists(page)
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        data = open_dataset(dataset, dataset_format)
        terminal.say(f"{data.source}: {data.format}, {len(data)} images, {len(data.labels)} labels")
        found = make(
            sealed,
            data,
            to=to.value,
            out=out,
            settings=CompressSettings(
                gate=Gate(max_drop=max_drop, min_alike=min_alike, proven=proven),
                calibration=None if calibration is None else list(sources.list_images([str(calibration)])),
                split=split,
                mixed=mixed,
                keep_refused=keep_refused,
                macs=macs,
                student=student,
                recipe=_recipe(to, sealed, recipe, changes or ()),
                offline=offline,
                engine=engine.value,
                precision=precision.value,
                running=o.settings(engine, threads, None, "cpu", many=False),
                seed=seed,
                overwrite=overwrite,
                on_progress=terminal.on_progress,
            ),
        )
        storage.write_bytes(page, render(compression_page(found)).encode(), overwrite=overwrite)
        if as_json:
            terminal.object({**found.to_dict(), "report": str(page)})
        else:
            _tell(terminal, found)
        for note in found.notes:
            terminal.say(f"note: {note}")
        terminal.say(f"report in {page}")
        return 0 if found.seal is not None else 3


def _recipe(to: TargetName, sealed: Path, path: Path | None, changes: Sequence[str]) -> Recipe | None:
    """How a target learns: a file, or its defaults; what is set beside them wins."""
    from signet.compression.settings import DEFAULT_RECIPES
    from signet.recipes import read_recipe, settings_in

    if path is None and not changes:
        return None
    if to.value not in DEFAULT_RECIPES:
        return read_recipe(path, settings_in(changes))  # which the target refuses in its own words
    usual = {} if path is not None else DEFAULT_RECIPES[to.value]
    return read_recipe(path, {"teacher": str(sealed), **usual, **settings_in(changes)})


def _tell(terminal: Terminal, found: Compressed) -> None:
    """A table of all that was tried, and the outcome, for a person."""
    metric = found.chosen.ruling.metric
    before = found.before
    figure = f"{before.metrics[metric].value:.4f}"
    rows = [("as it was", figure, "", "", *_cost(before, found.before_milliseconds), "")]
    rows += [
        (
            one.name,
            f"{one.row.metrics[metric].value:.4f}",
            _points(one.ruling.drop),
            f"{one.ruling.alike} of {one.ruling.count}",
            *_cost(one.row, one.network_milliseconds),
            "passed" if one.ruling.passed else "refused",
        )
        for one in found.frontier
    ]
    terminal.table(("", metric, "drop, points", "alike", "MB", "ms", "gate"), rows, right=(1, 2, 3, 4, 5))
    if found.learned is not None:
        terminal.say(found.learned.words())
    terminal.say(found.chosen.ruling.words())
    if found.seal is None:
        terminal.result(f"refused: {'; '.join(found.chosen.ruling.faults())}. Nothing was written.")
        return
    if not found.passed:
        terminal.result(f"kept although refused: {'; '.join(found.chosen.ruling.faults())}")
    terminal.result(f"sealed: {found.seal.path}")
    terminal.result(f"digest: {found.seal.digest}")
    terminal.say(f"verified on {', '.join(found.verdicts)}")


def _points(drop: Interval) -> str:
    return f"{100 * drop.value:.2f} ({100 * drop.low:.2f} to {100 * drop.high:.2f})"


def _cost(row: Contestant, milliseconds: float | None) -> tuple[str, str]:
    size = "" if row.size_bytes is None else f"{row.size_bytes / 1e6:.2f}"
    return size, "" if milliseconds is None else f"{milliseconds:.2f}"
