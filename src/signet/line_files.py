"""A file of JSON lines that can be stopped and resumed at any moment.

It holds one line for each input, in order, and the run record beside it (`FILE.run.json`) says what made it.
A resumed run goes by position: it keeps the whole lines that are there, cuts a torn last one, and refuses to
go on with another model, program, precision or option.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet import machine, storage
from signet.errors import AlreadyExists, BadInput, BadRequest, SignetError
from signet.models import Model, Picture
from signet.naming import shown
from signet.predictions import Prediction
from signet.streaming import source_of

FLUSH_EVERY = 64


@dataclass(frozen=True, slots=True)
class Counts:
    """How a run went.

    Attributes:
        inputs: lines written, those of earlier runs included.
        failed: of them, inputs that could not be answered.
    """

    inputs: int
    failed: int


def json_line(plain: dict[str, Any], encoding: str = "utf-8") -> str:
    """One row as one line of JSON, safe to show: what cannot be printed or encoded is escaped in it.

    That are lone surrogates (a name that is no valid text), control characters beyond those that JSON
    escapes anyway, and marks that turn the direction of text.
    """
    line = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    if not line.isprintable():
        line = "".join(part if part.isprintable() else json.dumps(part)[1:-1] for part in line)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(plain, ensure_ascii=True, allow_nan=False)
    return line


class LinesFile:
    """An output file of JSON lines with its run record, open for appending.

    It is a context manager. Rows go to `FILE` itself, whole lines at a time: whatever happens, a reader
    finds whole lines and at most one torn one, which `resume` cuts.
    """

    def __init__(self, path: Path, record: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        self.path = path
        self.record_path = _record_of(path)
        self.failed = 0
        self.position = 0
        check_out(path, resume=resume, overwrite=overwrite)
        continued = resume and path.exists()
        if continued:
            self._check_same(record)
            with _as_ours(path):
                self.position, self.failed = _whole_lines(path)
        elif path.exists():
            # First, so that old lines never stand beside a new record.
            with _as_ours(path):
                path.unlink()
        self._record = record
        storage.write_json(self.record_path, {**record, "state": "running"}, overwrite=True)
        with _as_ours(path):
            self._stream = path.open("ab" if continued else "wb")
        self._since = 0

    def write(self, plain: dict[str, Any]) -> None:
        """Append one row.

        Raises:
            SignetError: the disk refuses; the lines so far can be resumed.
        """
        with _as_ours(self.path):
            self._stream.write(json_line(plain).encode("utf-8") + b"\n")
            self._since += 1
            if self._since >= FLUSH_EVERY:
                self._stream.flush()
                self._since = 0
        self.position += 1
        self.failed += "error" in plain

    def finish(self) -> Counts:
        """Force the lines to the disk and complete the record."""
        with _as_ours(self.path):
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
        with _as_ours(self.path):
            self._stream.close()

    def _check_same(self, record: dict[str, Any]) -> None:
        """Refuse to continue a file that something else made."""
        earlier = storage.read_json(self.record_path)
        for key in RESUME_KEYS:
            if earlier.get(key) != record.get(key):
                raise BadRequest(
                    f"--resume: {self.path} was made with {key} {_short(earlier.get(key))}, and this run has "
                    f"{_short(record.get(key))}. Run it as before, or start anew with --overwrite."
                )


def check_out(path: Path, *, resume: bool, overwrite: bool) -> None:
    """Whether an output file may be begun or continued, asked before anything slow is done.

    Raises:
        AlreadyExists: it is there, and is neither to be continued nor replaced.
        BadRequest: it is no file, or is to be continued and nothing says what made it.
    """
    storage.refuse_device(path)
    if path.exists() and not path.is_file():
        raise BadRequest(f"--out: expected the name of a file to write, got {shown(path)}, which is none.")
    if path.exists() and not (resume or overwrite):
        raise AlreadyExists(shown(path))
    if path.exists() and resume and not _record_of(path).is_file():
        raise BadRequest(
            f"{shown(path)} has no run record ({shown(_record_of(path).name)}), so it cannot be resumed "
            "safely. Start anew with --overwrite, or write to another --out."
        )


def without_line(inputs: Iterable[Picture], path: Path, position: int) -> Iterator[Picture]:
    """The inputs that have no line yet, after the check that the lines are about the inputs before them.

    Args:
        inputs: all of them, in the order of the interrupted run.
        path: the file that is continued.
        position: whole lines in it.

    Raises:
        BadRequest: the inputs are not those of the interrupted run.
    """
    given = iter(inputs)
    if position:
        with path.open("rb") as stream:
            for number, line in enumerate(itertools.islice(stream, position), 1):
                source = json.loads(line)["source"]
                now = next(given, None)
                if now is None or source_of(now) != source:
                    there = "there is no such input" if now is None else shown(source_of(now))
                    raise BadRequest(
                        f"--resume: line {number} of {shown(path)} is about {shown(source)}, and input "
                        f"{number} of this run is another: {there}. Give the same inputs in the same "
                        "order, or start anew with --overwrite."
                    )
    yield from given


RESUME_KEYS = ("model", "digest", "labels_digest", "program", "engine", "precision", "options")


def earlier_choice(path: Path) -> tuple[str, str] | None:
    """(engine, precision) of the run that is to be resumed, so that `auto` does not change it half way."""
    record_path = _record_of(path)
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
        "labels_digest": hashlib.sha256(json.dumps(card.labels).encode()).hexdigest(),
        "program": card.program.to_list(),
        "engine": model.engine.name,
        "engine_version": model.engine.version,
        "precision": model.engine.precision,
        "why": model.running.why,
        "options": options,
        "processor": machine.processor(),
        "versions": machine.versions(),
    }


def _record_of(path: Path) -> Path:
    return path.with_name(path.name + ".run.json")


def _whole_lines(path: Path) -> tuple[int, int]:
    """(lines, of them errors) after cutting a torn last line."""
    lines = failed = end = 0
    with path.open("r+b") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            end += len(line)
            lines += 1
            failed += "error" in _parsed(line, path, lines)
        stream.truncate(end)
    return lines, failed


def _parsed(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        plain = json.loads(line)
        if isinstance(plain, dict) and isinstance(plain.get("source"), str):
            return plain
    except ValueError:
        pass
    raise BadInput(
        f"--resume: line {number} of {shown(path)} is no answer in JSON. The file was changed or damaged; "
        "start anew with --overwrite."
    )


@contextmanager
def _as_ours(path: Path) -> Iterator[None]:
    """Turn what the disk says into an error of our own tree."""
    try:
        yield
    except OSError as error:
        raise SignetError(
            f"{shown(path)} cannot be written: {error.strerror or error}. Expected a place that this user "
            "may write to, with room on the disk; what is written so far can be continued with --resume."
        ) from error


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
