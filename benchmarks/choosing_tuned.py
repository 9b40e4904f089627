"""The picks of `choosing.py` beside what fine-tuning makes of every candidate that can be trained.

    SIGNET_MIRROR=../shared/weights python benchmarks/choosing_tuned.py --shared ../shared --work FOLDER

`choosing.py` takes the full probe of a candidate for the truth. Here a candidate is worth what `signet
finetune --strategy partial` seals of it on all training pictures: the better of probe and training of the
last stages by its validation images. A TFLite file cannot be trained, so its probe is all that it can come
to. The same pictures are held out. The picks are those of `results/choosing.csv`, and those of `--trainable`,
made here by the same seeds among the candidates that can be trained.

A run is kept in `--work` and not made again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from choosing import (
    FILES,
    LARGE,
    NAMES,
    RESULTS,
    Case,
    case_of,
    chosen,
    contestants,
    few,
    pictures_of,
    short,
    smaller_copy,
)
from signet import machine
from signet.choosing.candidates import Candidate
from signet.choosing.settings import ChooseSettings

CASES = ("coco_tiny", "camvid_small", "cifar10_small, 60 a class", "cifar10_small")
"""Those of `choosing.py` whose trainings end within the hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What became of one candidate.

    Attributes:
        sealed: share of the held-out pictures that the sealed model gets right.
        low: of its 95 % interval.
        high: likewise.
        probe: share that the probe gets right.
        trained: share that the trained network gets right; None where nothing was trained.
        seconds: of all processors, from start to seal.
    """

    sealed: float
    low: float
    high: float
    probe: float
    trained: float | None
    seconds: float


def written(name: str, data: Path, work: Path) -> Path:
    """A case's pictures as a CSV that `finetune` reads: path, label, split, group."""
    base, _, rest = name.partition(", ")
    out = work / f"{base}{'-few' if rest else ''}.csv"
    if out.is_file():
        return out
    dataset, targets, groups, test = pictures_of(data / base)
    case = Case(base, dataset, (), targets, groups, test, np.zeros((0, 0)), 0.0)
    if rest:
        case = few(case, int(rest.split()[0]))
    part, links = out.with_suffix(".part"), work / out.stem
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir()
    columns = (case.dataset.paths, case.targets.tolist(), case.groups.tolist(), case.test.tolist())
    with part.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label", "split", "group"])
        for place, (path, target, group, held) in enumerate(zip(*columns, strict=True)):
            # Two objects may be the same picture, kept in one file: here each has a name of its own.
            link = links / f"{place:05d}{path.suffix}"
            link.symlink_to(path.resolve())
            row = (f"class{target:03d}", "test" if held else "train", f"group{group:05d}")
            rows.writerow([f"{links.name}/{link.name}", *row])
    part.replace(out)
    return out


def tuned(model: str, source: Path, strategy: str, place: Path) -> Tuned:
    """One fine-tuning, or what was kept of it."""
    if not place.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "signet", "finetune", model, str(source), "--no-audit", "--json"]
            command += ["--out", f"{scratch}/x.signet", "--strategy", strategy, "--threads", "1", "--quiet"]
            begin = _children()
            said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
            found = json.loads(said) | {"processor_seconds": _children() - begin}
        part = place.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.replace(place)
    kept = json.loads(place.read_text())
    top1, trained = kept["metrics"]["top1"], kept["finetuned"]
    return Tuned(
        sealed=top1["value"],
        low=top1["low"],
        high=top1["high"],
        probe=kept["probe"]["top1"]["value"],
        trained=None if trained is None else trained["top1"]["value"],
        seconds=kept["processor_seconds"],
    )


def rows_of(case: str, found: Mapping[str, Tuned]) -> list[str]:
    """Lines of the table of one case, best first."""

    def percent(share: float | None) -> str:
        return "" if share is None else f"{100 * share:.1f}"

    return [
        f"| {case} | {name} | {percent(one.sealed)} ({percent(one.low)} to {percent(one.high)}) | "
        f"{percent(one.probe)} | {percent(one.trained)} | {one.seconds:.0f} |"
        for name, one in sorted(found.items(), key=lambda item: -item[1].sealed)
    ]


def regrets(found: Mapping[str, Tuned], choices: Sequence[Mapping[str, str]]) -> list[tuple[float, float]]:
    """Points lost by each pick, and by "highest ImageNet top-1", against the best that was sealed."""
    best = max(one.sealed for one in found.values())

    def lost(name: str) -> float:
        return 100 * (best - found[name].sealed)

    return [(lost(row["pick"]), lost(row["baseline"])) for row in choices]


def among_trainable(
    name: str, shared: Path, candidates: Sequence[Candidate], times: Mapping[str, float], seeds: Sequence[int]
) -> list[dict[str, str]]:
    """What `choose --trainable` picks, by each seed; rows as those of `choosing.csv`."""
    some = [one for one in candidates if one.pretrained.module is not None]
    base, _, rest = name.partition(", ")
    case = case_of(base, shared / "data" / base, some, tune=False)
    if rest:
        case = few(case, int(rest.split()[0]))
    rows = []
    for seed in seeds:
        found, _ = chosen(case, some, times, ChooseSettings(seed=seed, inspect=False, threads=1))
        rows.append({"case": name, "pick": short(found.pick), "baseline": short(found.baseline)})
    return rows


def summary(
    results: Mapping[str, Mapping[str, Tuned]], choices: Sequence[Mapping[str, str]]
) -> Iterator[str]:
    """Lines of the table of what the picks lose."""
    yield "| case | choices | picks | lost by the pick | lost by ImageNet top-1 |"
    yield "|---|--:|---|--:|--:|"
    every: list[tuple[float, float]] = []
    for case, found in results.items():
        mine = [row for row in choices if row["case"] == case]
        lost = regrets(found, mine)
        every += lost
        picks = ", ".join(dict.fromkeys(row["pick"] for row in mine))
        yield f"| {case} | {len(mine)} | {picks} | {_means(lost)} |"
    yield f"| all | {len(every)} |  | {_means(every)} |"


def _means(lost: Sequence[tuple[float, float]]) -> str:
    return " | ".join(f"{mean:.2f}" for mean in np.mean(lost, axis=0))


def page(
    results: Mapping[str, Mapping[str, Tuned]],
    choices: Sequence[Mapping[str, str]],
    trainable: Sequence[Mapping[str, str]],
) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions().items()))
    return "\n".join(
        [
            "# Choices beside fine-tuned candidates",
            "",
            f"`benchmarks/choosing_tuned.py`, {datetime.now(UTC):%Y-%m-%d}; {machine.processor()}; one "
            f"thread. {versions}.",
            "",
            "What `signet finetune --strategy partial` seals of each candidate, on all training pictures: "
            "probe or training, by validation images. Accuracy of held-out pictures, 95 % intervals. A "
            "TFLite file cannot be trained: its probe is sealed.",
            "",
            "| case | candidate | sealed % | probe % | trained % | processor seconds |",
            "|---|---|--:|--:|--:|--:|",
            *(line for case, found in results.items() for line in rows_of(case, found)),
            "",
            "Points lost in the mean against the best sealed model of all. The picks of `choosing.csv`, made "
            "among all candidates, on probes alone:",
            "",
            *summary(results, choices),
            "",
            "The picks of `choose --trainable`, made on probes too, among those that can be trained:",
            "",
            *summary(results, trainable),
            "",
        ]
    )


def main() -> None:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="the folder with data/ and weights/")
    parser.add_argument("--work", type=Path, required=True, help="where finished runs are kept")
    parser.add_argument("--choices", type=Path, default=RESULTS / "choosing.csv")
    parser.add_argument("--case", action="append", choices=CASES, default=[], help="only this one")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    weights = asked.shared / "weights"
    models = {short(name): (name, "partial") for name in NAMES}
    smaller = smaller_copy(weights / LARGE)
    models[smaller.name] = (str(smaller), "partial")
    models |= {name: (str(weights / "files" / f"{name}.tflite"), "probe") for name in FILES}
    with asked.choices.open(encoding="utf-8") as stream:
        choices = [row for row in csv.DictReader(stream) if row["case"] in (asked.case or CASES)]
    results: dict[str, dict[str, Tuned]] = {}
    trainable: list[dict[str, str]] = []
    candidates, times = contestants(asked.shared)
    for case in asked.case or CASES:
        source = written(case, asked.shared / "data", asked.work)
        results[case] = {}
        for name, (model, strategy) in models.items():
            one = tuned(model, source, strategy, asked.work / f"{source.stem}-{name}.json")
            results[case][name] = one
            print(case, name, one, flush=True)
        seeds = [int(row["seed"]) for row in choices if row["case"] == case]
        trainable += among_trainable(case, asked.shared, candidates, times, seeds)
    text = page(results, choices, trainable)
    (asked.out / f"choosing_tuned-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)


def _children() -> float:
    """Processor seconds of all processes that have ended."""
    used = os.times()
    return used.children_user + used.children_system


if __name__ == "__main__":
    main()
