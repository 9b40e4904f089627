"""An exported file on its own runtime, over the evidence of the seal that it was made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from signet.answers import chosen, features
from signet.batches import Batch, Outputs
from signet.cards import Card
from signet.engines.by_ending import batch_of, open_file
from signet.engines.contract import EngineSettings
from signet.errors import BadCard, BadInput, EngineError, WrongTask
from signet.evidence import decoded
from signet.evidence_objects import rows_of, sees
from signet.exporting.contracts import inside_of
from signet.exporting.formats import Format
from signet.exporting.materials import Materials
from signet.models import Model
from signet.networks import Pretrained
from signet.predictions import Prediction
from signet.progress import OnProgress, silent
from signet.records import StageCheck, Verdict
from signet.replaying import Allowance, Findings, compare_answer
from signet.replaying_objects import compare_seen
from signet.running import Running
from signet.seals import Expected
from signet.verification import INTEGRITY, compare_answers, compare_programs, verdict_on

TOGETHER = 3
"""Images of one batch: a file whose batch was fixed, or that computes across a batch, shows by it."""
_REFUSALS = (EngineError, BadInput, BadCard, WrongTask)


def proven(materials: Materials, path: Path, card: Card, runtime: str, tell: OnProgress) -> Verdict:
    """Replay the golden images through an exported file.

    Stages that are left outside the file are replayed as its card states them; those inside are judged by
    what the network answers. Each image goes through alone, as it was sealed, and then several together
    where the file takes any number.

    Args:
        materials: the seal.
        path: the file.
        card: as it lies beside it.
        runtime: what runs it, for the words of a verdict on a file that cannot be opened.
        tell: told of each image.

    Returns:
        What `verify` gives of an engine, of this file.
    """
    seal, expected = materials.seal, _outside(materials.expected, card)
    findings = Findings({INTEGRITY: StageCheck(INTEGRITY, True, 0.0, 0.0)})
    ran, agree = (runtime, "fp32"), 0
    # A program that overflows is a finding, and no warning.
    with np.errstate(all="ignore"):
        compare_programs(seal, expected, card.program, findings, tell)
        try:
            with _opened(path, card, 1) as model:
                agree = compare_answers(seal, expected, model, findings, tell)
                ran = (model.engine.name, model.engine.precision)
            if batch_of(card) is None and card.input_size is not None:
                with _opened(path, card, TOGETHER) as model:
                    _compare_together(materials, expected, model, findings)
        except EngineError as error:
            findings.add("network", None, 0.0, str(error))
    return verdict_on(seal, findings, path.name, agree, ran)


def unproven(materials: Materials, name: str, card: Card, wanted: Format) -> Verdict:
    """The verdict on a file that was converted, and that nothing here runs: what is left outside is compared.

    It is never "ok", and has no first divergence: nothing is known of the network.
    """
    findings = Findings({INTEGRITY: StageCheck(INTEGRITY, True, 0.0, 0.0)})
    compare_programs(materials.seal, _outside(materials.expected, card), card.program, findings, silent)
    known = verdict_on(materials.seal, findings, name, 0, (wanted.name, "fp32"))
    message = (
        f"{name}: converted and not run: {wanted.unrun}. Its preprocessing is as it was sealed; of "
        "its answers nothing is known until it has run over the golden images where it is used."
    )
    return known if known.first_divergence else dataclasses.replace(known, ok=False, message=message)


def _outside(expected: Expected, card: Card) -> Expected:
    """The evidence without the stages that a file does itself, where nobody sees them."""
    inside = inside_of(card)
    stages = tuple(stage for stage in expected.stages if stage.partition(".")[0] not in inside)
    return dataclasses.replace(expected, stages=stages)


def _opened(path: Path, card: Card, batch: int) -> Model[Prediction]:
    settings = EngineSettings(batch=batch)
    pretrained = Pretrained(card, (), "", "file")
    return Model(pretrained, Running(open_file(path, card, settings), settings, "the file's own runtime"))


def _compare_together(
    materials: Materials, expected: Expected, model: Model[Prediction], findings: Findings
) -> None:
    """Hold the rows of one batch to the evidence of its images, each of which was made alone."""
    card = model.card
    images = [decoded(image, card.program) for image in materials.seal.golden[:TOGETHER]]
    allowed = Allowance.of(expected, card.program, "fp32", "cpu")
    together = Findings()
    try:
        batch = model.prepare(images)
        outputs = model.run(batch)
        for place in range(len(images)):
            _compare_row(together, expected, model, (outputs, batch), place, allowed)
    except _REFUSALS as error:
        together.add("network", None, 0.0, str(error))
    for check in together.checks.values():
        if not check.ok:
            note = f"of {len(images)} images together: {check.note or 'another answer than alone'}"
            findings.add(check.name, check.max_error, check.tolerance, note)


def _compare_row(
    findings: Findings,
    expected: Expected,
    model: Model[Prediction],
    answered: tuple[Outputs, Batch],
    place: int,
    allowed: Allowance,
) -> None:
    outputs, batch = answered
    card, sealed = model.card, expected.of(place)
    if sees(card):
        compare_seen(findings, sealed, rows_of(outputs, card, batch)[place], card, allowed)
        return
    raw = chosen(outputs, card.output.tensor)
    if raw.ndim < 1 or len(raw) != len(batch):
        raise BadInput(f"expected one row for each of {len(batch)} images, got an array of shape {raw.shape}")
    row = raw[place]
    network = {"network": row if row.dtype in (np.uint8, np.int8) else row.astype(np.float32)}
    if card.output.features is not None and card.output.head != "embedding":
        network["features"] = features(outputs, card.output)[place]
    compare_answer(findings, sealed, network, card, allowed)
