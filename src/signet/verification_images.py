"""Decisions over somebody's own images: how many flip, against the model that the evidence was made with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.agreement import COARSE, DOOR_SCORE, FINE, Bounds, alike, equal_pixels, matched
from signet.asking import Program
from signet.boxes import Boxes
from signet.cards import Card
from signet.datasets import Dataset, open_dataset
from signet.engines.contract import EngineSettings
from signet.errors import BadDataset, BadInput, BadRequest, SignetError, WrongTask
from signet.evaluation.labels import match_labels
from signet.evidence import reference_model
from signet.flips import Cost, Flip, Flips
from signet.geometry import Size
from signet.instances import Instances
from signet.models import Model
from signet.networks import GraphFile, Pretrained
from signet.predictions import Classes, Prediction
from signet.progress import OnProgress, Progress, silent
from signet.replaying import tie_of
from signet.replaying_lines import answer_of
from signet.resolving import module_source
from signet.running import EngineChoice, PrecisionChoice, start
from signet.seals import Seal, open_seal
from signet.segments import SegmentMap
from signet.sources import list_images
from signet.statistics import mcnemar, paired_difference, wilson
from signet.streaming import Answered, predictions, settings_for
from signet.verification_files import of_file, readdressed
from signet.zoos import from_seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is held to the reference: an engine, an exported file, or another program.

    Attributes:
        engine: that runs the sealed model or the file.
        precision: of it.
        file: in the place of the sealed network.
        program: in the place of an engine.
        settings: threads, batch, device, cache.
    """

    engine: EngineChoice = "auto"
    precision: PrecisionChoice = "auto"
    file: Path | None = None
    program: Program | None = None
    settings: EngineSettings | None = None


@dataclass(frozen=True, slots=True)
class _Images:
    """Paths, and of each the model's indices that are right; empty where nobody says."""

    paths: tuple[Path, ...]
    right: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...] = ()


def flips_over(
    seal: Seal | str | Path,
    images: str | Path | Dataset[Any],
    judged: Judged,
    *,
    on_progress: OnProgress = silent,
) -> Flips:
    """Ask the reference and what is judged about the same images.

    The reference is the sealed graph on the engine that the evidence was made with, in fp32.

    Args:
        seal: a sealed folder or zip; `verify` says whether it is whole.
        images: a dataset, or a folder of images. Truth counts for one label an image, by the labels' names.
        judged: what is held to the reference.
        on_progress: told of each image.

    Raises:
        BadRequest: the model gives vectors, which decide nothing.
        BadDataset: there are no images, or none that both answer.
        SealError: the seal is not whole.
        EngineError: an engine refuses the network.
    """
    opened = seal if isinstance(seal, Seal) else open_seal(Path(seal))
    sealed = from_seal.of(opened, module_source)
    if sealed.card.task == "embed":
        raise BadRequest(f"{sealed.card.name} gives vectors: there are no decisions to compare over images.")
    asked = _images(images, sealed)
    settings = judged.settings or settings_for(many=True)
    reference, before = _reference(sealed, asked.paths, settings, on_progress)
    who, now = _answers(sealed, judged, asked.paths, before, on_progress)
    fine = judged.program is None and "fp32" in who
    return _compared(sealed.card, asked, (reference, before), (who, now), FINE if fine else COARSE)


def _images(images: str | Path | Dataset[Any], sealed: Pretrained) -> _Images:
    if isinstance(images, Dataset):
        return _with_truth(images, sealed)
    try:
        return _with_truth(open_dataset(images), sealed)
    except BadDataset:
        # Pictures without a truth, as they lie in a folder.
        paths = tuple(list_images([images]))
        return _Images(paths, ((),) * len(paths), ("nothing says what is right on these images",))


def _with_truth(images: Dataset[Any], sealed: Pretrained) -> _Images:
    paths: tuple[Path, ...] = tuple(images.paths)
    nobody: tuple[tuple[int, ...], ...] = ((),) * len(images)
    if images.task != "classify" or sealed.card.task != "classify":
        return _Images(paths, nobody, ("what it costs in accuracy: `signet compare` with this dataset",))
    try:
        found = match_labels(sealed, images)
    except (WrongTask, BadDataset) as error:
        return _Images(paths, nobody, (f"its labels are not the model's: {error}",))
    return _Images(paths, tuple(found.targets(entry.classes) for entry in images.entries), found.notes)


def _reference(
    sealed: Pretrained, paths: Sequence[Path], settings: EngineSettings, tell: OnProgress
) -> tuple[str, list[Answered[Prediction]]]:
    graph = next(network for network in sealed.networks if isinstance(network, GraphFile))
    with reference_model(sealed.card, graph, dataclasses.replace(settings, device="cpu")) as model:
        name = f"{model.engine.name} in {model.engine.precision}"
        return name, list(_told(predictions(model, paths, min_score=_least()), paths, "the reference", tell))


def _answers(
    sealed: Pretrained,
    judged: Judged,
    paths: Sequence[Path],
    before: Sequence[Answered[Prediction]],
    tell: OnProgress,
) -> tuple[str, list[Answered[Prediction]]]:
    program = judged.program
    if program is not None:
        sizes = [one.size for one in before]
        asked = (_asked(program, path, sealed.card, size) for path, size in zip(paths, sizes, strict=True))
        return program.name, list(_told(asked, paths, program.name, tell))
    pretrained = sealed if judged.file is None else of_file(judged.file, sealed)
    running = start(pretrained, judged.engine, judged.precision, judged.settings or settings_for(many=True))
    if judged.file is not None:
        card = readdressed(pretrained.card, running.engine.outputs)
        pretrained = dataclasses.replace(pretrained, card=card)
    with Model[Prediction](pretrained, running) as model:
        name = f"{model.engine.name} in {model.engine.precision}"
        named = name if judged.file is None else f"{judged.file.name} on {name}"
        return named, list(_told(predictions(model, paths, min_score=_least()), paths, name, tell))


def _least() -> float:
    """The least score of a box that is asked for: those near the door may be on either side of it."""
    return DOOR_SCORE - COARSE.score


def _asked(program: Program, path: Path, card: Card, size: Size | None) -> Answered[Prediction]:
    if size is None:
        return Answered(str(path), None, BadInput(f"{path}: the reference has no answer about it."))
    try:
        return Answered(str(path), answer_of(program.ask(path).line, card, size), None, size)
    except BadInput as error:
        return Answered(str(path), None, error)


def _told(
    answers: Iterator[Answered[Prediction]], paths: Sequence[Path], who: str, tell: OnProgress
) -> Iterator[Answered[Prediction]]:
    for number, one in enumerate(answers):
        tell(Progress(f"asking {who}", number, len(paths)))
        yield one


def _compared(
    card: Card,
    asked: _Images,
    reference: tuple[str, list[Answered[Prediction]]],
    judged: tuple[str, list[Answered[Prediction]]],
    bounds: Bounds,
) -> Flips:
    flips: list[Flip] = []
    rights: list[tuple[bool, bool]] = []
    reasons: list[SignetError] = []
    for one, two, right in zip(reference[1], judged[1], asked.right, strict=True):
        if one.answer is None or two.answer is None:
            reasons.append(one.error or two.error or BadInput(f"{one.source}: no answer"))
            continue
        if right:
            rights.append((_best(one.answer) in right, _best(two.answer) in right))
        if not (alike(one.answer, two.answer, bounds) or _tied(one.answer, two.answer)):
            truth = card.labels[right[0]] if right and card.labels else ""
            flips.append(_flip(one.source, one.answer, two.answer, truth, bounds))
    count = len(asked.paths) - len(reasons)
    if not count:
        raise BadDataset(
            f"no image that both answer among {len(asked.paths)}"
            f"{f'; the first: {reasons[0]}' if reasons else ''}. Expected a folder of images, or a dataset."
        )
    share = wilson(len(flips), count)
    thousand = dataclasses.replace(
        share, value=1000 * share.value, low=1000 * share.low, high=1000 * share.high
    )
    notes = (*asked.notes, *(f"without an answer, the first: {reason}" for reason in reasons[:1]))
    ordered = sorted(flips, key=lambda flip: -(flip.before_score or 0.0))
    cost = _cost(rights) if rights else None
    return Flips(reference[0], judged[0], count, len(reasons), thousand, tuple(ordered), cost, notes)


def _cost(rights: Sequence[tuple[bool, bool]]) -> Cost:
    before, now = (np.array(side, np.bool_) for side in zip(*rights, strict=True))
    return Cost(
        images=len(rights),
        reference=wilson(int(before.sum()), len(rights)),
        now=wilson(int(now.sum()), len(rights)),
        difference=paired_difference(now, before),
        lost=int((before & ~now).sum()),
        won=int((now & ~before).sum()),
        p=mcnemar(now, before),
    )


def _best(answer: Prediction) -> int:
    return int(answer.top(1).indices[0]) if isinstance(answer, Classes) else -1


def _tied(one: Prediction, two: Prediction) -> bool:
    """Whether the reference has the other's first label as high as its own: then either is its decision."""
    if not (isinstance(one, Classes) and isinstance(two, Classes)):
        return False
    scores = {int(index): float(score) for index, score in zip(one.indices, one.scores, strict=True)}
    best, now = max(scores.values()), scores.get(_best(two), -np.inf)
    return best - now <= tie_of(np.asarray(one.scores))


def _flip(source: str, one: Prediction, two: Prediction, truth: str, bounds: Bounds) -> Flip:
    (before, score), (now, other) = _words(one), _words(two)
    return Flip(source, before, score, now, other, truth, _apart(one, two, bounds))


def _words(answer: Prediction) -> tuple[str, float | None]:
    match answer:
        case Classes():
            best = answer.top(1)
            return best.labels[0], float(best.scores[0])
        case Boxes() | Instances():
            boxes = answer.boxes if isinstance(answer, Instances) else answer
            count = int((boxes.scores >= DOOR_SCORE).sum())
            return f"{count} {'object' if count == 1 else 'objects'}", None
        case _:
            return "a map", None


def _apart(one: Prediction, two: Prediction, bounds: Bounds) -> str:
    match (one, two):
        case (Boxes(), Boxes()) | (Instances(), Instances()):
            return "; ".join(matched(one, two, bounds, DOOR_SCORE).alone[:3])  # type: ignore[arg-type]
        case (SegmentMap(), SegmentMap()):
            return f"{100 * (1 - equal_pixels(one, two)):.2f} % of the pixels"
        case _:
            return ""
