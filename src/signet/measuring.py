"""How fast a model is here, from file to answer: the whole, each stage, and the ceiling that they set."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet import machine, storage, streaming
from signet.agreement import DOOR_SCORE
from signet.decoding import read
from signet.errors import BadInput, EngineError
from signet.images import Image
from signet.models import Model
from signet.predictions import Prediction
from signet.running import measurement_place

STAGE_SECONDS = 1.0
SAMPLE_IMAGES = 64
SAMPLE_BYTES = 256 << 20
"""Decoded images that are held at a time, for the stages that begin with one: so many, and so large."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured.

    Attributes:
        images_per_second: from file to answer, all processors at work.
        milliseconds: p50, p95 and p99 of one image at a time, from file to answer.
        stages: milliseconds of one image on one thread: "read" (decode and turn upright), "resize"
            (the whole program), "network", "answer".
        ceiling: images per second that decoding alone, preparing alone and the network alone would
            reach with all processors.
        engine: name.
        precision: name.
        peak_memory_bytes: of this process, so far; None where the platform does not say.
        first_prediction_seconds: from opening the model to its first answer.
        count: images measured from file to answer; the stages are measured on the first few of them.
    """

    images_per_second: float
    milliseconds: dict[str, float]
    stages: dict[str, float]
    ceiling: dict[str, float]
    engine: str
    precision: str
    peak_memory_bytes: int | None
    first_prediction_seconds: float
    count: int

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        return {
            "images_per_second": round(self.images_per_second, 2),
            "milliseconds": {key: round(value, 3) for key, value in self.milliseconds.items()},
            "stages": {key: round(value, 3) for key, value in self.stages.items()},
            "ceiling": {key: round(value, 2) for key, value in self.ceiling.items()},
            "engine": self.engine,
            "precision": self.precision,
            "peak_memory_bytes": self.peak_memory_bytes,
            "first_prediction_seconds": round(self.first_prediction_seconds, 3),
            "count": self.count,
        }


def benchmark(
    open_model: Callable[[bool], Model[Prediction]], paths: Sequence[Path], *, repeats: int = 3
) -> Speed:
    """Measure a model on files.

    Args:
        open_model: opens it, for many images when True and for one at a time when False.
        paths: images; unreadable ones are left out.
        repeats: passes over all of them; the fastest counts, since others share this machine.

    Raises:
        BadInput: no image can be read.
    """
    readable, sample = _readable(paths)
    begin = time.perf_counter()
    with open_model(False) as single:
        single(readable[0])
        first = time.perf_counter() - begin
        latencies = [_seconds(lambda path=path: single(path)) for path in readable]  # type: ignore[misc]
        stages = _stages(single, sample)
    with open_model(True) as many:
        streamed = [_seconds(lambda: _stream(many, readable)) for _ in range(repeats + 1)]
        # The first pass warms caches and is not counted.
        rate = len(readable) / min(streamed[1:])
        threads = many.running.settings.thread_count
        network = _network_rate(many, sample)
        return Speed(
            images_per_second=rate,
            milliseconds={
                name: float(1000 * np.percentile(latencies, share))
                for name, share in (("p50", 50), ("p95", 95), ("p99", 99))
            },
            stages=stages,
            ceiling={
                "read": 1000 * threads / stages["read"],
                "resize": 1000 * threads / stages["resize"],
                "network": network,
            },
            engine=many.engine.name,
            precision=many.engine.precision,
            peak_memory_bytes=machine.peak_memory_bytes(),
            first_prediction_seconds=first,
            count=len(readable),
        )


def prediction_milliseconds(
    model: Model[Any], paths: Sequence[Path], *, least_seconds: float = 0.5
) -> float | None:
    """Milliseconds of one image after another, from file to answer, of a model as it is opened.

    Args:
        model: opened; one for many images runs each of them on one thread.
        paths: images; unreadable ones are left out.
        least_seconds: the images are gone through again until so much time is spent.

    Returns:
        The median; None where no image can be answered.
    """
    times: list[float] = []
    begin = time.perf_counter()
    while not times or time.perf_counter() - begin < least_seconds:
        before = len(times)
        for path in paths:
            try:
                spent = _seconds(lambda path=path: model(path))  # type: ignore[misc]
            except (BadInput, EngineError):
                continue
            times.append(spent)
        if len(times) == before:
            return None
    # The first one warms caches and is not counted.
    return float(1000 * np.median(times[1:] or times))


def _stream(model: Model[Prediction], paths: Sequence[Path]) -> None:
    """All answers, none of them kept."""
    for _ in streaming.predictions(model, paths, min_score=DOOR_SCORE):
        pass


def keep(model: Model[Prediction], speeds: dict[str, float]) -> None:
    """Remember which engine is the fastest here, for `--engine auto`.

    Args:
        model: one of the measured ones.
        speeds: engine to images per second, all measured in one run at one precision.
    """
    cache = model.running.settings.cache
    if cache is not None and speeds:
        fastest = max(speeds, key=lambda name: speeds[name])
        row = {"model": model.card.name, "fastest": fastest, "images_per_second": speeds}
        storage.write_json(measurement_place(model.pretrained.digest, cache), row, overwrite=True)


def _readable(paths: Sequence[Path]) -> tuple[list[Path], list[Image]]:
    """(all that can be read, the first few of them decoded): memory does not grow with their number."""
    readable: list[Path] = []
    sample: list[Image] = []
    room = SAMPLE_BYTES
    for path in paths:
        try:
            image = read(path)
        except BadInput:
            continue
        readable.append(path)
        room -= image.pixels.nbytes
        if not sample or (room >= 0 and len(sample) < SAMPLE_IMAGES):
            sample.append(image)
    if not readable:
        raise BadInput(f"benchmark: expected images, and none of {len(paths)} inputs can be read.")
    return readable, sample


def _stages(model: Model[Prediction], images: Sequence[Image]) -> dict[str, float]:
    """Milliseconds of one image in each stage, on one thread, over about a second each."""
    paths = [Path(image.source) for image in images]
    batches = [model.prepare([image]) for image in images]
    raw = model.run(batches[0])
    return {
        "read": _each(lambda place: read(paths[place]), len(paths)),
        "resize": _each(lambda place: model.prepare([images[place]]), len(images)),
        "network": _each(lambda place: model.run(batches[place]), len(batches)),
        "answer": _each(lambda _: model.answer(raw, batches[0], min_score=DOOR_SCORE), len(batches)),
    }


def _each(work: Callable[[int], object], count: int) -> float:
    """Milliseconds of one call, as the median over a second of calls."""
    work(0)
    times: list[float] = []
    begin = time.perf_counter()
    place = 0
    while time.perf_counter() - begin < STAGE_SECONDS or len(times) < 3:
        times.append(_seconds(lambda place=place: work(place % count)))  # type: ignore[misc]
        place += 1
    return float(1000 * np.median(times))


def _network_rate(model: Model[Prediction], images: Sequence[Image]) -> float:
    """Images per second of the network alone, all workers at work on prepared batches."""
    from concurrent.futures import ThreadPoolExecutor

    size = model.running.settings.batch
    batches = [model.prepare(images[start : start + size]) for start in range(0, len(images), size)]
    batches = batches * max(1, round(64 / len(images)))
    with ThreadPoolExecutor(max(1, model.running.settings.workers)) as pool:
        list(pool.map(model.run, batches[:4]))
        seconds = min(_seconds(lambda: list(pool.map(model.run, batches))) for _ in range(2))
    return sum(len(batch) for batch in batches) / seconds


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
