"""Predicting on images as a command line asks for it: JSON lines, a table, or drawn pictures."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signet.cli import opening, pictures
from signet.cli.terminal import Terminal
from signet.errors import BadInput, BadRequest, Interrupted
from signet.naming import shown
from signet.progress import Progress

if TYPE_CHECKING:
    from signet.predicting import PredictSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a command line asks for; the names and what is left out are those of `predict`'s options."""

    model: str
    inputs: list[str] | None
    list_file: Path | None = None
    options: opening.RunOptions = field(default_factory=opening.RunOptions)
    out: Path | None = None
    top: int | None = None
    min_score: float | None = None
    draw: Path | None = None
    cutout: Path | None = None
    track: bool = False
    resume: bool = False
    strict: bool = False
    overwrite: bool = False
    as_json: bool = False
    quiet: bool = False


def run(asked: Request) -> int:
    """Answer for all inputs; returns the exit code.

    Raises:
        SignetError: nothing was answered, and why.
    """
    from signet import predicting

    if asked.resume and asked.out is None:
        raise BadRequest("--resume continues an --out file; give --out too.")
    settings = predicting.PredictSettings(top=asked.top, min_score=asked.min_score)
    films = films_among(asked.inputs, track=asked.track)
    return _on_films(asked, films, settings) if films else _on_images(asked, settings)


def _on_films(asked: Request, films: tuple[str, ...], settings: PredictSettings) -> int:
    from signet.cli import predict_video

    film_request = predict_video.VideoRequest(
        model=asked.model, videos=films, listed=asked.list_file is not None, options=asked.options,
        out=asked.out, settings=settings, draw=asked.draw, cutout=asked.cutout, track=asked.track,
        resume=asked.resume, strict=asked.strict, overwrite=asked.overwrite, as_json=asked.as_json,
        quiet=asked.quiet,
    )  # fmt: skip
    return predict_video.run(film_request)


def _on_images(asked: Request, settings: PredictSettings) -> int:
    from signet import line_files, predicting

    out, run_options = asked.out, asked.options
    if out is not None:
        line_files.check_out(out, resume=asked.resume, overwrite=asked.overwrite)
        run_options = _as_before(run_options, out) if asked.resume else run_options
    pictures.check_folders(asked.draw, asked.cutout, replace=asked.overwrite or asked.resume)

    def paths() -> Iterator[Path]:
        return opening.listed(asked.inputs, asked.list_file)

    with Terminal(as_json=asked.as_json, quiet=asked.quiet) as terminal:
        given = paths()
        total = None if _read_once(asked.list_file) else sum(1 for _ in paths())
        first = next(given, None)
        if first is None:
            where = opening.named(asked.inputs, asked.list_file)
            raise BadInput(f"predict: expected images, found none in {where}.")
        loaded = opening.open_model(asked.model, run_options, terminal, many=total != 1)
        refuse_vectors(loaded)
        pictures.refuse_cutouts(loaded, asked.cutout)
        settings = resolved(settings, loaded)
        loaded, wanted = predicting.prove_precision(
            loaded, itertools.chain([first], given), terminal.on_progress
        )
        with loaded:
            writer = _Writer(terminal, total, pictures.Beside(asked.draw, asked.cutout, settings.min_score))
            if out is not None:
                options = {"top": settings.top, "min_score": settings.min_score}
                record = line_files.run_record(loaded, options)
                with line_files.LinesFile(
                    out, record, resume=asked.resume, overwrite=asked.overwrite
                ) as lines:
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
        return 1 if nothing or (asked.strict and counts.failed) else 0


def films_among(inputs: list[str] | None, *, track: bool) -> tuple[str, ...]:
    """The inputs, when they are videos; none, when they are pictures.

    Raises:
        BadRequest: they are both; or they are pictures, and objects are to be followed.
    """
    from signet.video.kinds import is_video

    names = tuple(_expanded(inputs or ()))
    videos = tuple(name for name in names if is_video(name))
    if len(videos) not in (0, len(names)):
        other = next(name for name in names if name not in videos)
        raise BadRequest(
            f"predict: expected videos or pictures, got both ({shown(videos[0])} and {shown(other)}). Their "
            "lines differ, so give each kind to a command of its own."
        )
    if track and not videos:
        raise BadRequest("--track follows objects from frame to frame: give it a video, not pictures.")
    return videos


def _expanded(inputs: Iterable[str]) -> Iterator[str]:
    """The inputs; the matches of a pattern, and the videos of a folder without pictures, in their place."""
    from signet.sources import images_in_folder, is_folder, list_images, path_key
    from signet.video.kinds import EXTENSIONS, is_address, is_video

    for name in inputs:
        path = Path(name)
        if is_address(name):
            yield name
        elif is_folder(path) and next(images_in_folder(path), path) == path:
            films = [inner for inner in path.rglob("*") if inner.suffix.lower() in EXTENSIONS]
            yield from map(str, sorted(films, key=path_key)) if films else (name,)
        elif is_video(name):
            yield from map(str, list_images([name]))
        else:
            yield name


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


def _as_before(run_options: opening.RunOptions, out: Path) -> opening.RunOptions:
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
