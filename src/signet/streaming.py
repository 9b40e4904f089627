"""Answers for any number of images, in order, in bounded memory, with all processors at work.

Each worker thread takes a few images all the way: read, decode, resize, network, answer. No stage waits
for another in a queue of its own: decoding, Pillow and the engines let go of the interpreter's lock, so
while one worker decodes, another's network runs. At most a few chunks per worker are under way at once.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from signet.batches import Batch, Outputs
from signet.engines.contract import EngineSettings
from signet.errors import BadInput, EngineError, SignetError
from signet.geometry import Size
from signet.images import Image
from signet.models import Model, Picture, default_cache
from signet.predictions import Prediction

T = TypeVar("T")
AHEAD = 2
"""Chunks that each worker may be ahead of the one that is waited for."""


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """One input and what became of it: an answer, or the reason why there is none.

    Attributes:
        source: the input, as given.
        answer: None when there is an error.
        error: why it could not be answered.
        size: (height, width) of the upright original; None when there is an error.
    """

    source: str
    answer: T | None
    error: SignetError | None = None
    size: Size | None = None


def predictions(
    model: Model[Prediction],
    inputs: Iterable[Picture],
    *,
    chunk: int | None = None,
    min_score: float = 0.0,
) -> Iterator[Answered[Prediction]]:
    """The model's answers, in the order of the inputs.

    Args:
        model: opened for as many workers as are to run.
        inputs: images or paths; taken as they are needed.
        chunk: images that one worker takes at a time; the engine's batch by default.
        min_score: boxes and instances below it are left out; other answers are whole.
    """
    return stream(model, inputs, partial(model.answer, min_score=min_score), chunk=chunk)


def outputs(
    model: Model[Prediction], inputs: Iterable[Picture], take: Callable[[Outputs], Sequence[T]]
) -> Iterator[Answered[T]]:
    """What `take` makes of the raw outputs of each chunk: one value for each image, in order."""
    return stream(model, inputs, lambda raw, _: take(raw))


def stream(
    model: Model[Prediction],
    inputs: Iterable[Picture],
    finish: Callable[[Outputs, Batch], Sequence[T]],
    *,
    chunk: int | None = None,
) -> Iterator[Answered[T]]:
    """As `predictions`, with a function of one's own as the last stage."""
    settings = model.running.settings
    size = chunk or settings.batch
    workers = max(1, settings.workers)
    remaining = iter(inputs)

    def work(pictures: Sequence[Picture]) -> list[Answered[T]]:
        return _answer(model, pictures, finish)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="signet")
    waiting: deque[Future[list[Answered[T]]]] = deque()
    try:
        while True:
            while len(waiting) < workers * (1 + AHEAD):
                pictures = list(itertools.islice(remaining, size))
                if not pictures:
                    break
                waiting.append(pool.submit(work, pictures))
            if not waiting:
                return
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _answer(
    model: Model[Prediction], pictures: Sequence[Picture], finish: Callable[[Outputs, Batch], Sequence[T]]
) -> list[Answered[T]]:
    """One chunk, all the way; an image that fails is an error of its own and harms no other."""
    done: list[Answered[T] | None] = []
    images: list[Image] = []
    for picture in pictures:
        try:
            image = model.read(picture)
        except BadInput as error:
            done.append(Answered(source_of(picture), None, error))
        else:
            done.append(None)
            images.append(image)
    answered = iter(_through(model, images, finish))
    return [next(answered) if entry is None else entry for entry, picture in zip(done, pictures, strict=True)]


def _through(
    model: Model[Prediction], images: Sequence[Image], finish: Callable[[Outputs, Batch], Sequence[T]]
) -> list[Answered[T]]:
    if not images:
        return []
    try:
        batch = model.prepare(images)
        results = finish(model.run(batch), batch)
    except (BadInput, EngineError) as error:
        if len(images) == 1:
            return [Answered(images[0].source, None, error)]
        # One image of the chunk is to blame: alone, each one gets its own answer or its own error.
        return [answered for image in images for answered in _through(model, [image], finish)]
    return [
        Answered(image.source, result, None, image.size)
        for image, result in zip(images, results, strict=True)
    ]


def source_of(picture: Picture) -> str:
    """What an answer calls its input: an image's source, or the path as it was given."""
    return picture.source if isinstance(picture, Image) else os.fspath(Path(picture))


def settings_for(
    *,
    many: bool,
    threads: int | None = None,
    batch: int | None = None,
    device: str = "cpu",
    engine: str = "auto",
) -> EngineSettings:
    """Engine settings for one image as soon as possible, or for many as fast as possible.

    Args:
        many: several images are to come: one worker for each thread, each with a small batch.
        threads: processor threads; all usable ones by default.
        batch: images for each run of the network.
        device: "cpu", "cuda" ...
        engine: torch divides one run among all threads itself, so it gets larger batches.
    """
    settings = EngineSettings(threads=threads, device=device, cache=default_cache())
    if not many:
        return dataclasses.replace(settings, batch=batch or 1)
    default = 32 if device != "cpu" else 8 if engine == "torch" else 4
    return dataclasses.replace(settings, batch=batch or default, workers=settings.thread_count)
