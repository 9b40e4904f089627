"""How fast a model is here, from file to answer: the whole, each stage, and the ceiling that they set.

The ceiling is what the same processors would reach if they decoded, resized and ran the network one after
the other, each as fast as it goes alone, and nobody waited. The stages alone are measured in rounds with the
whole, so that what else the machine does meets all of them. The resize is the reference one; bf16 does less
of it (`preprocessing.prepare`), so a share above 1 is possible.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from signet.preprocessing import prepare
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
        ceiling: images per second of decoding alone ("read"), of the reference program alone ("resize") and
            of the network alone ("network"), with all processors; of the three one after the other
            ("together"); and the share of that which was reached ("share", 1 is all of it).
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
            "ceiling": {key: round(value, 4 if key == "share" else 2) for key, value in self.ceiling.items()},
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
        rate, ceiling = _rates(many, readable, sample, repeats)
        return Speed(
            images_per_second=rate,
            milliseconds={
                name: float(1000 * np.percentile(latencies, share))
                for name, share in (("p50", 50), ("p95", 95), ("p99", 99))
            },
            stages=stages,
            ceiling=ceiling,
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
    """(all that can be read, some of all parts of them decoded): memory does not grow with their number."""
    readable: list[Path] = []
    sample: list[Image] = []
    room = SAMPLE_BYTES
    every = max(1, round(len(paths) / SAMPLE_IMAGES))
    for path in paths:
        try:
            image = read(path)
        except BadInput:
            continue
        if not sample or (not len(readable) % every and image.pixels.nbytes <= room):
            sample.append(image)
            room -= image.pixels.nbytes
        readable.append(path)
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


def _rates(
    model: Model[Prediction], paths: Sequence[Path], images: Sequence[Image], repeats: int
) -> tuple[float, dict[str, float]]:
    """(images per second from file to answer, the ceiling), the best of rounds through all of them.

    Args:
        model: opened for many images.
        paths: of all images.
        images: some of them, decoded; the stages alone are measured on these.
        repeats: rounds that count.
    """
    program, fuses, size = model.card.program, model.engine.fuses, model.running.settings.batch
    batches = [model.prepare(images[start : start + size]) for start in range(0, len(images), size)]
    with ThreadPoolExecutor(max(1, model.running.settings.workers)) as pool:

        def alone(work: Callable[[Any], object], items: Sequence[Any]) -> Callable[[], object]:
            def dropped(item: Any) -> None:
                work(item)  # its result is not kept: memory does not grow with the number of images

            return lambda: list(pool.map(dropped, items))

        again = max(1, round(SAMPLE_IMAGES / len(images)))
        passes: dict[str, tuple[int, Callable[[], object]]] = {
            "": (len(paths), lambda: _stream(model, paths)),
            "read": (len(paths), alone(model.read, paths)),
            "resize": (
                len(images) * again,
                alone(lambda image: prepare([image], program, fuse=fuses), [*images] * again),
            ),
            "network": (len(images) * again, alone(model.run, batches * again)),
        }
        best = dict.fromkeys(passes, 0.0)
        for turn in range(repeats + 1):
            for name, (count, work) in passes.items():
                rate = count / _seconds(work)
                # The first round warms caches and is not counted.
                best[name] = max(best[name], rate) if turn else 0.0
    rate = best.pop("")
    together = 1 / sum(1 / alone for alone in best.values())
    return rate, {**best, "together": together, "share": rate / together}


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
