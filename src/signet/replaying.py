"""Sealed evidence against a replay, stage by stage: what differs, by how much, and what may differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from signet import machine
from signet.agreement import TIE_INT8, tied
from signet.arrays import Array
from signet.cards import Card
from signet.errors import BadInput, SignetError
from signet.evidence import STEADY_ABSOLUTE, STEADY_RELATIVE, answer_stages, label_bytes
from signet.naming import shown
from signet.preprocessing import numeric
from signet.programs import Program
from signet.records import StageCheck
from signet.seals import Expected, digest_of_labels
from signet.seals.sampling import Sample, found
from signet.steps import GEOMETRIC

DECODERS = ("pillow", "simplejpeg")
"""Libraries whose versions may change a decoded or resized pixel by one level."""

_RELATIVE = 1e-5
_NETWORK_ON_DEVICE = 1e-2
_LOOSE = 0.5
_ANSWER_RELATIVE = 0.02
_ANSWER_LOOSE = 0.5
_LEVEL = 1 / 256
"""One step of a quantized softmax, by which processors may differ."""
_SAME_DIRECTION = 0.99
_ANSWER_STAGES = (("network", "network"), ("network", "features"), ("head", "head"), ("answer", "answer"))
"""(stage, key of the evidence); the penultimate features belong to the network."""


@dataclass(slots=True)
class Findings:
    """The stages so far, in the order in which they were first met; the worst image of each counts."""

    checks: dict[str, StageCheck] = field(default_factory=dict)

    def add(self, name: str, error: float | None, tolerance: float, note: str = "") -> bool:
        """Take in one comparison; whether it was within its tolerance."""
        ok = error is not None and error <= tolerance
        new = StageCheck(name, ok, error, tolerance, note)
        old = self.checks.get(name)
        if old is None or _badness(new) > _badness(old):
            self.checks[name] = new
        return ok

    @property
    def diverged(self) -> str | None:
        """The first stage that is not as sealed."""
        return next((check.name for check in self.checks.values() if not check.ok), None)


class Replay(NamedTuple):
    """The stages of a program as they were done now, and why they ended early, if they did."""

    rows: Sequence[tuple[str, Array]]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may differ on this machine.

    Attributes:
        levels: of a uint8 picture, 0 to 255: 0, or 1 where another decoder or resizer version runs.
        value: what one level makes in the prepared array.
        note: why, in words.
        loose: the network's precision is coarse, or its pixels may differ.
        network: relative error of the raw answer in fp32.
        layers: relative error of a layer, between two graphs that run here: a coarse precision counts,
            another decoder does not, since both are given the same picture.
        tie: two classes whose logits differ by no more than this share of the greatest are in no order.
    """

    levels: int
    value: float
    note: str
    loose: bool
    network: float
    layers: float
    tie: float = 0.0

    @classmethod
    def of(cls, expected: Expected, program: Program, precision: str, device: str) -> Allowance:
        """From the versions that sealed and those that run now."""
        here = machine.versions()
        other = [name for name in DECODERS if expected.versions.get(name) != here.get(name)]
        note = "".join(
            f"sealed with {name} {shown(expected.versions.get(name, 'of unknown version'))}, here "
            f"{here.get(name, 'none')}: one level of 255 allowed. "
            for name in other
        ).strip()
        network = STEADY_RELATIVE if device == "cpu" else _NETWORK_ON_DEVICE
        return cls(
            levels=1 if other else 0,
            value=_one_level(program) if other else 0.0,
            note=note,
            loose=precision != "fp32" or bool(other),
            network=network,
            layers=network if precision == "fp32" else _LOOSE,
            tie=TIE_INT8 if precision == "int8" else 0.0,
        )


def compare_program(
    findings: Findings,
    sealed: Expected,
    image: int,
    replayed: Replay,
    allowed: Allowance,
    inside: Collection[str] = (),
) -> None:
    """Compare the stages of the program on one image.

    The two sequences are laid side by side by the names of their stages, so that a step that was added or
    taken away is named by its own stage, and not by the one that comes to lie in its place. Stages `inside`
    the network are left to it.
    """
    tensors = sealed.of(image)
    replay = [(name, array) for name, array in replayed.rows if _base(name) not in inside]
    gone = replayed.problem or "the program no longer has the step that was sealed"
    later = ("network", "head", "answer", "decision", *inside)
    names = [name for name in sealed.stages if _base(name) not in later]
    here = there = 0
    while there < len(names) or here < len(replay):
        following = [_base(name) for name, _ in replay[here + 1 :]]
        if there < len(names) and here < len(replay) and _base(names[there]) == _base(replay[here][0]):
            intruder = _intruder(names[there:], [name for name, _ in replay[here:]])
            if intruder is not None and not _agrees(found(tensors, names[there]), replay[here][1], allowed):
                findings.add(intruder, None, 0.0, f"a step of it comes inside {_base(names[there])!r}")
            _compare_stage(findings, names[there], found(tensors, names[there]), replay[here][1], allowed)
            there, here = there + 1, here + 1
        elif here < len(replay) and (there >= len(names) or _base(names[there]) in following):
            findings.add(_base(replay[here][0]), None, 0.0, "the program has a step here that was not sealed")
            here += 1
        else:
            findings.add(_base(names[there]), None, 0.0, gone)
            there += 1


def compare_answer(
    findings: Findings,
    sealed: Mapping[str, Array],
    network: Mapping[str, Array],
    card: Card,
    allowed: Allowance,
) -> bool:
    """Compare what the network made of one image, and what the card makes of that.

    Args:
        findings: taken in.
        sealed: the evidence of this image.
        network: the `network_outputs` of the replay.
        card: the sealed model's.
        allowed: what may differ.

    Returns:
        Whether it decided as sealed.
    """
    replay, problem = dict(network), ""
    try:
        replay |= answer_stages(network["network"], card)
    except SignetError as refusal:
        # The network may be as it was sealed: then it is the card that reads it otherwise.
        problem = str(refusal)
    nothing = np.zeros(0, np.float32)
    level = _LEVEL if sealed.get("network", nothing).dtype in (np.uint8, np.int8) else 0.0
    decides = card.output.head != "embedding"
    for stage, name in _ANSWER_STAGES:
        if name == "features" and (card.output.features is None or not decides):
            continue
        if problem and stage != "network":
            findings.add(stage, None, 0.0, problem)
            continue
        error, note = difference(sealed.get(name), replay.get(name))
        judged = answer_tolerance if stage == "answer" and decides else raw_tolerance
        tolerance = judged(sealed.get(name, nothing), allowed)
        findings.add(stage, error, tolerance + (256 * level if stage == "network" else level), note)
    if "network" in sealed:
        _compare_contract(findings, sealed, card)
    if problem:
        if decides:
            findings.add("decision", None, 0.0, problem)
        return False
    if not decides:
        return _same_direction(sealed.get("answer"), replay.get("answer"))
    if "decision" not in sealed or "label" not in sealed:
        findings.add("decision", None, 0.0, "missing in the evidence")
        return False
    return _compare_decision(findings, sealed, replay, card, allowed)


def compare_given(
    findings: Findings, name: str, sealed: Mapping[str, Array], given: Array, allowed: Allowance
) -> bool:
    """Compare what another program says that a stage of the evidence gave, with or without a batch axis.

    Args:
        findings: taken in.
        name: of the stage, as the evidence has it.
        sealed: the evidence of this image.
        given: by the program.
        allowed: what may differ.
    """
    before = found(sealed, name)
    if before is not None and given.shape == (1, *before.shape):
        given = given[0]
    error, note = difference(before, given)
    stage = stage_of(name)
    if before is None:
        tolerance = 0.0
    elif stage == "answer" and isinstance(before, np.ndarray):
        tolerance = answer_tolerance(before, allowed)
    elif stage in ("network", "head"):
        tolerance = raw_tolerance(before, allowed)
    else:
        tolerance = _stage_tolerance(before, allowed)
    return findings.add(stage, error, tolerance, note)


def compare_images(findings: Findings, sealed: Expected, count: int) -> None:
    """Evidence of more images than the seal names: somebody took images away."""
    if sealed.images() > count:
        findings.add("read", None, 0.0, f"sealed with {sealed.images()} golden images, {count} are left")


def compare_labels(findings: Findings, sealed: Expected, card: Card) -> None:
    """The whole list of names, also those that no golden image shows."""
    if sealed.labels_digest != digest_of_labels(card.labels):
        findings.add("decision", 1.0, 0.0, "the list of labels is not the one that was sealed")


def _compare_contract(findings: Findings, sealed: Mapping[str, Array], card: Card) -> None:
    """Head and answer from the raw answer that was sealed: no engine takes part, so nothing may differ."""
    try:
        again = answer_stages(sealed["network"], card)
    except SignetError as problem:
        findings.add("head", None, 0.0, str(problem))
        return
    for stage in ("head", "answer"):
        error, note = difference(sealed.get(stage), again[stage])
        findings.add(stage, error, _RELATIVE * max(1.0, greatest_of(again[stage])), note)


def _compare_decision(
    findings: Findings,
    sealed: Mapping[str, Array],
    replay: Mapping[str, Array],
    card: Card,
    allowed: Allowance,
) -> bool:
    decision = sealed["decision"]
    index = int(decision[0]) if decision.shape == (1,) and decision.dtype == np.int64 else -1
    now = int(replay["decision"][0]) if "decision" in replay else -1
    stated = sealed["label"]
    named = np.array_equal(label_bytes(card, index), stated)
    answer = replay["answer"]
    same = index == now
    note = ""
    if not same and now >= 0 and 0 <= index < len(answer):
        same = float(answer[now] - answer[index]) <= tie_of(answer) or tied(sealed, index, now, allowed.tie)
        note = "a tie, decided the other way" if same else ""
    if not same:
        note = f"sealed as {_label(card, index)}, now {_label(card, now)}"
    elif not named:
        name = shown(stated.tobytes().decode("utf-8", "replace"))
        note = f"class {index} was sealed as {name!r}, and is now called {_label(card, index)}"
    findings.add("decision", 0.0 if same and named else 1.0, 0.0, note)
    return same and named


def _compare_stage(
    findings: Findings, name: str, sealed: Array | Sample | None, replay: Array, allowed: Allowance
) -> None:
    error, note = difference(sealed, replay)
    tolerance = _stage_tolerance(replay if sealed is None else sealed, allowed)
    findings.add(_base(name), error, tolerance, note or (allowed.note if error else ""))


def _agrees(sealed: Array | Sample | None, replay: Array, allowed: Allowance) -> bool:
    error, _ = difference(sealed, replay)
    return error is not None and error <= _stage_tolerance(replay if sealed is None else sealed, allowed)


def _stage_tolerance(sealed: Array | Sample, allowed: Allowance) -> float:
    if sealed.dtype == np.uint8:
        return float(allowed.levels)
    return _RELATIVE * max(1.0, greatest_of(sealed)) + allowed.value


def raw_tolerance(sealed: Array | Sample, allowed: Allowance) -> float:
    """By how much a raw answer may differ."""
    greatest = greatest_of(sealed)
    return (_LOOSE if allowed.loose else allowed.network) * greatest + STEADY_ABSOLUTE


def answer_tolerance(sealed: Array, allowed: Allowance) -> float:
    """By how much a score may differ."""
    if allowed.loose:
        return _ANSWER_LOOSE
    return _ANSWER_RELATIVE * greatest_of(sealed) + STEADY_ABSOLUTE


def stage_of(name: str) -> str:
    """The stage that a tensor of the evidence belongs to: the penultimate features to the network."""
    return "network" if name == "features" else _base(name)


def tie_of(answer: Array) -> float:
    """Scores this close are in no order: an engine may answer with either."""
    return _ANSWER_RELATIVE * float(answer.max()) + STEADY_ABSOLUTE


def difference(sealed: Array | Sample | None, replay: Array | None) -> tuple[float | None, str]:
    """(greatest absolute difference, "") or (None, why there is none)."""
    if sealed is None or replay is None:
        return None, f"missing in {'the evidence' if sealed is None else 'the replay'}"
    if sealed.shape != replay.shape:
        return None, f"expected the shape {sealed.shape}, got {replay.shape}"
    if (sealed.dtype == np.uint8) != (replay.dtype == np.uint8):
        return None, f"expected {sealed.dtype} values, got {replay.dtype}"
    if isinstance(sealed, Sample):
        apart = sealed.difference(replay)
        return apart, "" if apart is not None else f"expected {sealed.dtype} values, got {replay.dtype}"
    if not sealed.size:
        return 0.0, ""
    error = float(np.abs(sealed.astype(np.float64) - replay.astype(np.float64)).max())
    return (error, "") if np.isfinite(error) else (None, "a value is not a number")


def _intruder(sealed: Sequence[str], replay: Sequence[str]) -> str | None:
    """The stage that cuts another in two: [normalise, layout, normalise], sealed as [normalise, layout]."""
    here, there = [_base(name) for name in replay], [_base(name) for name in sealed]
    if len(here) >= 3 and here[0] == here[2] and there[1:3] != here[1:3]:
        return here[1]
    return None


def _one_level(program: Program) -> float:
    """What one level of 255 makes in the prepared array, in the channel where it makes most."""
    steps = [step for step in program.steps if not isinstance(step, GEOMETRIC)]
    ends = np.array([[[[0] * 3]], [[[255] * 3]]], np.uint8)
    try:
        low, high = numeric(ends, steps).astype(np.float64)
    except BadInput:
        return 0.0
    level = float(np.abs(high - low).max()) / 255
    # A program that overflows allows nothing: an infinite allowance would pass whatever comes.
    return level if np.isfinite(level) else 0.0


def _same_direction(sealed: Array | None, replay: Array | None) -> bool:
    if sealed is None or replay is None or sealed.shape != replay.shape:
        return False
    lengths = float(np.linalg.norm(sealed) * np.linalg.norm(replay))
    return lengths > 0 and float(sealed.ravel() @ replay.ravel()) / lengths >= _SAME_DIRECTION


def _label(card: Card, index: int) -> str:
    labels = card.labels or ()
    return repr(shown(labels[index])) if 0 <= index < len(labels) else f"class {index}"


def _base(name: str) -> str:
    return name.split(".", 1)[0]


def greatest_of(sealed: Array | Sample) -> float:
    """The greatest absolute value, of those that are known."""
    values = sealed.values if isinstance(sealed, Sample) else sealed
    return float(np.abs(values.astype(np.float64)).max()) if values.size else 0.0


def _badness(check: StageCheck) -> tuple[bool, float]:
    """How near to, or how far beyond, its tolerance a comparison is."""
    if check.max_error is None:
        return not check.ok, float("inf")
    if not check.tolerance:
        return not check.ok, check.max_error
    return not check.ok, check.max_error / check.tolerance
