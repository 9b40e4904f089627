"""Predictions of many images into a file of JSON lines that can be stopped and resumed at any moment.

The file holds one line for each input, in order, and the run record beside it (`FILE.run.json`) says what
made it. A resumed run goes by position: it keeps the whole lines that are there, cuts a torn last one, and
refuses to go on with another model, program, precision or option.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet import machine, storage, streaming
from signet.errors import AlreadyExists, BadRequest
from signet.models import Model, Picture
from signet.predictions import Classes, Prediction
from signet.running import EVIDENCE_IMAGES, Evidence, keep_evidence
from signet.streaming import Answered

EVIDENCE_FROM = 1000
"""A prediction over more images than this gathers evidence for bf16 by itself."""
FLUSH_EVERY = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictSettings:
    """What is written of each answer.

    Attributes:
        top: labels for each image, best first.
        min_score: labels below it are left out; 0 to 1.
    """

    top: int = 5
    min_score: float = 0.0

    def __post_init__(self) -> None:
        if self.top < 1:
            raise BadRequest(f"--top: expected at least 1, got {self.top}.")
        if not 0 <= self.min_score <= 1:
            raise BadRequest(f"--min-score: expected 0 to 1, got {self.min_score}.")


@dataclass(frozen=True, slots=True)
class Counts:
    """How a run went.

    Attributes:
        inputs: lines written, those of earlier runs included.
        failed: of them, inputs that could not be answered.
    """

    inputs: int
    failed: int


def row(answered: Answered[Prediction], settings: PredictSettings) -> dict[str, Any]:
    """One line of the output: the answer, or the error, with its source."""
    if answered.error is not None or answered.answer is None:
        error = answered.error
        return {
            "source": answered.source,
            "error": {"type": type(error).__name__, "message": str(error)},
        }
    plain = (
        answered.answer.to_dict(settings.top)
        if isinstance(answered.answer, Classes)
        else (answered.answer.to_dict())
    )
    if "top" in plain:
        plain["top"] = [entry for entry in plain["top"] if entry["score"] >= settings.min_score]
    return {"source": answered.source, **plain}


def json_line(plain: dict[str, Any]) -> str:
    """One row as one line of JSON; a name that is no valid text (lone surrogates) is escaped."""
    line = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(plain, ensure_ascii=True, allow_nan=False)
    return line


def predict(
    model: Model[Prediction],
    inputs: Iterable[Picture],
    settings: PredictSettings,
    on_row: Callable[[dict[str, Any], Answered[Prediction]], None],
) -> Counts:
    """Answer for every input, in order, and hand each row to `on_row` as it is done."""
    failed = done = 0
    for answered in streaming.predictions(model, inputs):
        on_row(row(answered, settings), answered)
        done += 1
        failed += answered.error is not None
    return Counts(done, failed)


def prove_precision(
    model: Model[Prediction], inputs: Iterable[Picture]
) -> tuple[Model[Prediction], Iterator[Picture]]:
    """Gather evidence for bf16 on the first inputs of a long run, and take the precision that it allows.

    Nothing is written meanwhile, so that a file never mixes two precisions.

    Args:
        model: running in fp32, its precision undecided.
        inputs: all inputs; at most `EVIDENCE_FROM` of them are looked at ahead.

    Returns:
        The model to use (the one given, or the same in bf16 with the given one closed), and all inputs.
    """
    remaining = iter(inputs)
    if not model.running.undecided:
        return model, remaining
    ahead = list(itertools.islice(remaining, EVIDENCE_FROM + 1))
    whole = itertools.chain(ahead, remaining)
    if len(ahead) <= EVIDENCE_FROM:
        return model, whole
    faster = model.in_precision("bf16")
    sample = ahead[: EVIDENCE_IMAGES + EVIDENCE_IMAGES // 4]
    pairs = list(
        zip(streaming.predictions(model, sample), streaming.predictions(faster, sample), strict=True)
    )
    decisions = [
        (first.answer.top(1).indices[0], second.answer.top(1).indices[0])
        for first, second in pairs
        if isinstance(first.answer, Classes) and isinstance(second.answer, Classes)
    ]
    evidence = Evidence(len(decisions), sum(bool(first == second) for first, second in decisions))
    keep_evidence(model.pretrained, model.running.settings.cache, evidence)
    if evidence.allows:
        model.close()
        return faster, whole
    faster.close()
    return model, whole


class LinesFile:
    """An output file of JSON lines with its run record, open for appending.

    It is a context manager. Rows go to `FILE` itself, whole lines at a time: whatever happens, a reader
    finds whole lines and at most one torn one, which `resume` cuts.
    """

    def __init__(self, path: Path, record: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        self.path = path
        self.record_path = path.with_name(path.name + ".run.json")
        self.failed = 0
        self.position = 0
        exists = path.exists()
        if exists and not (resume or overwrite):
            raise AlreadyExists(path)
        if exists and resume:
            self._check_same(record)
            self.position, self.failed = _whole_lines(path)
        self._record = record
        storage.write_json(self.record_path, {**record, "state": "running"}, overwrite=True)
        self._stream = path.open("ab" if exists and resume else "wb")
        self._since = 0

    def write(self, plain: dict[str, Any]) -> None:
        """Append one row."""
        self._stream.write(json_line(plain).encode("utf-8") + b"\n")
        self.position += 1
        self.failed += "error" in plain
        self._since += 1
        if self._since >= FLUSH_EVERY:
            self._stream.flush()
            self._since = 0

    def finish(self) -> Counts:
        """Force the lines to the disk and complete the record."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        counts = {"inputs": self.position, "failed": self.failed}
        storage.write_json(
            self.record_path, {**self._record, "state": "done", "counts": counts}, overwrite=True
        )
        return Counts(self.position, self.failed)

    def __enter__(self) -> LinesFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _check_same(self, record: dict[str, Any]) -> None:
        """Refuse to continue a file that something else made."""
        if not self.record_path.is_file():
            raise BadRequest(
                f"{self.path} has no run record ({self.record_path.name}), so it cannot be resumed safely. "
                "Start anew with --overwrite, or write to another --out."
            )
        earlier = storage.read_json(self.record_path)
        for key in RESUME_KEYS:
            if earlier.get(key) != record.get(key):
                raise BadRequest(
                    f"--resume: {self.path} was made with {key} {_short(earlier.get(key))}, and this run has "
                    f"{_short(record.get(key))}. Run it as before, or start anew with --overwrite."
                )


RESUME_KEYS = ("model", "digest", "program", "engine", "precision", "options")


def earlier_choice(path: Path) -> tuple[str, str] | None:
    """(engine, precision) of the run that is to be resumed, so that `auto` does not change it half way."""
    record_path = path.with_name(path.name + ".run.json")
    if not (path.exists() and record_path.is_file()):
        return None
    record = storage.read_json(record_path)
    engine, precision = record.get("engine"), record.get("precision")
    return (engine, precision) if isinstance(engine, str) and isinstance(precision, str) else None


def run_record(model: Model[Prediction], options: dict[str, Any]) -> dict[str, Any]:
    """What made a file: model, program, engine, precision, options, versions."""
    card = model.card
    return {
        "model": card.name,
        "digest": model.pretrained.digest,
        "weights_digest": card.weights_digest,
        "digest_trust": card.digest_trust,
        "program": card.program.to_list(),
        "engine": model.engine.name,
        "engine_version": model.engine.version,
        "precision": model.engine.precision,
        "why": model.running.why,
        "options": options,
        "processor": machine.processor(),
        "versions": machine.versions(),
    }


def _whole_lines(path: Path) -> tuple[int, int]:
    """(lines, of them errors) after cutting a torn last line."""
    lines = failed = end = 0
    with path.open("r+b") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            end += len(line)
            lines += 1
            failed += "error" in json.loads(line)
        stream.truncate(end)
    return lines, failed


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
