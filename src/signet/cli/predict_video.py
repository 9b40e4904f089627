"""`signet predict` on videos, cameras and streams: a line for each frame, counts, an annotated video."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signet.cli import opening, pictures
from signet.cli.film import Film
from signet.cli.terminal import Terminal
from signet.errors import BadInput, BadRequest, Interrupted, WrongTask
from signet.naming import file_stem, shown
from signet.progress import Progress

if TYPE_CHECKING:
    from signet.predicting import PredictSettings

_EVERY = 4  # frames from one look of the progress bar to the next
Write = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRequest:
    """What the command line asks for; the names are those of its options."""

    model: str
    videos: tuple[str, ...]
    listed: bool
    options: opening.RunOptions
    out: Path | None
    settings: PredictSettings
    draw: Path | None
    cutout: Path | None
    track: bool
    resume: bool
    strict: bool
    overwrite: bool
    as_json: bool
    quiet: bool


def _check(asked: VideoRequest) -> None:
    """Refuse what a video cannot do, before anything slow is done.

    Raises:
        BadRequest: an option that only pictures have.
        AlreadyExists: an output is there.
    """
    from signet import line_files

    if asked.resume:
        raise BadRequest("--resume goes on with pictures; the lines of a video start anew with --overwrite.")
    if asked.listed:
        raise BadRequest("--list names pictures; give videos as arguments, without a list.")
    if asked.as_json and asked.out is None:
        raise BadRequest(
            "--json with a video needs --out FILE: one object cannot hold a line for each frame."
        )
    if asked.out is not None:
        line_files.check_out(asked.out, resume=False, overwrite=asked.overwrite)
    pictures.check_folders(asked.draw, asked.cutout, replace=asked.overwrite)


def run(asked: VideoRequest) -> int:
    """Predict on every frame of the videos; the exit code.

    Raises:
        Interrupted: a person stopped it; what is written is whole.
    """
    from signet import line_files
    from signet.cli.predict_images import resolved
    from signet.video import is_live

    _check(asked)
    films: list[Film] = []
    with Terminal(as_json=asked.as_json, quiet=asked.quiet) as terminal, contextlib.ExitStack() as stack:
        live = any(is_live(source) for source in asked.videos)
        loaded = opening.open_model(asked.model, asked.options, terminal, many=not live)
        settings = resolved(asked.settings, loaded)
        stack.enter_context(loaded)
        _refuse(loaded, asked)
        write, lines = _to_pipe(terminal), None
        if asked.out is not None:
            options = {"top": settings.top, "min_score": settings.min_score, "track": asked.track}
            record = line_files.run_record(loaded, options)
            lines = line_files.LinesFile(asked.out, record, resume=False, overwrite=asked.overwrite)
            write = stack.enter_context(lines).write
        started = terminal.seconds
        try:
            for position, source in enumerate(asked.videos):
                films.append(_film(source, asked))
                _one(
                    loaded,
                    dataclasses.replace(asked, settings=settings),
                    (position, films[-1]),
                    write,
                    terminal,
                )
        except KeyboardInterrupt as error:
            _say(films, settings, terminal)
            raise Interrupted(_stopped(films, asked)) from error
        if lines is not None:
            lines.finish()
        seconds = terminal.seconds - started
        _say(films, settings, terminal)
        made = _object(loaded, asked, films, seconds)
        if asked.as_json:
            terminal.object(made)
        place = "" if asked.out is None else f" in {asked.out}"
        terminal.say(f"{made['inputs']:,} lines{place} ({made['frames_per_second']:,.1f} frames/s)")
        failed = made["failed"]
        return 1 if failed == made["inputs"] or (asked.strict and failed) else 0


def _film(source: str, asked: VideoRequest) -> Film:
    from signet.counting import Totals

    return Film(source, Totals(), followed={} if asked.track else None)


def _one(model: Any, asked: VideoRequest, place: tuple[int, Film], write: Write, terminal: Terminal) -> None:
    """One video; that it cannot be read, or not to its end, is a line with an error."""
    film = place[1]
    try:
        _watch(model, asked, place, write, terminal)
    except BadInput as error:
        film.lines += 1
        film.failed += 1
        write({"source": film.source, "error": {"type": type(error).__name__, "message": str(error)}})
        terminal.say(str(error))


def _watch(
    model: Any, asked: VideoRequest, place: tuple[int, Film], write: Write, terminal: Terminal
) -> None:
    from signet.drawing import draw
    from signet.video import Video, is_live, new_video, newest
    from signet.watching import WatchSettings, watch

    position, film = place
    prefix = f"{position:06d}_{file_stem(film.source)}"
    score = asked.settings.min_score or 0.0
    # In a video every frame has the same size, so strips do not grow and shrink with what they say.
    style = dataclasses.replace(pictures.style_for(score), least_score=0.0, legend_rows=2)
    with contextlib.ExitStack() as stack:
        video = stack.enter_context(Video(film.source))
        frames = stack.enter_context(contextlib.closing(newest(video))) if is_live(film.source) else video
        writer = None
        if asked.draw is not None:
            film.drawn = asked.draw / f"{prefix}.mp4"
            writer = stack.enter_context(new_video(film.drawn, video.facts.rate, overwrite=asked.overwrite))
        settings = WatchSettings(count_score=score, track=_tracking(asked))
        watching = stack.enter_context(contextlib.closing(watch(model, frames, settings)))
        for watched in watching:
            write(_row(watched, asked))
            film.add(watched)
            answer, image = watched.answered.answer, watched.frame.image
            if answer is not None and image is not None and writer is not None:
                writer.write(draw(image, _numbered(answer, watched.numbers), style), watched.frame.seconds)
                film.codec = writer.codec
            if answer is not None and asked.cutout is not None:
                frame = f"{prefix}_{watched.frame.number:06d}"
                pictures.cut_out(asked.cutout, frame, image, answer, score)
            if film.lines % _EVERY == 0:
                stage = f"frames of {shown(Path(film.source).name)}"
                terminal.on_progress(Progress(stage, film.lines, video.facts.frames, "frames"))
        film.end(video.facts)


def _row(watched: Any, asked: VideoRequest) -> dict[str, Any]:
    """One line: what a picture's has, with its time, counts, and the numbers of followed objects."""
    import numpy as np

    from signet.boxes import Boxes
    from signet.instances import Instances
    from signet.predicting import row

    answered, numbers = watched.answered, watched.numbers
    answer, settings = answered.answer, asked.settings
    if isinstance(answer, Boxes | Instances):
        boxes = answer.boxes if isinstance(answer, Instances) else answer
        kept = np.flatnonzero(boxes.chosen(min_score=settings.min_score or 0.0))[: settings.top]
        answered = dataclasses.replace(answered, answer=answer[kept])
        numbers = None if numbers is None else numbers[kept]
    plain = row(answered, settings)
    line = {"source": plain.pop("source"), "time": watched.frame.seconds, **plain}
    if numbers is not None:
        for entry, number in zip(line["boxes"], numbers.tolist(), strict=True):
            entry["track"] = number if number > 0 else None
    if watched.counts is not None:
        line["counts"] = watched.counts
    return line


def _numbered(answer: Any, numbers: Any) -> Any:
    """The answer with the numbers of followed objects before their labels."""
    from signet.instances import Instances

    if numbers is None:
        return answer
    boxes = answer.boxes if isinstance(answer, Instances) else answer
    labels = tuple(
        f"#{number} {label}" if number > 0 else label
        for number, label in zip(numbers.tolist(), boxes.labels, strict=True)
    )
    named = dataclasses.replace(boxes, labels=labels)
    return dataclasses.replace(answer, boxes=named) if isinstance(answer, Instances) else named


def _refuse(model: Any, asked: VideoRequest) -> None:
    from signet.cli.predict_images import refuse_vectors

    refuse_vectors(model)
    pictures.refuse_cutouts(model, asked.cutout)
    if asked.track and model.card.task not in ("detect", "instances"):
        raise WrongTask(
            f"--track follows objects, and {model.card.name} gives none (task {model.card.task!r}). See "
            "`signet find --task detect` for models that do."
        )


def _tracking(asked: VideoRequest) -> Any:
    from signet.tracking import TrackSettings

    return TrackSettings() if asked.track else None


def _to_pipe(terminal: Terminal) -> Write:
    """Lines for a program; a person sees the totals alone."""
    import sys

    from signet.line_files import json_line

    def write(plain: dict[str, Any]) -> None:
        if not terminal.interactive:
            terminal.line(json_line(plain, sys.stdout.encoding or "utf-8"))

    return write


def _say(films: list[Film], settings: PredictSettings, terminal: Terminal) -> None:
    for film in films:
        for line in film.report(settings.min_score):
            terminal.say(line)


def _stopped(films: list[Film], asked: VideoRequest) -> str:
    count = sum(film.lines for film in films)
    where = "" if asked.out is None else f": {shown(asked.out)} holds a whole line for each"
    drawn = [film.drawn for film in films if film.codec]
    video = f"; {shown(drawn[-1])} plays up to there" if drawn else ""
    return f"interrupted after {count:,} frames{where}{video}"


def _object(model: Any, asked: VideoRequest, films: list[Film], seconds: float) -> dict[str, Any]:
    count, failed = sum(film.lines for film in films), sum(film.failed for film in films)
    return {
        "model": model.card.name,
        "engine": model.engine.name,
        "precision": model.engine.precision,
        "inputs": count,
        "failed": failed,
        "seconds": round(seconds, 3),
        "frames_per_second": round((count - failed) / seconds, 2) if seconds else 0.0,
        "out": str(asked.out),
        "videos": [film.to_dict() for film in films],
    }
