"""Before and after on the same images: what was lost, how sure that is, and how long the network takes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from signet.cards import Card
from signet.comparing import Terms, side_by_side
from signet.comparisons import Comparison
from signet.compression.gate import Gate, Ruling
from signet.compression.outcome import Candidate, Made
from signet.compression.settings import CompressSettings
from signet.datasets import Dataset
from signet.errors import BadInput
from signet.images import Image
from signet.models import Model, load
from signet.networks import Pretrained
from signet.progress import inside
from signet.records import Interval
from signet.running import EngineChoice, PrecisionChoice

ROUNDS = 15
CLOCKED_IMAGES = 4
"""Each round runs every network on each of so many images; the order of the networks turns with the round."""


class Judged(NamedTuple):
    """The seal and its candidates on the same images.

    Attributes:
        compared: all figures; the seal comes first.
        before_milliseconds: of the seal's network alone; None where no image could be read for the clock.
        candidates: in their order.
    """

    compared: Comparison
    before_milliseconds: float | None
    candidates: tuple[Candidate, ...]


def as_model(card: Card, made: Made) -> Pretrained:
    """A network with its card, or that of the seal that it was made of, under its own name."""
    name = f"{card.name} ({made.name})"
    named = dataclasses.replace(made.card or card, name=name, claims=())
    return Pretrained(named, (made.graph,), made.graph.digest, "seal")


def judged(
    before: Pretrained, made: Sequence[Made], dataset: Dataset[Any], settings: CompressSettings
) -> Judged:
    """Measure networks and the seal that they were made of on the same images.

    Args:
        before: the seal's model.
        made: one or more candidates.
        dataset: the images that judge.
        settings: gate, engine, precision of the seal, threads.

    Raises:
        BadDataset: no image that all of them answered.
    """
    models = [before, *(as_model(before.card, one) for one in made)]
    clock = _clock(models, dataset.paths, settings)
    compared = side_by_side(
        models,
        dataset,
        Terms(seed=settings.seed),
        open_model=lambda one: _opened(one, before, settings),
        on_progress=inside(settings.on_progress, "judging"),
    )
    metric = compared.main_metric()
    found = []
    for place, one in enumerate(made, 1):
        row = compared.models[place]
        pairs = tuple(pair for pair in compared.pairs if pair.first == row.name)
        ruling = Ruling(
            metric=metric,
            drop=_drop(next(pair.figure for pair in pairs if pair.metric == metric)),
            count=compared.count,
            alike=compared.alike[row.name],
            gate=settings.gate,
        )
        found.append(
            Candidate(
                name=one.name,
                row=row,
                ruling=ruling,
                differences=pairs,
                network_milliseconds=clock.get(place),
                floats=one.floats,
            )
        )
    return Judged(compared, clock.get(0), tuple(found))


def network_milliseconds(models: Sequence[Model[Any]], paths: Sequence[Path], rounds: int) -> list[float]:
    """Milliseconds of one run of each network on one image, by rounds in which the networks take turns.

    What else this machine does in a round meets all of them, and none always comes first.

    Args:
        models: opened.
        paths: images; the first few that can be read are run.
        rounds: how often every network runs on every image; one more, before, warms caches.

    Returns:
        The median of each; nothing where no image can be read.
    """
    images = _readable(models[0], paths) if models else []
    if not images:
        return []
    batches = [[model.prepare([image]) for image in images] for model in models]
    times: list[list[float]] = [[] for _ in models]
    for turn in range(rounds + 1):
        for step in range(len(models)):
            place = (turn + step) % len(models)
            for batch in batches[place]:
                begin = time.perf_counter()
                models[place].run(batch)
                if turn:
                    times[place].append(1000 * (time.perf_counter() - begin))
    return [median(spent) for spent in times]


def _readable(model: Model[Any], paths: Sequence[Path]) -> list[Image]:
    images: list[Image] = []
    for path in paths:
        if len(images) == CLOCKED_IMAGES:
            break
        try:
            images.append(model.read(path))
        except BadInput:
            continue
    return images


def _clock(
    models: Sequence[Pretrained], paths: Sequence[Path], settings: CompressSettings
) -> Mapping[int, float]:
    """Place to milliseconds; one image at a time, as a person who waits has it."""
    with ExitStack() as stack:
        opened = [stack.enter_context(_single(one, models[0], settings)) for one in models]
        return dict(enumerate(network_milliseconds(opened, paths, ROUNDS)))


def _single(one: Pretrained, before: Pretrained, settings: CompressSettings) -> Model[Any]:
    engine, precision = _ways(one, before, settings)
    running = dataclasses.replace(settings.running, batch=1, workers=1)
    return load(one, engine=engine, precision=precision, settings=running)


def _opened(one: Pretrained, before: Pretrained, settings: CompressSettings) -> Model[Any]:
    engine, precision = _ways(one, before, settings)
    running = dataclasses.replace(settings.running, workers=settings.running.thread_count, batch=4)
    return load(one, engine=engine, precision=precision, settings=running)


def _ways(
    one: Pretrained, before: Pretrained, settings: CompressSettings
) -> tuple[EngineChoice, PrecisionChoice]:
    """Both on one engine; the seal's precision is asked for, that of its compression is its own."""
    return settings.engine, settings.precision if one is before else "auto"


def _drop(difference: Interval) -> Interval:
    """Before minus after, where the comparison has after minus before."""
    return Interval(0.0 - difference.value, 0.0 - difference.high, 0.0 - difference.low)


def best_of(candidates: Sequence[Candidate], gate: Gate) -> Candidate:
    """The first that passes; where none does, the one that loses least of what the gate forbids."""
    passing = [one for one in candidates if one.ruling.passed]
    if passing:
        return passing[0]
    return min(
        candidates,
        key=lambda one: (
            max(one.ruling.judged - gate.max_drop, 0.0) + max(gate.min_alike - one.ruling.alike_share, 0.0)
        ),
    )
