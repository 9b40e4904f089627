"""What a pretraining is worth: detectors and segmenters from a pretrained backbone and from random weights.

    python benchmarks/adaptation.py --data DIR --model MODEL --work FOLDER [--only TEXT] [--threads N]

Each pair is one network on one dataset, taught for the same number of steps with the same augmentation, once
from the backbone's weights and once from random ones (`--strategy scratch`, whose backbone learns at the
head's rate). Figures are those of the test part, which no decision used. A run that was interrupted goes on;
one that is finished is not made again; the table is written of what is finished.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signet import machine

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Pair:
    """One network on one dataset.

    Attributes:
        dataset: folder inside `--data`.
        figure: of the test part, by which the two are compared.
        settings: of the recipe, the same for both.
        rate: of the pretrained backbone.
        seeds: each is a pair of runs.
    """

    dataset: str
    figure: str
    settings: Mapping[str, Any]
    rate: float
    seeds: tuple[int, ...] = (0,)


PAIRS = (
    Pair("bccd", "ap50", {"head": "yolo", "epochs": 45, "input_size": 320}, 3e-4),
    Pair("nuclei_200", "mask_ap50", {"head": "yolo", "epochs": 12, "batch": 4, "input_size": 416}, 3e-4),
    Pair("camvid_small", "miou", {"head": "unet", "epochs": 40, "batch": 4, "input_size": 224}, 1e-4, (0, 1)),
)
ARMS = {"pretrained": "full", "random": "scratch"}
RANDOM_RATE = 1e-3


def runs(pair: Pair) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """(name of the run, arm, seed, recipe)."""
    for seed in pair.seeds:
        for arm, strategy in ARMS.items():
            rate = pair.rate if arm == "pretrained" else RANDOM_RATE
            own = {"strategy": strategy, "backbone_rate": rate, "seed": seed, "patience": 0}
            yield f"{pair.dataset}-{arm}-{seed}", arm, seed, {**pair.settings, **own}


def run(name: str, recipe: Mapping[str, Any], pair: Pair, chosen: argparse.Namespace) -> None:
    """One fine-tuning by the command line; its JSON is kept when it is finished."""
    import tomli_w

    done = chosen.work / f"{name}.json"
    if done.exists():
        return
    stated = chosen.work / f"{name}.toml"
    stated.write_text(tomli_w.dumps(dict(recipe)))
    command = [sys.executable, "-m", "signet", "finetune", chosen.model, str(chosen.data / pair.dataset)]
    command += ["--out", str(chosen.work / f"{name}.signet"), "--recipe", str(stated), "--resume", "--json"]
    command += ["--threads", str(chosen.threads)] if chosen.threads else []
    found = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    part = done.with_suffix(".part")
    part.write_bytes(found.stdout)
    part.replace(done)


def line(pair: Pair, arm: str, seed: int, outcome: Mapping[str, Any]) -> str:
    """A row of the table."""
    metrics = outcome["metrics"]
    shown = [
        f"{name} {metrics[name]['value']:.3f} ({metrics[name]['low']:.3f} to {metrics[name]['high']:.3f})"
        for name in dict.fromkeys((pair.figure, *metrics))
        if name in metrics and name in (pair.figure, "ap", "ap50", "mask_ap", "miou", "dice")
    ]
    plan = outcome["plan"]
    height, width = plan["input_size"]
    minutes = f"{outcome['seconds'] / 60:.0f}"
    cells = (
        pair.dataset,
        arm,
        str(seed),
        f"{height}x{width}",
        str(plan["epochs"]),
        str(outcome["kept_epoch"]),
        "; ".join(shown),
        minutes,
    )
    return f"| {' | '.join(cells)} |"


def table(chosen: argparse.Namespace) -> str:
    """What is finished, as Markdown."""
    rows, gains = [], []
    for pair in PAIRS:
        values: dict[tuple[str, int], float] = {}
        for name, arm, seed, _ in runs(pair):
            kept = chosen.work / f"{name}.json"
            if not kept.exists():
                continue
            outcome = json.loads(kept.read_text())
            rows.append(line(pair, arm, seed, outcome))
            values[arm, seed] = outcome["metrics"][pair.figure]["value"]
        gains += [
            f"- {pair.dataset}, seed {seed}: {pair.figure} {values['pretrained', seed]:.3f} pretrained, "
            f"{values['random', seed]:.3f} from random weights: "
            f"{100 * (values['pretrained', seed] - values['random', seed]):+.1f} points."
            for seed in pair.seeds
            if ("pretrained", seed) in values and ("random", seed) in values
        ]
    return "\n".join(
        [
            "# A pretrained backbone beside random weights",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}; threads: {chosen.threads or 'all'}; "
            f"{', '.join(f'{name} {version}' for name, version in sorted(machine.versions().items()))}.",
            "",
            f"Backbone: {chosen.model}. Equal steps and augmentation in both runs of a pair; figures of the "
            "test part with 95 % intervals; minutes are of a machine that did other work meanwhile.",
            "",
            "| dataset | begins | seed | pixels | epochs | kept | test | minutes |",
            "|---|---|--:|---|--:|--:|---|--:|",
            *rows,
            "",
            *gains,
            "",
        ]
    )


def main() -> None:
    """Run what is not finished, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="timm/mobilenetv2_100.coral_in1k")
    parser.add_argument("--work", type=Path, required=True, help="seals and checkpoints; kept")
    parser.add_argument("--only", default="", help="runs with this in their name")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    for pair in PAIRS:
        for name, _, _, recipe in runs(pair):
            if chosen.only in name:
                run(name, recipe, pair, chosen)
    text = table(chosen)
    chosen.out.mkdir(exist_ok=True)
    (chosen.out / f"adaptation-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
