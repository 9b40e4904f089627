"""What int8 costs and gains: three real seals, held to their floats image by image, and the clock beside it.

    python benchmarks/compression.py --shared ../shared --work FOLDER --out RESULTS.md

MobileNetV2 and SqueezeNet of the shared weights are judged on `imagenet_sample_250`, a MobileNetV2 with a
probe on cifar10_small on every fourth image of that set's test part; all are calibrated on `coco_tiny`. The
gate asks for at most two net losses in 250 and 97 % equal decisions. Time is processor time of the network
alone, one image, one thread, in rounds in which fp32, bf16 and int8 take turns in one process. What was made
stays in FOLDER, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from signet import machine, resolve, seal
from signet.compression import CompressSettings, Gate, compress
from signet.datasets import Dataset, open_dataset
from signet.engines.contract import EngineSettings
from signet.finetuning import finetune
from signet.models import default_cache, load
from signet.recipes import Recipe

GATE = Gate(max_drop=2 / 250, min_alike=0.97)
ROUNDS = 40
PRECISIONS = ("fp32", "bf16", "int8")
MOBILENET, SQUEEZENET = "timm/mobilenetv2_100.coral_in1k", "torchvision/squeezenet1_0.dc_in1k"


@dataclass(frozen=True)
class Case:
    """One seal and the images that judge it."""

    name: str
    model: str
    judged: str
    learns: bool = False
    every: int = 1


CASES = (
    Case("MobileNetV2", MOBILENET, "imagenet_sample_250/index.csv"),
    Case("SqueezeNet 1.0", SQUEEZENET, "imagenet_sample_250/index.csv"),
    Case("MobileNetV2, probe on cifar10_small", MOBILENET, "cifar10_small", learns=True, every=4),
)


def sealed(case: Case, data: Dataset[Any], place: Path) -> Path:
    """The seal before compression."""
    if place.exists():
        return place
    if case.learns:
        recipe = Recipe(strategy="probe", golden="made", threads=1)
        finetune(resolve(case.model), data, out=place, recipe=recipe)
    else:
        seal(resolve(case.model), data.paths[:4], out=place)
    return place


def timed(before: Path, after: Path, images: list[Path]) -> dict[str, float]:
    """Median processor milliseconds of one run on one image, in each precision."""
    settings = EngineSettings(threads=1, workers=1, batch=1, cache=default_cache())
    models = [
        load(
            before if precision != "int8" else after,
            engine="openvino",
            precision=precision,
            settings=settings,
        )
        for precision in PRECISIONS
    ]
    batches = [[model.prepare([model.read(path)]) for path in images] for model in models]
    spent: list[list[float]] = [[] for _ in models]
    for turn in range(ROUNDS + 1):
        for step in range(len(models)):
            place = (turn + step) % len(models)
            for batch in batches[place]:
                begin = time.process_time()
                models[place].run(batch)
                if turn:
                    spent[place].append(1000 * (time.process_time() - begin))
    for model in models:
        model.close()
    return {name: round(median(times), 3) for name, times in zip(PRECISIONS, spent, strict=True)}


def measured(case: Case, shared: Path, work: Path) -> dict[str, Any]:
    """Compress one seal and note what came of it; time it anew."""
    stem = case.name.lower().replace(" ", "-").replace(",", "").replace(".", "")
    note = work / f"{stem}.json"
    data = open_dataset(shared / "data" / case.judged)
    before, after = sealed(case, data, work / f"{stem}.signet"), work / f"{stem}-int8.signet"
    judged = data.select("test") if "test" in data.splits else data
    judged = judged.subset(range(0, len(judged), case.every))
    if not note.exists():
        others = sorted((shared / "data" / "coco_tiny").rglob("*.jpg"))
        running = EngineSettings(threads=1, cache=default_cache())
        settings = CompressSettings(
            gate=GATE,
            calibration=others,
            running=running,
            precision="fp32",
            keep_refused=True,
            overwrite=True,
        )
        found = compress(before, judged, to="int8", out=after, settings=settings)
        note.write_text(json.dumps({"compressed": found.to_dict()}, indent=1), "utf-8")
    return {
        "name": case.name,
        "judged": case.judged.split("/")[0],
        "compressed": json.loads(note.read_text("utf-8"))["compressed"],
        "milliseconds": timed(before, after, list(judged.paths[:4])),
    }


def page(rows: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions().items()))
    lines = [
        "# int8, decision by decision",
        "",
        "Calibrated on 160 pictures of coco_tiny. The gate: at most 2 net losses in 250 (0.8 points), and at",
        "least 97 % of the decisions as in fp32, on the same images. Everything that was tried is here; the",
        "one that was delivered is the first that passes.",
        "",
        "| seal | judged on | network | net loss | as before | size | gate |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        done = row["compressed"]
        for one in done["frontier"]:
            count = done["flips"]["count"]
            lost = round(one["drop"]["value"] * count)
            size = one["size_bytes"] / done["before"]["size_bytes"]
            share = f"{one['alike']} of {count} ({100 * one['alike'] / count:.1f} %)"
            verdict = "passed" if one["passed"] else "refused"
            lines.append(
                f"| {row['name']} | {row['judged']} | {one['name']} | {lost} of {count} | {share} | "
                f"{size:.2f} | {verdict} |"
            )
    lines += [
        "",
        "The layers that are in floats were ranked on calibration images; how many of them, the gate decided",
        "on the images that judge, so what was lost there is a little flattered.",
        "",
        "## Time",
        "",
        f"Processor milliseconds of the delivered network alone: one image, one thread, median of {ROUNDS}",
        "rounds in which the three take turns in one process, OpenVINO. Processor time does not count",
        "waiting, but caches are shared with whatever else runs. Layers in floats are computed in fp32.",
        "",
        "| seal | precision | ms | times fp32 | times bf16 |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        times = row["milliseconds"]
        for precision in PRECISIONS:
            lines.append(
                f"| {row['name']} | {precision} | {times[precision]:.2f} | "
                f"{times['fp32'] / times[precision]:.2f} | {times['bf16'] / times[precision]:.2f} |"
            )
    when = datetime.now(UTC).date().isoformat()
    lines += ["", f"{when}; Python {platform.python_version()} on {machine.processor()}; {versions}.", ""]
    return "\n".join(lines)


def main() -> int:
    """Measure what is not measured yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", help="names of seals; all by default")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    rows = [
        measured(case, asked.shared, asked.work)
        for case in CASES
        if not asked.only or case.name in asked.only
    ]
    text = page(rows)
    if asked.out:
        asked.out.write_text(text, "utf-8")
    print(text)
    return 0 if all(row["compressed"]["gate"]["passed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
