"""`signet finetune`: a pretrained model learns the labels of images, or their pixels or objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from signet.cli import finetune_options as f
from signet.cli import finetune_together as together
from signet.cli import options as o
from signet.cli.finetune_rates import rates_place, tell_rates
from signet.cli.live import CURVES, TRACKERS, Live, beside
from signet.cli.terminal import Terminal
from signet.errors import AlreadyExists, Interrupted
from signet.naming import shown


def finetune(
    context: typer.Context,
    model: o.ModelName,
    dataset: f.DatasetPath,
    out: f.Out,
    recipe: f.RecipeFile = None,
    settings: f.Settings = None,
    preset: f.Preset = None,
    strategy: f.Strategy = None,
    head: f.Head = None,
    freeze: f.Freeze = None,
    allow_rate: f.AllowRate = False,
    find_rate: f.FindRate = False,
    golden: f.Golden = None,
    random_baseline: f.RandomBaseline = False,
    target: f.Target = None,
    adaptation: f.Adaptation = None,
    no_audit: f.NoAudit = False,
    search: f.Search = None,
    tracker: f.Tracker = None,
    processes: f.Processes = None,
    resume: f.Resume = False,
    budget: f.Budget = None,
    dataset_format: o.FormatName = None,
    card: o.CardFile = None,
    engine: o.Engine = o.EngineName.auto,
    precision: o.Precision = o.PrecisionName.auto,
    device: o.Device = "cpu",
    batch: o.BatchSize = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: f.Seed = None,
    threads: o.Threads = None,
) -> int:
    """Fine-tune MODEL on DATASET into a sealed model.

    A classifier's backbone takes the head that DATASET asks for: one label an image (a folder of classes, a
    CSV), a label for each pixel (label images), boxes or masks (COCO, YOLO, Pascal VOC, Open Images). A
    detector keeps its own. The plan is said first; the sealed model is verified last.
    """
    from signet.datasets import open_dataset
    from signet.finetuning import RunSettings, starting_point
    from signet.finetuning import finetune as adapt
    from signet.recipes import read_recipe, settings_in
    from signet.reporting.evaluation import base_name

    given = {
        "preset": preset and preset.value,
        "strategy": strategy and strategy.value,
        "head": head and head.value,
        "freeze": freeze or None,
        "allow_rate": allow_rate or None,
        "golden": golden and golden.value,
        "random_baseline": random_baseline or None,
        "target": target and str(target),
        "adaptation": adaptation and adaptation.value,
        "seed": seed,
        "budget_seconds": budget,
        "search_seconds": search,
        "threads": threads,
        "engine": None if engine.value == "auto" else engine.value,
        "precision": None if precision.value == "auto" else precision.value,
        "device": None if device == "cpu" else device,
        "batch": batch,
    }
    count, leads = together.processes_of(processes, tries_rates=find_rate), together.leads()
    if leads and not (overwrite or resume):
        _refuse_existing(out, find_rate=find_rate)
    chosen = read_recipe(recipe, {**settings_in(settings or ()), **_decided(given)})
    with Terminal(as_json=as_json and leads, quiet=quiet or not leads) as terminal:
        data = open_dataset(dataset, dataset_format)
        terminal.say(f"{data.source}: {data.format}, {len(data)} images, {len(data.labels)} labels")
        if not leads:
            found = starting_point(model, chosen, offline=offline, card=card)
            return together.compute_along(found, data, chosen, offline=offline, processes=count)
        title = f"{base_name(str(model))} learns {base_name(data.source)}"
        facts = {"model": base_name(str(model)), "dataset": base_name(data.source), **chosen.to_dict()}
        live = Live(terminal, out, title=title, tracker=tracker, settings=facts, resume=resume)
        found = starting_point(model, chosen, offline=offline, card=card, on_progress=terminal.on_progress)
        if find_rate:
            return tell_rates(terminal, found, data, chosen, out, offline=offline)
        ways = RunSettings(
            resume=resume,
            offline=offline,
            on_progress=live.on_progress,
            on_plan=lambda plan: _say_plan(terminal, plan),
            audit=not no_audit,
            processes=count,
        )
        report = None
        try:
            with together.company(count, context.obj or ()):
                done = adapt(found, data, out=out, recipe=chosen, overwrite=overwrite, run=ways)
            report = _report(done, out)
        except KeyboardInterrupt as error:
            words = getattr(error, "__notes__", ["Nothing was trained yet; features are kept."])
            raise Interrupted(" ".join(["interrupted.", *words])) from error
        finally:
            live.close(report)
        if as_json:
            terminal.object({**done.to_dict(), "report": str(report), "curves": live.curves})
        else:
            _tell(terminal, done)
            terminal.say(f"report:      {report}")
            if live.curves:
                terminal.say(f"curves:      {live.curves}")
        return 0


def _refuse_existing(out: Path, *, find_rate: bool) -> None:
    """Nothing that is there is written over; asked before anything long begins."""
    places = (out, *(beside(out, ending) for ending in ("report.html", CURVES, *TRACKERS)))
    for place in (rates_place(out),) if find_rate else places:
        if place.exists():
            raise AlreadyExists(shown(place))


def _decided(given: dict[str, Any]) -> dict[str, Any]:
    """Without the options that were left out."""
    return {key: value for key, value in given.items() if value is not None}


def _report(done: Any, out: Path) -> Path:
    """The page of the run; that it may be written was asked before the run."""
    from signet import storage
    from signet.reporting import finetuning_page, render

    path = beside(out, "report.html")
    storage.write_bytes(path, render(finetuning_page(done.story())).encode(), overwrite=True)
    return path


def _say_plan(terminal: Terminal, plan: Any) -> None:
    terminal.say("plan")
    for line in plan.words():
        terminal.say(f"  {line}")


def _tell(terminal: Terminal, done: Any) -> None:
    rows = [
        (name, f"{figure.value:.4f}", f"{figure.low:.4f} to {figure.high:.4f}")
        for name, figure in done.metrics.items()
    ]
    terminal.table(("sealed model", "value", "95 % interval"), rows, right=(1, 2))
    for line in done.words():
        terminal.say(line)
    terminal.result(f"sealed: {done.seal.path}")
    terminal.say(f"verify it:   signet verify {done.seal.path}")
    terminal.say(f"predict:     signet predict {done.seal.path} IMAGES")
