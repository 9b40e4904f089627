"""What adapting to images without labels is worth: one dataset, and five corruptions of it.

    python benchmarks/domain.py --data DIR --model MODEL --work FOLDER [--side N] [--images N] [--csv FILE]

A linear probe learns a part of the training images as they are. Other training images are corrupted and,
without their labels, adapted to; the corrupted test images, which are neither, say what that was worth.
Every corruption is at the strongest of its five severities. Each finished figure is kept in `--work`, so that
the command can be stopped and called again; with other arguments or other data it wants another folder.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from domains.corruptions import CORRUPTIONS, write_corrupted
from signet import resolve, storage
from signet.datasets import Dataset, open_dataset
from signet.finetuning import domains, label_sets
from signet.finetuning.jobs import Job
from signet.finetuning.joining import module_of
from signet.finetuning.planning import make_plan
from signet.finetuning.probes import at_size, featured, features_of, fitted
from signet.finetuning.strategies import Strategy, dealt
from signet.finetuning.workplace import Workplace
from signet.networks import Pretrained
from signet.progress import silent
from signet.recipes import Recipe
from signet.records import Interval

METHODS = ("auto", "adabn", "coral", "tent")

FIELDS = ("value", "low", "high")


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--side", type=int, default=0, help="0: the model's own")
    parser.add_argument("--images", type=int, default=60, help="of a class, to learn from")
    parser.add_argument("--target", type=int, default=30, help="of a class, to adapt to")
    parser.add_argument("--test", type=int, default=50, help="of a class, to measure on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path, help="write the figures of the table there, too")
    asked = parser.parse_args()
    name = asked.model.rstrip("/").rsplit("/", 1)[-1]
    rows = list(_rows(asked, name, asked.work / f"{name}-{asked.side}"))
    if asked.csv:
        lines = [line for row in rows for line in _figures(asked, name, row)]
        with asked.csv.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.DictWriter(opened, list(lines[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
    sys.stdout.write("\n".join([*_heading(asked, name), *_table(rows)]) + "\n")


def _rows(asked: argparse.Namespace, name: str, work: Path) -> Iterator[dict[str, Any]]:
    """The figures of each corruption, from the folder where they are kept."""
    recipe = Recipe(strategy="probe", threads=asked.threads, golden="made", target=str(work))
    dataset = open_dataset(asked.data)
    source = _source(dataset, asked)
    about = _about(asked, name, dataset, source)
    decided: tuple[Job, domains.Candidate] | None = None
    for kind in ("none", *CORRUPTIONS):
        done: dict[str, Any] = {}
        for method in METHODS:
            place = work / "rows" / kind / f"{method}.json"
            if not place.is_file():
                decided = decided or _decided(asked, source, recipe, work)
                if method in ("adabn", "tent") and module_of(decided[0].start) is None:
                    continue
                folder = _corrupted(asked, about, kind, work / "data" / kind)
                begin = time.monotonic()
                # The same seed: what was chosen is the same network.
                same = "auto" in done and done["auto"]["method"] == method
                found = done["auto"] if same else _by(asked, decided, method, folder)
                seconds = time.monotonic() - begin
                record = {"about": about, "kind": kind, "method": method, "seconds": seconds, "found": found}
                storage.write_json(place, record)
                sys.stderr.write(f"{kind}, {method}: {seconds:.0f} seconds\n")
            done[method] = _held(json.loads(place.read_text("utf-8")), about, place)["found"]
        yield {"kind": kind, "methods": done}


def _about(
    asked: argparse.Namespace, name: str, dataset: Dataset[Any], source: Dataset[Any]
) -> dict[str, Any]:
    """What decides the figures: model, numbers of images, and the images themselves."""
    target = [dataset.entries[at].path for at in _places(dataset, "train", asked.images, asked.target)]
    digests = [storage.digest_of(path) for path in (*source.paths, *target)]
    counts = {key: getattr(asked, key) for key in ("side", "images", "target", "test")}
    return {"model": name, **counts, "data": hashlib.sha256("\n".join(digests).encode()).hexdigest()}


def _held(record: dict[str, Any], about: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """What was kept, where it is of these arguments and this data."""
    kept = record.get("about", {})
    others = [f"{key} {kept.get(key)!r}" for key in about if kept.get(key) != about[key]]
    if others:
        sys.exit(
            f"{place}: expected what was made with these arguments and this data, got {', '.join(others)}. "
            "Name another folder by --work."
        )
    return record


def _source(dataset: Dataset[Any], asked: argparse.Namespace) -> Dataset[Any]:
    """The first training images of each class to learn from, and the first test images."""
    return dataset.subset(
        [*_places(dataset, "train", 0, asked.images), *_places(dataset, "test", 0, asked.test)]
    )


def _places(dataset: Dataset[Any], split: str, first: int, count: int) -> list[int]:
    """Positions of some images of each class of a split, in their order."""
    found = []
    for label in range(len(dataset.labels)):
        own = [at for at, one in enumerate(dataset.entries) if one.split == split and one.classes == (label,)]
        found += own[first : first + count]
    return found


def _decided(
    asked: argparse.Namespace, source: Dataset[Any], recipe: Recipe, work: Path
) -> tuple[Job, domains.Candidate]:
    """A run up to its probe, as `finetune` does it."""
    start = _started(asked)
    parts, strategy = dealt(source, recipe, Strategy("probe", ()), silent)
    plan = make_plan(start, source, parts, recipe, strategy)
    job = Job(start, parts, plan, recipe, Workplace(work))
    rows, _, _ = features_of(start, parts.development.paths, recipe, silent, parts.digests)
    targets = parts.development.targets
    probe = fitted(rows, targets, len(parts.labels), parts.folds, recipe, silent)
    temperature = label_sets.temperature_of(probe.out_of_fold[probe.judged], targets[probe.judged])
    network = domains.of_probe(job, probe, rows)
    return job, domains.Candidate(job, network, probe, None, (), temperature)


def _started(asked: argparse.Namespace) -> Pretrained:
    found = featured(resolve(asked.model))
    return at_size(found, (asked.side, asked.side)) if asked.side else found


def _by(
    asked: argparse.Namespace, decided: tuple[Job, domains.Candidate], method: str, folder: Path
) -> dict[str, Any]:
    """What a method comes to on a folder of corrupted images."""
    job, candidate = decided
    recipe = job.recipe.changed(adaptation=method, target=str(folder))
    target = domains.target_of(recipe, open_dataset(asked.data))
    if target is None or job.parts.test is None:
        raise TypeError("expected a target and test images")
    own = dataclasses.replace(job, recipe=recipe, target=target)
    test = job.parts.test, candidate.network.logits(job.parts.test.paths)
    _, found = domains.adapted_to(dataclasses.replace(candidate, job=own), target, test, seed=0)
    return found.to_dict()


def _corrupted(asked: argparse.Namespace, about: Mapping[str, Any], kind: str, to: Path) -> Path:
    """Training images after those that are learned from, and test images, corrupted: `train/`, `test/`.

    The folder is there when all of it is.
    """
    kept = to.with_name(f"{to.name}.json")
    if to.is_dir() and kept.is_file():
        _held(json.loads(kept.read_text("utf-8")), about, to)
        return to
    dataset = open_dataset(asked.data)
    places = [
        *_places(dataset, "train", asked.images, asked.target),
        *_places(dataset, "test", 0, asked.test),
    ]
    made = to.with_name(f"{to.name}.part")
    for old in (made, to):
        shutil.rmtree(old, ignore_errors=True)
    for number, at in enumerate(places):
        entry = dataset.entries[at]
        place = made / str(entry.split) / dataset.labels[entry.classes[0]] / f"{entry.path.stem}.png"
        write_corrupted(entry.path, place, kind, number)
    made.rename(to)
    storage.write_json(kept, {"about": about}, overwrite=True)
    return to


def _figures(asked: argparse.Namespace, name: str, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line of the table for each method, as numbers."""
    for method in sorted(row["methods"]):
        found = row["methods"][method]
        measured, source = found["measured"], found["source"]
        yield {
            "model": name,
            "side": asked.side,
            "images": row["kind"],
            "method": method,
            "took": found["method"],
            **{f"told_apart_{key}": found["told_apart"][key] for key in FIELDS},
            "right_not_adapted": measured["before"]["value"],
            **{f"difference_{key}": measured["difference"][key] for key in FIELDS},
            **{f"source_difference_{key}": source["difference"][key] for key in FIELDS},
            "measured_on": measured["images"],
        }


def _heading(asked: argparse.Namespace, name: str) -> list[str]:
    side = f"{asked.side} pixels" if asked.side else "its own size"
    return [
        f"{name} at {side}: a probe on {asked.images} images a class as they are; {asked.target} corrupted "
        f"images a class without labels to adapt to; measured on {asked.test} others a class, corrupted.",
        "",
        "| images | told apart | right, not adapted | adabn | coral | tent | auto | auto took |",
        "|---|---|---|---|---|---|---|---|",
    ]


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each corruption: the share of right answers, and what each method changes, in points."""
    for row in rows:
        done = row["methods"]
        auto = done["auto"]
        area = auto["told_apart"]
        cells = [_change(done.get(method)) for method in ("adabn", "coral", "tent", "auto")]
        before = Interval(**auto["measured"]["before"])
        yield (
            f"| {row['kind']} | {area['value']:.2f} | {100 * before.value:.1f} % | {' | '.join(cells)} | "
            f"{auto['method']} |"
        )
    shifted = [row["methods"] for row in rows if row["kind"] != "none"]
    means = []
    for method in ("adabn", "coral", "tent", "auto"):
        gains = [100 * one[method]["measured"]["difference"]["value"] for one in shifted if method in one]
        means.append(f"{np.mean(gains):+.1f}" if gains else "-")
    base = np.mean([100 * one["auto"]["measured"]["before"]["value"] for one in shifted])
    yield f"| mean of the corruptions | | {base:.1f} % | {' | '.join(means)} | |"


def _change(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    gap = found["measured"]["difference"]
    return f"{100 * gap['value']:+.1f} ({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f})"


if __name__ == "__main__":
    main()
