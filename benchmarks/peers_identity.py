"""Each architecture of `identity/cases.py` beside its own library, one process each; results go to a CSV.

    python benchmarks/peers_identity.py                     # what has no result with these versions yet
    python benchmarks/peers_identity.py --only timm/resnet18.a1_in1k --again

Random weights are written as the library itself writes them, loaded through Signet by name, and compared:
the answers through torch (to the last bit where the library builds the net), through another engine, and
what the preprocessing makes of 20 real images. It can be interrupted and run again.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "peers-identity.csv"
IMAGES = HERE.parent.parent / "shared" / "data" / "imagenet_sample_250"
FIELDS = (
    "name",
    "zoo",
    "verdict",
    "torch",
    "torch_relative",
    "double",
    "rounding",
    "openvino",
    "onnx",
    "pixels",
    "default_levels",
    "spread",
    "seconds",
    "date",
    "hardware",
    "versions",
)
IDENTICAL = "identical"


def one(name: str, images: Path, threads: int) -> dict[str, Any]:
    """The row of one architecture, measured in this process."""
    from identity import cases, comparing

    case = cases.case(name)
    with tempfile.TemporaryDirectory(prefix="signet-identity-") as place:
        os.environ["SIGNET_CACHE"] = str(Path(place) / "signet")
        result = comparing.measure(case, Path(place), comparing.odd_images(images), case.engines, threads)
    row = dataclasses.asdict(result)
    faults, engines = row.pop("faults"), row.pop("engines")
    return {**row, **engines, "verdict": "; ".join(faults) or IDENTICAL}


def surroundings(threads: int) -> dict[str, str]:
    """Where and with what a row was measured."""
    from importlib.metadata import version

    from signet import machine

    versions = dict(machine.versions())
    versions |= {name: version(name) for name in ("transformers", "open_clip_torch", "keras")}
    return {
        "hardware": f"{machine.processor()}, {threads} threads",
        "versions": " ".join(f"{name}={versions[name]}" for name in sorted(versions)),
    }


def in_a_child(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The row of one architecture, measured in a process of its own that has a time limit."""
    command = [sys.executable, __file__, "--one", name, "--images", str(arguments.images)]
    limits = {name: str(arguments.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    try:
        done = subprocess.run(
            [*command, "--threads", str(arguments.threads)],
            env={**os.environ, **limits},
            capture_output=True,
            text=True,
            timeout=arguments.limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"verdict": f"failed: took more than {arguments.limit} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"verdict": f"failed: {last[:300]}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def kept(place: Path) -> list[dict[str, str]]:
    """The rows of earlier runs."""
    if not place.exists():
        return []
    with place.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(place: Path, rows: list[dict[str, Any]]) -> None:
    """All rows, whole or not at all."""
    place.parent.mkdir(exist_ok=True)
    temporary = place.with_suffix(".part")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: short(row.get(key)) for key in FIELDS})
    temporary.replace(place)


def short(value: Any) -> Any:
    """Numbers with three digits that count."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else value


def main() -> int:
    """Measure what is missing; exit 1 when any architecture is not identical."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=Path, default=IMAGES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--only", nargs="*", default=[], help="names, or beginnings of names")
    parser.add_argument("--again", action="store_true", help="also what has a result already")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for each architecture")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.images, arguments.threads)))
        return 0
    from identity.cases import CASES

    common = surroundings(arguments.threads)
    order = {case.name: place for place, case in enumerate(CASES)}
    rows = {row["name"]: row for row in kept(arguments.out) if row["name"] in order}
    wanted = [case for case in CASES if not arguments.only or case.name.startswith(tuple(arguments.only))]
    for case in wanted:
        before = rows.get(case.name, {})
        same = before.get("versions") == common["versions"] and before.get("verdict") == IDENTICAL
        if same and not arguments.again:
            continue
        row = in_a_child(case.name, arguments)
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        rows[case.name] = {"name": case.name, "zoo": case.zoo, "date": today, **common, **row}
        write(arguments.out, sorted(rows.values(), key=lambda kept: order[kept["name"]]))
        print(f"{case.name}: {row['verdict']}", flush=True)
    bad = [case.name for case in wanted if rows[case.name]["verdict"] != IDENTICAL]
    print(
        f"{len(wanted) - len(bad)} of {len(wanted)} identical" + "".join(f"\n  not: {name}" for name in bad)
    )
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
