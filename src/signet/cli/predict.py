"""`signet predict`: answers for images, as JSON lines, a table, or drawn pictures."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from signet.cli import options as o
from signet.cli import pictures, predict_video
from signet.cli.terminal import Terminal
from signet.errors import BadInput, BadRequest, Interrupted
from signet.naming import shown
from signet.progress import Progress


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
    from signet import line_files, predicting

    if resume and out is None:
        raise BadRequest("--resume continues an --out file; give --out too.")
    settings = predicting.PredictSettings(top=top, min_score=min_score)
    run_options = _run_options(engine, precision, device, batch, threads, offline, card)
    if videos := predict_video.among(inputs, track=track):
        asked = predict_video.VideoRequest(
            model=model, videos=videos, listed=list_file is not None, options=run_options, out=out,
            settings=settings, draw=draw, cutout=cutout, track=track, resume=resume, strict=strict,
            overwrite=overwrite, as_json=as_json, quiet=quiet,
        )  # fmt: skip
        return predict_video.run(asked)
    if out is not None:
        line_files.check_out(out, resume=resume, overwrite=overwrite)
        run_options = _as_before(run_options, out) if resume else run_options
    pictures.check_folders(draw, cutout, replace=overwrite or resume)

    def paths() -> Iterator[Path]:
        return o.listed(inputs, list_file)

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        given = paths()
        total = None if _read_once(list_file) else sum(1 for _ in paths())
        first = next(given, None)
        if first is None:
            raise BadInput(f"predict: expected images, found none in {o.named(inputs, list_file)}.")
        loaded = o.open_model(model, run_options, terminal, many=total != 1)
        refuse_vectors(loaded)
        pictures.refuse_cutouts(loaded, cutout)
        settings = resolved(settings, loaded)
        loaded, wanted = predicting.prove_precision(
            loaded, itertools.chain([first], given), terminal.on_progress
        )
        with loaded:
            writer = _Writer(terminal, total, pictures.Beside(draw, cutout, settings.min_score))
            if out is not None:
                options = {"top": settings.top, "min_score": settings.min_score}
                record = line_files.run_record(loaded, options)
                with line_files.LinesFile(out, record, resume=resume, overwrite=overwrite) as lines:
                    writer.start_at(lines.position)
                    left = line_files.without_line(wanted, out, lines.position)
                    _until_interrupted(
                        lambda: predicting.predict(loaded, left, settings, writer.into(lines.write)), lines
                    )
                    counts = lines.finish()
            else:
                counts = predicting.predict(loaded, wanted, settings, writer.into(writer.show))
        writer.finish(loaded, counts, out)
        if counts.failed:
            terminal.say(f"{counts.failed} of {counts.inputs} inputs could not be answered")
        nothing = counts.failed == counts.inputs
        return 1 if nothing or (strict and counts.failed) else 0


def resolved(settings: Any, model: Any) -> Any:
    """The settings as they are for this model's kind of answer."""
    from signet.answers import kind_of

    try:
        return settings.resolved(kind_of(model.card))
    except BadRequest:
        model.close()
        raise


def _read_once(list_file: Path | None) -> bool:
    """Whether the list is a pipe, which cannot be counted first and read after."""
    return list_file is not None and (str(list_file) == "-" or list_file.is_fifo())


def _until_interrupted(work: Callable[[], object], lines: Any) -> None:
    """Do the work; when a person stops it, say what is there and how to go on."""
    try:
        work()
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"interrupted: {shown(lines.path)} holds {lines.position:,} whole lines; the same command with "
            "--resume goes on from there"
        ) from error


class _Writer:
    """Rows on their way to a person, a pipe, a file, and a folder of drawn pictures."""

    def __init__(self, terminal: Terminal, total: int | None, beside: pictures.Beside) -> None:
        self._terminal = terminal
        self._total = total
        self._beside = beside
        self._done = 0
        self._start = 0
        self._invalid = 0
        self._rows: list[dict[str, Any]] = []

    def start_at(self, position: int) -> None:
        """A resumed run begins here."""
        self._done = self._start = position

    def into(self, write: Any) -> Any:
        """The callback for `predicting.predict`."""

        def on_row(plain: dict[str, Any], answered: Any) -> None:
            if answered.answer is not None:
                self._picture(answered)
            boxes = getattr(answered.answer, "boxes", answered.answer)
            self._invalid += getattr(boxes, "invalid", 0)
            write(plain)
            self._done += 1
            if self._done % 8 == 0 or self._done == self._total:
                self._terminal.on_progress(Progress("predicting", self._done, self._total))

        return on_row

    def _picture(self, answered: Any) -> None:
        try:
            self._beside.write(self._done, answered)
        except BadInput as error:
            # It was readable a moment ago; the answer stands, and the others are drawn.
            self._terminal.say(f"not drawn: {error}")

    def show(self, plain: dict[str, Any]) -> None:
        """Without --out: lines to a pipe; rows are kept for the table or the one object."""
        import sys

        from signet.line_files import json_line

        if self._terminal.as_json or self._terminal.interactive:
            self._rows.append(plain)
        else:
            self._terminal.line(json_line(plain, sys.stdout.encoding or "utf-8"))

    def finish(self, model: Any, counts: Any, out: Path | None) -> None:
        """The table or the object, and the rate."""
        seconds = self._terminal.seconds
        rate = (self._done - self._start) / seconds if seconds else 0.0
        if self._terminal.as_json:
            made = {
                "model": model.card.name,
                "engine": model.engine.name,
                "precision": model.engine.precision,
                "inputs": counts.inputs,
                "failed": counts.failed,
                "seconds": round(seconds, 3),
                "images_per_second": round(rate, 2),
            }
            self._terminal.object({**made, "out": str(out)} if out else {**made, "predictions": self._rows})
        elif self._rows:
            rows = [_cells(row) for row in self._rows]
            self._terminal.table(("image", "answer", "score", "next best"), rows, right=(2,), spare=(3,))
        if model.card.labels is None:
            self._terminal.say(
                f"{model.card.name} names no classes, so labels are 'class 0', 'class 1', ...; a card with "
                "`labels` names them"
            )
        if self._invalid:
            self._terminal.say(
                f"left out: {self._invalid:,} boxes of the network with a value that is no number, or a "
                "negative side"
            )
        if out is not None:
            self._terminal.say(f"{counts.inputs} lines in {out} ({rate:,.1f} images/s, start-up included)")


def _cells(plain: dict[str, Any]) -> tuple[str, str, str, str]:
    """Image, answer, score, and the next answers as far as they have a chance."""
    source = str(plain["source"])
    if "error" in plain:
        message = str(plain["error"]["message"]).removeprefix(f"{shown(source)}: ")
        return source, f"error: {message}", "", ""
    if plain["kind"] == "segments":
        return source, _shares(plain["segments"]), "", ""
    found = plain["top"] if plain["kind"] == "classes" else plain["boxes"]
    if not found:
        return source, "(nothing above --min-score)", "", ""
    if plain["kind"] != "classes":
        return source, _counted(found), f"{found[0]['score']:.3f}", ""
    best, *others = found
    then = [f"{entry['label']} {entry['score']:.2f}" for entry in others[:2] if entry["score"] >= 0.01]
    return source, str(best["label"]), f"{best['score']:.3f}", "; ".join(then)


def _counted(found: list[dict[str, Any]]) -> str:
    """How many of each label: "3 person, dog"."""
    from collections import Counter

    counts = Counter(str(entry["label"]) for entry in found).most_common()
    return ", ".join(label if count == 1 else f"{count} {label}" for label, count in counts)


def _shares(segments: list[dict[str, Any]]) -> str:
    """How much of the image each label has, the largest first."""
    if not segments:
        return "(no labelled pixel)"
    height, width = segments[0]["mask"]["size"]
    return ", ".join(f"{entry['label']} {entry['pixels'] / (height * width):.1%}" for entry in segments)


def refuse_vectors(model: Any) -> None:
    """Say that a model without labels of its own cannot answer, and close it.

    Raises:
        WrongTask: it gives vectors.
    """
    from signet.errors import WrongTask

    if model.card.task == "embed":
        name = model.card.name
        model.close()
        raise WrongTask(
            f"{name} gives vectors and has no labels of its own, so it cannot say what is on a picture. "
            f"Teach it your labels with `signet finetune {name} FOLDER --out MY.signet` (a folder for each "
            f"label), take its vectors with `signet embed {name} IMAGES --out X.npy`, or see "
            "`signet find --task classify` for models with labels."
        )


def _as_before(run_options: o.RunOptions, out: Path) -> o.RunOptions:
    """What is left to `auto` is what the interrupted run had taken."""
    import dataclasses

    from signet.line_files import earlier_choice

    earlier = earlier_choice(out)
    if earlier is None:
        return run_options
    return dataclasses.replace(
        run_options,
        engine=earlier[0] if run_options.engine == "auto" else run_options.engine,
        precision=earlier[1] if run_options.precision == "auto" else run_options.precision,
    )


def _run_options(
    engine: Any, precision: Any, device: str, batch: Any, threads: Any, offline: bool, card: Any
) -> o.RunOptions:
    return o.RunOptions(
        engine=engine.value,
        precision=precision.value,
        device=device,
        batch=batch,
        threads=threads,
        offline=offline,
        card=card,
    )
