"""The golden images of a verdict, at its first stage that differs, as they were sealed and as now."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from signet.arrays import Array
from signet.asking import Program, Said
from signet.cards import Card
from signet.engines.contract import EngineSettings
from signet.errors import BadInput, SignetError
from signet.evidence import decoded, network_stages, program_stages
from signet.evidence_objects import sees
from signet.exhibits import Exhibit
from signet.models import Model, default_cache
from signet.naming import shown
from signet.predictions import Classes, Prediction
from signet.records import Verdict
from signet.replaying_lines import answer_of
from signet.resolving import module_source
from signet.running import start
from signet.seals import Expected, Seal, open_seal
from signet.verification_files import of_file, readdressed
from signet.verification_images import Judged
from signet.zoos import from_seal

MOST_LABELS = 5
Told = Callable[[Path], tuple[Mapping[str, Array], tuple[tuple[str, float], ...]]]
"""From a golden image to what each stage gives, and labels with scores."""


def exhibits_of(seal: Seal | str | Path, verdict: Verdict, judged: Judged) -> tuple[Exhibit, ...]:
    """Replay the golden images once more, and keep what the first stage that differs gives.

    Args:
        seal: the seal of the verdict.
        verdict: whose files are whole.
        judged: what was verified.

    Returns:
        One for each golden image.

    Raises:
        SealError: the seal is not whole.
        SignetError: an engine cannot be opened.
    """
    opened = seal if isinstance(seal, Seal) else open_seal(Path(seal))
    expected = Expected.from_file(opened.expected)
    stage = verdict.first_divergence or "answer"
    if judged.program is not None:
        return _shown(opened, expected, stage, _by_program(judged.program, opened.card))
    sealed = from_seal.of(opened, module_source)
    pretrained = sealed if judged.file is None else of_file(judged.file, sealed)
    settings = judged.settings or EngineSettings(cache=default_cache())
    one = dataclasses.replace(settings, batch=1, workers=1)
    running = start(pretrained, judged.engine, judged.precision, one)
    if judged.file is not None:
        pretrained = dataclasses.replace(
            pretrained, card=readdressed(pretrained.card, running.engine.outputs)
        )
    with Model[Prediction](pretrained, running) as model:
        return _shown(opened, expected, stage, _by_model(model))


def _shown(opened: Seal, expected: Expected, stage: str, tell: Told) -> tuple[Exhibit, ...]:
    rows = []
    for number, image in enumerate(opened.golden):
        sealed = expected.of(number)
        stages, now = tell(image)
        before = sealed.get(stage)
        after = stages.get(stage)
        if before is not None and after is not None and after.shape == (1, *before.shape):
            after = after[0]
        answer = sealed.get("answer")
        known = opened.card.task == "classify" and answer is not None
        rows.append(Exhibit(image, before, after, _top(answer, opened.card) if known else (), now))
    return tuple(rows)


def _by_model(model: Model[Prediction]) -> Told:
    def tell(image: Path) -> tuple[Mapping[str, Array], tuple[tuple[str, float], ...]]:
        card, stages = model.card, {}
        try:
            # A program that somebody changed may overflow; that is a finding, and no warning.
            with np.errstate(all="ignore"):
                for name, array in program_stages(image, card.program):
                    stages[name] = array
                if not sees(card):
                    stages |= network_stages(model, decoded(image, card.program))
        except SignetError:
            # What cannot be done has no picture; the verdict says why.
            return stages, ()
        return stages, _top(stages["answer"], card) if card.task == "classify" else ()

    return tell


def _by_program(program: Program, card: Card) -> Told:
    def tell(image: Path) -> tuple[Mapping[str, Array], tuple[tuple[str, float], ...]]:
        try:
            said: Said = program.ask(image)
        except BadInput:
            return {}, ()
        if card.task != "classify":
            return said.stages, ()
        try:
            answer = answer_of(said.line, card, (1, 1))
        except BadInput:
            return said.stages, ()
        if not isinstance(answer, Classes):
            return said.stages, ()
        # The program's own names: a list that is shifted by one shows by them.
        names = [row.get("label") for row in said.line["top"]]
        known = zip(names, answer.labels, answer.scores, strict=True)
        told = [(shown(str(name)) if name else label, float(score)) for name, label, score in known]
        return said.stages, tuple(sorted(told, key=lambda row: -row[1])[:MOST_LABELS])

    return tell


def _top(answer: Array | None, card: Card) -> tuple[tuple[str, float], ...]:
    """Labels with scores, best first."""
    if answer is None:
        return ()
    scores, labels = answer.reshape(-1), card.labels or ()
    best = np.argsort(-scores, kind="stable")[:MOST_LABELS]
    return tuple(
        (shown(labels[index]) if index < len(labels) else f"class {index}", float(scores[index]))
        for index in best.tolist()
    )
