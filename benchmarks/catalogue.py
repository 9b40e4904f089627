"""Architectures of the catalogue side by side: size, arithmetic, time and memory of a forward pass.

    python benchmarks/catalogue.py --counts     # parameters, GMACs, file size: any machine, a minute
    python benchmarks/catalogue.py              # and milliseconds: on a quiet machine, about an hour
    python benchmarks/catalogue.py --page       # docs/catalogue.md and its picture, from the results

Weights are random, since they change neither time nor size; nothing is downloaded. Each architecture runs
in a process of its own, one image at a time, with a limit of time. Results are appended row by row to
`results/catalogue-{counts,speed}-DATE.csv`; what is there is not measured again, unless `--again` says so, so
an interrupted run goes on where it was (`--date` goes on with that of another day).

Parameters are those that learn. GMACs are multiply-adds in 10^9 for one image: half of what
`torch.utils.flop_counter` counts, which are those of convolutions, matrix products and attention. The file is
what safetensors would write in fp32: every tensor of the state, 4 bytes a number, with its header.
Milliseconds are the median over forward passes of one prepared image, network only. Memory is the most that
the process held, libraries and all; graphs for OpenVINO are traced by another process before.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from signet import machine

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
LIMIT_SECONDS = 600
WARM_RUNS = 3
LEAST_RUNS = 7
COUNTS = ("name", "height", "width", "parameters", "gmacs", "file_bytes", "versions")
SPEED = (
    *("name", "engine", "precision", "milliseconds", "low", "high", "runs", "threads", "peak_bytes"),
    *("problem", "processor", "versions"),
)
NAMES = (
    "torchvision/alexnet.imagenet1k_v1",
    "torchvision/vgg16.imagenet1k_v1",
    "torchvision/googlenet.imagenet1k_v1",
    "signet/inception_v2",
    "torchvision/inception_v3.imagenet1k_v1",
    "timm/inception_v4.tf_in1k",
    "timm/inception_resnet_v2.tf_in1k",
    "timm/resnet18.a1_in1k",
    "torchvision/resnet50.imagenet1k_v2",
    "torchvision/resnet101.imagenet1k_v2",
    "torchvision/resnet152.imagenet1k_v2",
    "timm/resnetv2_50.a1h_in1k",
    "torchvision/resnext50_32x4d.imagenet1k_v2",
    "torchvision/regnet_y_3_2gf.imagenet1k_v2",
    "timm/tf_efficientnet_b0.aa_in1k",
    "timm/tf_efficientnet_b2.aa_in1k",
    "timm/tf_efficientnet_b4.aa_in1k",
    "timm/tf_efficientnet_b7.aa_in1k",
    "torchvision/efficientnet_v2_s.imagenet1k_v1",
    "torchvision/densenet121.imagenet1k_v1",
    "torchvision/densenet201.imagenet1k_v1",
    "signet/densenet264",
    "timm/mobilenetv1_100.ra4_e3600_r224_in1k",
    "timm/mobilenetv2_100.ra_in1k",
    "timm/mobilenetv3_small_100.lamb_in1k",
    "timm/mobilenetv3_large_100.ra_in1k",
    "torchvision/squeezenet1_1.imagenet1k_v1",
    "torchvision/shufflenet_v2_x1_0.imagenet1k_v1",
    "torchvision/mnasnet1_0.imagenet1k_v1",
    "signet/nasnet_a_mobile",
    "timm/nasnetalarge.tf_in1k",
    "keras/xception.imagenet",
    "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "timm/vit_small_patch16_224.augreg_in21k_ft_in1k",
    "timm/vit_base_patch16_224.augreg_in21k_ft_in1k",
    "timm/vit_large_patch16_224.augreg_in21k_ft_in1k",
    "timm/resnetv2_50x1_bit.goog_in21k_ft_in1k",
    "timm/resnetv2_101x1_bit.goog_in21k_ft_in1k",
    "open_clip/coca_ViT-B-32.laion2b_s13b_b90k",
    "torchvision/convnext_tiny.imagenet1k_v1",
    "torchvision/swin_t.imagenet1k_v1",
    "torchvision/maxvit_t.imagenet1k_v1",
)
"""One or two of each family; of several weights of one architecture, those that are most used."""
NEEDS_VALUES = ("keras/", "torchvision/regnet")
"""Names whose libraries compute with values while they build, which the meta device has not."""


def counted(name: str) -> dict[str, Any]:
    """The row of `counts` for a name."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from signet.untrained import untrained

    found = untrained(name)
    height, width = found.card.input_size or (224, 224)
    with torch.device("cpu" if name.startswith(NEEDS_VALUES) else "meta"):
        module = found.networks[0].build().eval().to("meta")
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 3, height, width))
    return {
        "name": name,
        "height": height,
        "width": width,
        "parameters": sum(value.numel() for value in module.parameters()),
        "gmacs": round(counter.get_total_flops() / 2e9, 4),
        "file_bytes": file_bytes(module.state_dict()),
        "versions": _versions(),
    }


def file_bytes(state: Mapping[str, Any]) -> int:
    """Bytes of a safetensors file: 8 for the length of the header, the header padded to 8, the tensors."""
    header, place = {}, 0
    for key, value in state.items():
        size = value.numel() * value.element_size()
        dtype = "F32" if value.is_floating_point() else "I64"
        header[key] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [place, place + size]}
        place += size
    written = len(json.dumps(header, separators=(",", ":")).encode())
    return 8 + -(-written // 8) * 8 + place


def measured(name: str, engine: str, precision: str, cache: Path, seconds: float) -> dict[str, Any]:
    """Milliseconds of forward passes of one image, in this process; with 0 seconds only the graph is made.

    Where the graph is there, torch is not imported, and not part of the memory.
    """
    from signet.engines.contract import EngineSettings
    from signet.images import Image
    from signet.preprocessing import prepare
    from signet.running import open_engine
    from signet.untrained import untrained

    found = untrained(name)
    settings = EngineSettings(precision=precision, cache=cache)  # type: ignore[arg-type]
    opened = open_engine(found, engine, settings)
    pixels = np.random.default_rng(3).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    batch = prepare([Image(pixels, "noise")], found.card.program, fuse=opened.fuses)
    taken: list[float] = []
    begin = time.perf_counter()
    while seconds and (len(taken) < WARM_RUNS + LEAST_RUNS or time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        opened.run(batch)
        taken.append(1000 * (time.perf_counter() - start))
    row: dict[str, Any] = {"precision": opened.precision, "threads": settings.thread_count}
    if seconds:
        kept = sorted(taken[WARM_RUNS:])
        row |= {"milliseconds": round(statistics.median(kept), 3), "runs": len(kept)}
        row |= {"low": round(kept[len(kept) // 10], 3), "high": round(kept[-1 - len(kept) // 10], 3)}
    opened.close()
    return {**row, "peak_bytes": peak_bytes()}


def peak_bytes() -> int | None:
    """The most memory that this process held since it began.

    What Linux says of a process's resources also holds what its parent had when it was started.
    """
    try:
        rows = Path("/proc/self/status").read_text().splitlines()
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmHWM"))
    except (OSError, StopIteration):
        return machine.peak_memory_bytes()


def speed(name: str, engine: str, precision: str, cache: Path, seconds: float) -> dict[str, Any]:
    """The row of `speed`, from a process of its own; where that fails, `problem` says how."""
    row = {"name": name, "engine": engine, "precision": precision, "problem": ""}
    row |= {"processor": machine.processor(), "versions": _versions()}
    try:
        if engine != "torch":
            _child(name, engine, precision, cache, 0)
        received = _child(name, engine, precision, cache, seconds)
    except subprocess.TimeoutExpired:
        return {**row, "problem": f"more than {LIMIT_SECONDS} seconds"}
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"status {error.returncode}"])[-1]
        return {**row, "problem": last[:200]}
    if received["precision"] != precision:
        return {**row, "problem": f"the engine ran in {received['precision']}"}
    return {**row, **received}


def _child(name: str, engine: str, precision: str, cache: Path, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "--measure", name]
    command += [
        "--engine",
        engine,
        "--precision",
        precision,
        "--cache",
        str(cache),
        "--seconds",
        str(seconds),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True)
    received: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return received


def read(file: Path) -> list[dict[str, str]]:
    """The rows of a result file, the last one of each key; none when there is no file."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as opened:
        rows = {_key(row): row for row in csv.DictReader(opened)}
    return list(rows.values())


def append(file: Path, columns: Sequence[str], row: Mapping[str, Any]) -> None:
    """Add a row to a result file, with a head when it is new."""
    file.parent.mkdir(exist_ok=True)
    new = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow({column: row.get(column, "") for column in columns})


def _key(row: Mapping[str, str]) -> tuple[str, ...]:
    return row["name"], row.get("engine", ""), row.get("precision", "")


def _versions() -> str:
    return json.dumps(machine.versions(), sort_keys=True)


def _wanted() -> list[tuple[str, str]]:
    """(engine, precision) of each measurement; bf16 where the processor has it."""
    bf16 = "bf16" in machine.processor()
    return [("torch", "fp32"), ("openvino", "fp32"), *([("openvino", "bf16")] if bf16 else [])]


def main() -> None:
    """Measure, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", action="store_true", help="parameters, GMACs and file size only")
    parser.add_argument("--page", action="store_true", help="write docs/catalogue.md from the newest results")
    parser.add_argument("--again", action="store_true", help="also what is in today's results")
    parser.add_argument("--only", default="", help="names with this in them")
    parser.add_argument("--date", default=f"{datetime.now(UTC):%Y-%m-%d}")
    parser.add_argument("--seconds", type=float, default=5.0, help="of forward passes for each measurement")
    for hidden in ("--measure", "--engine", "--precision"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        row = measured(chosen.measure, chosen.engine, chosen.precision, chosen.cache, chosen.seconds)
        print(json.dumps(row))
        return
    names = [name for name in NAMES if chosen.only in name]
    if not chosen.page:
        _count_all(names, RESULTS / f"catalogue-counts-{chosen.date}.csv", chosen.again)
        if not chosen.counts:
            file = RESULTS / f"catalogue-speed-{chosen.date}.csv"
            _time_all(names, file, chosen.again, chosen.seconds)
    import catalogue_page

    for written in catalogue_page.write(RESULTS, HERE.parent / "docs"):
        print(written)


def _count_all(names: Sequence[str], file: Path, again: bool) -> None:
    done = set() if again else {_key(row) for row in read(file)}
    for name in names:
        if (name, "", "") not in done:
            row = counted(name)
            append(file, COUNTS, row)
            print(f"{name}: {row['parameters']:,} parameters, {row['gmacs']:.3g} GMACs", flush=True)


def _time_all(names: Sequence[str], file: Path, again: bool, seconds: float) -> None:
    done = set() if again else {_key(row) for row in read(file)}
    for name in names:
        for engine, precision in _wanted():
            if (name, engine, precision) in done:
                continue
            with tempfile.TemporaryDirectory() as cache:
                row = speed(name, engine, precision, Path(cache), seconds)
            append(file, SPEED, row)
            words = row["problem"] or f"{row['milliseconds']} ms, {row['peak_bytes'] / 1e6:.0f} MB"
            print(f"{name} {engine} {precision}: {words}", flush=True)


if __name__ == "__main__":
    main()
