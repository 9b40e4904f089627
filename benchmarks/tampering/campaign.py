"""Is every change to a seal noticed? Thousands of random ones, and what became of each.

    PYTHONPATH=benchmarks python -m tampering.campaign --seal SEAL --work FOLDER [--changes 10000]
        [--command 200] [--csv FILE]

A change is *refused* when opening the seal, as `signet verify` does before it replays anything, ends in an
error of Signet's. It is *harmless* when the seal opens, and every byte of every file read is as it was
sealed. A *forged* one, whose digests were made to fit, may instead open and be refused by the digest that
somebody knows (`--digest`). Anything else fails: undetected, another exception, more than LIMIT_SECONDS,
more memory than twice the seal. Failures end the run with exit code 1.

Change number N is the same each time. Each outcome is a line of FOLDER/outcomes.jsonl, which is read again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from signet.errors import SignetError
from signet.seals import open_seal, pack
from signet.verification import checked
from tampering import folders, zips
from tampering.folders import Folder, contents

LIMIT_SECONDS = 20.0
COMMAND_SECONDS = 600.0
BLOCK_BYTES = 1 << 20
"""What files are read and unpacked by: no seal needs less."""
REFUSED, FORGED, HARMLESS, FAILED = "refused", "refused by --digest", "harmless", "FAILED"
OUTCOMES = (REFUSED, FORGED, HARMLESS, FAILED)
_DIFFERS = 1
"""The exit code of `signet verify`."""


@dataclass
class Outcome:
    """What became of one change.

    Attributes:
        kind: of change.
        what: one of OUTCOMES.
        words: the message, of a refusal or a failure.
        seconds: that it took.
        bytes: of memory beyond what was in use before.
    """

    kind: str
    what: str
    words: str
    seconds: float = 0.0
    bytes: int = 0


@dataclass
class Campaign:
    """A seal, and copies of it that are changed.

    Args:
        seal: the folder or zip.
        work: where the copies are, and the cache that zips are unpacked to.
    """

    seal: Path
    work: Path
    whole: dict[str, bytes] = field(init=False)
    digest: str = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        opened = open_seal(self.seal)
        self.whole, self.digest = contents(opened.path), opened.digest
        self.size = sum(map(len, self.whole.values()))
        place = self.work / "copy.signet"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(opened.path, place)
        self._folder = Folder(place, self.whole)
        self._zip = pack(place, self.work / "whole.zip", overwrite=True).read_bytes()
        self._kinds = (*folders.CHANGES, *zips.CHANGES)
        os.environ["SIGNET_CACHE"] = str(self.work / "cache")
        # What Python loads on first use is no part of what a change costs.
        for usual in (place, self.work / "whole.zip"):
            checked(usual, None, None)

    def in_process(self, number: int) -> Outcome:
        """Make change `number`, and open what it gave."""
        with self._changed(number) as (kind, place):
            held = _peak_memory(reset=True)
            begin = time.monotonic()
            try:
                with _at_most(LIMIT_SECONDS):
                    what, words = self._opened(kind, place)
            except Exception as problem:  # noqa: BLE001
                # Whatever it is, it is no error of Signet's: that is what is looked for.
                what, words = FAILED, f"{type(problem).__name__}: {problem}"
            seconds, more = time.monotonic() - begin, _peak_memory() - held
        if more > max(2 * self.size, BLOCK_BYTES):
            what, words = FAILED, f"{more} bytes of memory, the seal has {self.size}. {words}"
        return Outcome(kind, what, words, seconds, more)

    def by_command(self, number: int) -> Outcome:
        """Make change `number`, and give it to `signet verify --digest`, as a process of its own."""
        with self._changed(number) as (kind, place):
            begin = time.monotonic()
            asked = [sys.executable, "-m", "signet", "verify", str(place), "--digest", self.digest]
            try:
                done = subprocess.run(
                    asked, capture_output=True, timeout=COMMAND_SECONDS, text=True, check=False
                )
            except subprocess.TimeoutExpired as problem:
                return Outcome(kind, FAILED, str(problem), COMMAND_SECONDS)
            what, words = REFUSED, (done.stdout + done.stderr)[-2000:]
            if "Traceback" in words or not words.strip() or done.returncode not in (0, _DIFFERS):
                what = FAILED
            elif done.returncode == 0:
                same = self._read(place) == self.whole
                what = HARMLESS if same else FAILED
            return Outcome(kind, what, words, time.monotonic() - begin)

    @contextmanager
    def _changed(self, number: int) -> Iterator[tuple[str, Path]]:
        kind = self._kinds[number % len(self._kinds)]
        random = np.random.default_rng(number)
        if kind in folders.CHANGES:
            try:
                folders.CHANGES[kind](self._folder, random)
                yield kind, self._folder.place
            finally:
                self._folder.mend()
                # A change that was left behind would be refused in the place of all later ones.
                checked(self._folder.place, self.digest, None)
            return
        place = self.work / "changed.signet.zip"
        place.write_bytes(zips.CHANGES[kind](self._zip, self.whole, random))
        try:
            yield kind, place
        finally:
            shutil.rmtree(self.work / "cache" / "seals", ignore_errors=True)

    def _opened(self, kind: str, place: Path) -> tuple[str, str]:
        try:
            checked(place, None, None)
        except SignetError as error:
            return REFUSED, str(error)
        if self._read(place) == self.whole:
            return HARMLESS, ""
        if not kind.startswith("forged"):
            return FAILED, "undetected"
        try:
            checked(place, self.digest, None)
        except SignetError as error:
            return FORGED, str(error)
        return FAILED, "undetected, even by its digest"

    def _read(self, place: Path) -> dict[str, bytes]:
        return contents(open_seal(place).path)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _peak_memory(*, reset: bool = False) -> int:
    """Bytes of the most memory since it was last reset (Linux, proc(5): clear_refs, VmHWM)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def table(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Counts by kind, with the longest time and the most memory."""
    by_kind: dict[tuple[bool, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_kind[row["in process"], row["kind"]].append(row)
    return [
        {
            "asked": "in process" if here else "by command",
            "kind": kind,
            "changes": len(same),
            **{name: sum(row["what"] == name for row in same) for name in OUTCOMES},
            "most seconds": round(max(row["seconds"] for row in same), 2),
            "most MiB": round(max(row["bytes"] for row in same) / 2**20, 2) if here else None,
        }
        for (here, kind), same in sorted(by_kind.items(), key=lambda item: not item[0][0])
    ]


def main() -> int:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seal", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--changes", type=int, default=10_000)
    parser.add_argument("--command", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first change")
    parser.add_argument("--csv", type=Path)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(asked.seal, asked.work)
    record = asked.work / "outcomes.jsonl"
    done = {row["number"] for row in _rows(record)}
    with record.open("a") as stream:
        for number in range(asked.first, asked.changes + asked.command):
            if number in done:
                continue
            here = number < asked.changes
            outcome = campaign.in_process(number) if here else campaign.by_command(number)
            stream.write(json.dumps({"number": number, "in process": here, **vars(outcome)}) + "\n")
            stream.flush()
    rows = table(_rows(record))
    if asked.csv is not None:
        with asked.csv.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    for row in rows:
        print(row)
    failed = [row for row in _rows(record) if row["what"] == FAILED]
    for row in failed:
        print(row)
    print(f"seal of {campaign.size} bytes: {len(failed)} failed")
    return 1 if failed else 0


def _rows(record: Path) -> Sequence[Mapping[str, Any]]:
    return [json.loads(line) for line in record.read_text().splitlines()] if record.is_file() else []


if __name__ == "__main__":
    sys.exit(main())
