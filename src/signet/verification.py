"""`verify`: does a sealed model, here and now, still give what it gave when it was sealed?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from signet.arrays import Array
from signet.engines.contract import EngineSettings
from signet.errors import BadInput, DigestMismatch, EngineError, Refused, SealError, SignetError, Tampered
from signet.evidence import program_stages
from signet.models import Model, default_cache
from signet.naming import shown
from signet.networks import Pretrained
from signet.predictions import Prediction
from signet.programs import Program
from signet.progress import OnProgress, Progress, silent
from signet.records import LayerCheck, StageCheck, Verdict
from signet.replaying import (
    Allowance,
    Findings,
    Replay,
    compare_images,
    compare_labels,
    compare_program,
)
from signet.replaying_images import replay_image
from signet.resolving import module_source
from signet.running import EngineChoice, PrecisionChoice, Running, start
from signet.seals import Expected, Seal, check_signature, digest_of_manifest, open_seal
from signet.verification_files import done_inside, of_file, readdressed
from signet.verification_layers import Search
from signet.zoos import from_seal

INTEGRITY, SIGNATURE = "integrity", "signature"
BEFORE_ALL = (INTEGRITY, SIGNATURE)
"""The names of the checks that come before all stages; the second only where trust is asked for."""


def verify(  # noqa: PLR0913  (each is a demand of its own, as on the command line)
    seal: Seal | str | Path,
    *,
    engine: EngineChoice = "auto",
    precision: PrecisionChoice = "auto",
    file: str | Path | None = None,
    digest: str | None = None,
    trust: Sequence[str | Path] | None = None,
    settings: EngineSettings | None = None,
    on_progress: OnProgress | None = None,
) -> Verdict:
    """Check a seal's files, then replay its golden images and compare every stage.

    The preprocessing is replayed by the reference executor, the network by the engine that is asked for, on
    what that engine is fed in use: an engine that does the normalisation itself does it here, too.

    Args:
        seal: a sealed folder or zip.
        engine: "auto", "openvino", "onnx", "torch", or a plug-in's name.
        precision: "auto", "fp32", "bf16", "int8"; coarse ones are judged by decisions, and loosely by values.
        file: a graph file that stands for the sealed network: `.onnx`, `.xml`, `.tflite`. With a card beside
            it, its preprocessing, labels and output contract are that card's.
        digest: sha256 hex that `seal.json` must have, known from elsewhere. Digests inside a seal show
            accidents; only this, or a signature, shows a seal that somebody made anew.
        trust: PEM files with a public key or root certificates, of which one must have signed the seal; None
            where anybody may have made it.
        settings: threads, device, cache folder.
        on_progress: told of each golden image.

    Returns:
        The verdict: the first stage that differs, the greatest difference of each, the decisions. "integrity"
        when a file is not what was sealed, "signature" when nobody who is trusted signed it; nothing is
        replayed then.

    Raises:
        BadInput: there is no seal at that path.
        BadRequest: the engine is unknown, not installed, or has no form of this model.
        EngineError: the engine cannot open the network, though the preprocessing is as it was sealed.

    Example:
        >>> verify("birds.signet", engine="openvino").ok                    # doctest: +SKIP
        True
    """
    place = seal.path if isinstance(seal, Seal) else Path(seal)
    name = shown(place)
    try:
        opened, expected, before = checked(place, digest, trust)
        sealed = from_seal.of(opened, module_source)
        pretrained = sealed if file is None else of_file(Path(file), sealed)
    except (SealError, Refused, DigestMismatch) as error:
        return refused(place, error, engine, precision)
    if file is not None:
        name = f"{shown(Path(file).name)} against {name}"
    tell = on_progress or silent
    chosen = settings or EngineSettings(cache=default_cache())
    findings = Findings(before)
    # A program or card that somebody changed may overflow; that is a finding, and no warning.
    with np.errstate(all="ignore"):
        inside = done_inside(pretrained.card, opened.card)
        compare_programs(opened, expected, pretrained.card.program, findings, tell, inside)
        running = _started(pretrained, (engine, precision), chosen, findings)
        if running is None:
            return verdict_on(opened, findings, name, 0, (engine, precision))
        if file is not None:
            card = readdressed(pretrained.card, running.engine.outputs)
            pretrained = dataclasses.replace(pretrained, card=card)
        with Model[Prediction](pretrained, running) as model:
            agree = compare_answers(opened, expected, model, findings, tell)
            verdict = verdict_on(opened, findings, name, agree, (model.engine.name, model.engine.precision))
            if findings.diverged != "network":
                return verdict
            tell(Progress("looking for the first layer that differs", 0, None))
            return with_layer(verdict, *Search(opened, expected, sealed, model).first_layer())


def checked(
    place: Path, digest: str | None, trust: Sequence[str | Path] | None
) -> tuple[Seal, Expected, dict[str, StageCheck]]:
    """A seal whose files are what was sealed and signed, its evidence, and the checks that were made.

    Raises:
        SealError: they are not.
        Refused: nobody who is trusted signed them.
        BadInput: there is no seal.
        BadRequest: trust is asked for, and nobody is named: an empty list trusts nobody.
    """
    opened = open_seal(place)
    _check_digest(opened, digest, shown(place))
    before = {INTEGRITY: StageCheck(INTEGRITY, True, 0.0, 0.0)}
    if trust is not None:
        signer = check_signature(opened.path, trust)
        before[SIGNATURE] = StageCheck(SIGNATURE, True, 0.0, 0.0, f"signed by {signer}")
    return opened, Expected.from_file(opened.expected), before


def compare_programs(
    opened: Seal,
    expected: Expected,
    program: Program,
    findings: Findings,
    tell: OnProgress,
    inside: Sequence[str] = (),
) -> None:
    """Replay a program on the golden images of a seal, by the reference executor.

    Stages `inside` the network are left to it.
    """
    # Preprocessing has no precision, so what is allowed there does not depend on the engine.
    allowed = Allowance.of(expected, program, "fp32", "cpu")
    for number, image in enumerate(opened.golden):
        tell(Progress("replaying the preprocessing", number, len(opened.golden)))
        compare_program(findings, expected, number, _replayed(image, program), allowed, inside)
    compare_images(findings, expected, len(opened.golden))


def compare_answers(
    opened: Seal, expected: Expected, model: Model[Prediction], findings: Findings, tell: OnProgress
) -> int:
    """Replay a network on the golden images of a seal; how many are decided as sealed."""
    device = model.running.settings.device
    allowed = Allowance.of(expected, model.card.program, model.engine.precision, device)
    agree = 0
    for number, image in enumerate(opened.golden):
        tell(Progress("replaying the network", number, len(opened.golden)))
        agree += replay_image(findings, expected.of(number), model, image, allowed)
    compare_labels(findings, expected, model.card)
    return agree


def _check_digest(opened: Seal, digest: str | None, name: str) -> None:
    if digest is not None and digest.strip().lower() != opened.digest:
        raise Tampered(
            f"{name}: expected a seal.json with the sha256 {shown(digest.strip().lower())}, as you stated, "
            f"got {opened.digest}. This is another seal than the one you mean."
        )


def _replayed(image: Path, program: Program) -> Replay:
    """The stages of the program, as far as they can be done."""
    rows: list[tuple[str, Array]] = []
    try:
        rows.extend(program_stages(image, program))
    except BadInput as error:
        return Replay(rows, str(error))
    return Replay(rows)


def _started(
    pretrained: Pretrained, asked: tuple[str, str], settings: EngineSettings, findings: Findings
) -> Running | None:
    """The engine; None when it cannot open a network whose preprocessing differs already."""
    engine, precision = asked
    # One image at a time, as the evidence was made.
    one = dataclasses.replace(settings, batch=1, workers=1)
    try:
        return start(pretrained, engine, cast("PrecisionChoice", precision), one)
    except (EngineError, BadInput) as error:
        if findings.diverged is None:
            raise
        findings.add("network", None, 0.0, str(error))
        return None


def verdict_on(opened: Seal, findings: Findings, name: str, agree: int, ran: tuple[str, str]) -> Verdict:
    """The verdict from all that was compared; `ran` is what answered, and in which precision."""
    engine, precision = ran
    stages = tuple(findings.checks.values())
    diverged = findings.diverged
    total = len(opened.golden)
    replayed = len(findings.checks.keys() - set(BEFORE_ALL))
    on = f"{engine} in {precision}"
    if diverged is None:
        message = (
            f"{name}: on {on} all {replayed} stages agree with what was sealed; "
            f"{agree} of {total} golden decisions are equal."
        )
    else:
        check = findings.checks[diverged]
        found = [check.note.rstrip(".")] if check.note else []
        if check.max_error is not None and diverged != "decision":
            found.insert(0, f"greatest difference {check.max_error:.3g}, allowed {check.tolerance:.3g}")
        message = (
            f"{name}: on {on} the first stage that differs is {diverged!r}: {'; '.join(found)}. "
            f"{agree} of {total} golden decisions are equal."
        )
    return Verdict(
        ok=diverged is None,
        digest=opened.digest,
        stages=stages,
        first_divergence=diverged,
        agree=agree,
        total=total,
        engine=engine,
        precision=precision,
        message=message,
    )


def with_layer(verdict: Verdict, layer: LayerCheck | None, reason: str) -> Verdict:
    """A verdict of a network that differs, with the layer from which on it does, or why that is not known."""
    if layer is None:
        found = f" Its layers were not compared: {reason}." if reason else ""
    else:
        if layer.max_error is None:
            apart = layer.note
        else:
            apart = f"greatest difference {layer.max_error:.3g}, allowed {layer.tolerance:.3g}"
            apart += f"; {layer.note}" if layer.note else ""
        before = "the image" if layer.after is None else shown(repr(layer.after))
        found = (
            f" The first layer that differs is {shown(repr(layer.name))} ({shown(layer.operation)}), after "
            f"{before}: {apart}."
        )
    return dataclasses.replace(verdict, layer=layer, message=verdict.message + found)


def refused(place: Path, error: SignetError, engine: str, precision: str) -> Verdict:
    """The verdict on a seal whose files are not what was sealed, or signed; nothing was replayed."""
    message = str(error)
    failed = SIGNATURE if isinstance(error, Refused) else INTEGRITY
    return Verdict(
        ok=False,
        digest=digest_of_manifest(place),
        stages=(StageCheck(failed, False, None, 0.0, message),),
        first_divergence=failed,
        agree=0,
        total=0,
        engine=engine,
        precision=precision,
        message=message,
    )
