"""Outcomes of `catalogue_checks` on networks too large to run each time, kept as CSV with their date."""

from __future__ import annotations

import csv
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import catalogue_checks as checks
from signet import machine

HERE = Path(__file__).resolve().parent
FILE = HERE.parent / "benchmarks" / "results" / "catalogue-systems.csv"
PHASES = ("forward", "backward", "tune")
MOST_GIGABYTES = 20.0
SPARE_GIGABYTES = 1.0
LIMIT_SECONDS = 1800
STEPS = ((2, 1.0, False), (1, 1.0, False), (1, 1.0, True), (1, 0.6, False))
"""(batch, share of the input size, bfloat16): the next one is tried where the one before takes too much
memory."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was seen of one network; a row of the file."""

    name: str
    date: str
    processor: str
    versions: str
    forward: str
    backward: str
    tune: str
    seconds: str
    peak_bytes: str

    @property
    def cells(self) -> tuple[str, str, str]:
        """Of the table."""
        return self.forward, self.backward, self.tune


def read(file: Path = FILE) -> dict[str, Record]:
    """Every record, by name; none when there is no file."""
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as opened:
        return {row["name"]: Record(**row) for row in csv.DictReader(opened)}


def outcome(phases: Callable[[], Iterable[tuple[str, str]]]) -> tuple[str, str, str]:
    """The cells for what phases yield; a phase that fails says so, and those after it were not reached."""
    seen: dict[str, str] = {}
    try:
        seen.update(phases())
    except checks.Failed as error:
        seen[_next(seen)] = f"FAILED: {error}"
    gc.collect()
    return _cells(seen)


def run_all(names: Iterable[str], again: bool, file: Path = FILE) -> None:
    """Run each in a process of its own and write its record at once, so that an interrupted run goes on."""
    for name in names:
        kept = read(file)
        if name in kept and not again and "FAILED" not in "".join(kept[name].cells):
            continue
        started = time.monotonic()
        cells, peak = _run(name)
        seconds = time.monotonic() - started
        record = Record(
            name,
            f"{datetime.now(UTC):%Y-%m-%d}",
            machine.processor(),
            json.dumps(machine.versions(), sort_keys=True),
            *cells,
            f"{seconds:.0f}",
            str(peak),
        )
        _write({**kept, name: record}, file)
        print(
            f"{name}: {seconds:.0f} s, {peak / 1e9:.1f} GB: {'; '.join(cells)}", file=sys.stderr, flush=True
        )


def _run(name: str) -> tuple[tuple[str, str, str], int]:
    """(cells, peak bytes), of the first step that fits into memory; cells keep what larger ones reached."""
    best: dict[str, str] = {}
    peak = 0
    full = checks.subject(name).size[0]
    for batch, share, bfloat16 in STEPS:
        size = None if share == 1 else int(full * share) // 32 * 32
        seen, used, ended = _child(name, batch, size, bfloat16)
        if size and "backward" in seen:
            seen["backward"] += f", since {full} px take more than {_gigabytes():.0f} GB"
        peak = max(peak, used)
        best = {**seen, **best}
        if ended == "failed":
            return _cells({**seen, **best}), peak
        if not ended:
            return _cells(best), peak
    best[_next(best)] = f"not here: more than {_gigabytes():.0f} GB even at batch 1"
    return _cells(best), peak


def _child(name: str, batch: int, size: int | None, bfloat16: bool) -> tuple[dict[str, str], int, str]:
    """(phases that were reached, peak bytes, "" or how it ended: "memory" or "failed")."""
    command = [sys.executable, str(HERE / "catalogue_checks.py"), name, "--batch", str(batch)]
    command += ["--gigabytes", f"{_gigabytes():.1f}", *(["--size", str(size)] if size else [])]
    command += ["--bfloat16"] * bfloat16
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        seen, peak = _phases((error.stdout or b"").decode())
        seen[_next(seen)] = f"not here: more than {LIMIT_SECONDS // 60} minutes"
        return seen, peak, "failed"
    seen, peak = _phases(ended.stdout)
    if "memory" in seen or ended.returncode < 0:
        seen.pop("memory", None)
        return seen, peak, "memory"
    if "failed" in seen:
        words = seen.pop("failed")
        seen[_next(seen)] = f"FAILED: {words}"
        return seen, peak, "failed"
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no word"])[-1]
        seen[_next(seen)] = f"FAILED: {last}"
        return seen, peak, "failed"
    return seen, peak, ""


def _phases(text: str) -> tuple[dict[str, str], int]:
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return {row["phase"]: row["words"] for row in rows}, max((row["peak_bytes"] for row in rows), default=0)


def _next(seen: Mapping[str, str]) -> str:
    return next((phase for phase in PHASES if phase not in seen), PHASES[-1])


def _cells(seen: Mapping[str, str]) -> tuple[str, str, str]:
    forward, backward, tune = (seen.get(phase, "not reached") for phase in PHASES)
    return forward, backward, tune


def _gigabytes() -> float:
    """What a process may take: no more than is free here, and never more than the limit."""
    try:
        rows = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(row.split()[1]) * 1024 for row in rows if row.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return MOST_GIGABYTES
    return min(MOST_GIGABYTES, free / 1e9 - SPARE_GIGABYTES)


def _write(rows: Mapping[str, Record], file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, [spec.name for spec in fields(Record)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(rows[name]) for name in sorted(rows))
    part.replace(file)
