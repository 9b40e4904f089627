"""Few images of each class: what `finetune` does by itself, beside a probe, a full training and fastai.

    python benchmarks/small_data.py --model FOLDER --data DIR... --peers ENV/bin/python --work FOLDER
        [--counts 1 5 10 50] [--seeds 3] [--probe-seeds 10]

What trains has `--seeds` runs in each cell, what fits a probe `--probe-seeds`: so does `signet` where it has
fewer than `LEAST_A_CLASS` images a class.

FOLDER holds a timm network (`config.json`, `model.safetensors`), which all programs begin with; each DIR has
`train` and `test` with a folder of images for each class. For each count and seed so many images of each
class are drawn from `train`; every program gets the same ones and is measured on all of `test`, which decides
nothing. `signet` is `finetune` with no option but `--out`; `linear probe` is scikit-learn's logistic
regression, untouched, on timm's features at the network's own size; `timm` (a full training) and `fastai` are
those of `tuning/systems.py`. A run that is finished is not made again by the same network, size and, of
`signet`, code: `--work` has a folder for each network and size, and the name of a run of `signet` the digest
of its source. The probe's features are kept too, so that its seconds say little. A class with fewer images
gives all it has, and a dataset where most have fewer takes no part at that count.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

import signet
from signet import machine
from signet.finetuning.automatic import LEAST_A_CLASS
from tuning.systems import Asked, model_digest

HERE = Path(__file__).resolve().parent
PROGRAMS = ("signet", "linear probe", "timm", "fastai")
IMAGES = (".jpg", ".jpeg", ".png")


class Cell(NamedTuple):
    """One place of the table; each seed is a run in it."""

    dataset: str
    count: int
    program: str


class Ran(NamedTuple):
    """A run: the share of the test images that is right, and the seconds of its clock."""

    accuracy: float
    seconds: float


def drawn(data: Path, count: int, seed: int, to: Path) -> bool:
    """A copy of a dataset with few images of each class; False where most classes have fewer."""
    random = np.random.default_rng(seed)
    enough = 0
    folders = sorted(path for path in (data / "train").iterdir() if path.is_dir())
    for folder in folders:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
        enough += len(files) >= count
        (to / "train" / folder.name).mkdir(parents=True)
        for place in random.permutation(len(files))[:count].tolist():
            shutil.copyfile(files[place], to / "train" / folder.name / files[place].name)
    shutil.copytree(data / "test", to / "test")
    return 2 * enough > len(folders)


def run(program: str, asked: Asked, chosen: argparse.Namespace, scratch: Path) -> Ran:
    """One program to its end, with an empty cache; but the probe finds the features of earlier runs."""
    environment = {**os.environ, "SIGNET_CACHE": str(scratch / "cache"), "HF_HUB_OFFLINE": "1"}
    begin = time.perf_counter()
    if program == "signet":
        command = [sys.executable, "-m", "signet", "finetune", asked.model, asked.data, "--json", "--quiet"]
        command += ["--out", str(scratch / "tuned.signet"), "--threads", str(asked.threads)]
        command += ["--seed", str(asked.seed)]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout
        return Ran(json.loads(said)["metrics"]["top1"]["value"], time.perf_counter() - begin)
    stated = scratch / "asked.json"
    asked.write(stated)
    system = program.replace(" ", "-")
    command = [str(chosen.peers), "-W", "ignore", str(HERE / "tuning" / "systems.py"), system, str(stated)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=scratch, env=environment).stdout
    rows = [json.loads(line) for line in said.splitlines() if line.startswith(b'{"accuracy"')]
    return Ran(rows[-1]["accuracy"], time.perf_counter() - begin)


def runs(chosen: argparse.Namespace) -> Iterator[tuple[Cell, int]]:
    """Every run, the seeds first, so that a table of what is finished has all cells early."""
    most = max(chosen.seeds, chosen.probe_seeds)
    for seed, data, count, program in itertools.product(range(most), chosen.data, chosen.counts, PROGRAMS):
        probes = program == "linear probe" or (program == "signet" and count < LEAST_A_CLASS)
        if seed < (chosen.probe_seeds if probes else chosen.seeds):
            yield Cell(Path(data).name, count, program), seed


def source_digest() -> str:
    """Of the files of `signet` that run here, and of its data: 12 hexadecimal digits."""
    root = Path(signet.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def kept(cell: Cell, seed: int, chosen: argparse.Namespace) -> Path:
    """Where a finished run is kept: by all that it is a run of."""
    program = cell.program.replace(" ", "-")
    if cell.program == "signet":
        program = f"{program}-{chosen.source}"
    return Path(chosen.runs / f"{cell.dataset}-{cell.count}-{program}-{seed}.json")


def measure(cell: Cell, seed: int, chosen: argparse.Namespace) -> None:
    """One run, unless it is finished or its dataset has too few images."""
    place = kept(cell, seed, chosen)
    if place.exists():
        return
    data = next(Path(data) for data in chosen.data if Path(data).name == cell.dataset)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        found: Ran | None = None
        if drawn(data, cell.count, seed, scratch / "data"):
            asked = Asked(
                model=str(Path(chosen.model).resolve()),
                data=str(scratch / "data"),
                size=chosen.size,
                threads=chosen.threads,
                seed=seed,
                few=True,
                features=str((chosen.work / "features").resolve()),
            )
            found = run(cell.program, asked, chosen, scratch)
    part = place.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(place)
    print(f"{cell}, seed {seed}: {found}", flush=True)


def table(results: Mapping[Cell, Sequence[Ran]]) -> Iterator[str]:
    """The lines: accuracy in percent, its interval over seeds, and how far `signet` is ahead, paired."""
    for cell, found in results.items():
        mine = results[cell._replace(program="signet")]
        ahead = ""
        if cell.program != "signet":
            pairs = [100 * (one.accuracy - two.accuracy) for one, two in zip(mine, found, strict=False)]
            ahead = _mean(pairs, "+.1f")
        accuracies = [100 * each.accuracy for each in found]
        seconds = np.mean([each.seconds for each in found])
        cells = (cell.dataset, str(cell.count), cell.program, str(len(found)))
        yield f"| {' | '.join(cells)} | {_mean(accuracies, '.1f')} | {ahead} | {seconds:.0f} |"


def _mean(values: Sequence[float], form: str) -> str:
    """The mean with its 95 % interval by Student's t; the mean alone of a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:{form}}"
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return f"{mean:{form}} ({mean - half:{form}} to {mean + half:{form}})"


def report(results: Mapping[Cell, Sequence[Ran]], chosen: argparse.Namespace) -> str:
    """What is finished, as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions().items()))
    return "\n".join(
        [
            "# Few images of each class",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}; threads: {chosen.threads}; "
            f"{chosen.size} pixels in the peers that train. {versions}.",
            "",
            f"Backbone: {Path(chosen.model).name}. Accuracy on all test images, which decide nothing, in "
            "percent; intervals are over seeds (Student's t), and small where the drawn images differ little "
            "in worth. Ahead: accuracy of `signet` less that of the program, on the same drawn images. "
            "Seconds are of the clock, from an empty cache; but `linear probe` finds the features of images "
            "that an earlier run extracted, so that its seconds are not the cost of a run by itself.",
            "",
            "| dataset | images a class | program | seeds | accuracy % | signet is ahead by | seconds |",
            "|---|--:|---|--:|--:|--:|--:|",
            *table(results),
            "",
        ]
    )


def main() -> int:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of a timm network")
    parser.add_argument("--data", nargs="+", required=True, help="folders with `train` and `test`")
    parser.add_argument("--peers", type=Path, required=True, help="Python of the environment with the peers")
    parser.add_argument("--counts", nargs="+", type=int, default=[1, 5, 10, 50])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--probe-seeds", type=int, default=10)
    parser.add_argument("--size", type=int, default=96, help="height and width of the peers' input")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, required=True, help="where finished runs are kept")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    chosen.source = source_digest()
    chosen.runs = chosen.work / f"{model_digest(Path(chosen.model))}-{chosen.size}"
    chosen.runs.mkdir(parents=True, exist_ok=True)
    results: dict[Cell, list[Ran]] = {}
    for cell, seed in runs(chosen):
        measure(cell, seed, chosen)
    for cell, seed in sorted(runs(chosen), key=lambda each: (each[0].dataset, each[0].count, each[1])):
        found = json.loads(kept(cell, seed, chosen).read_text())
        if found is not None:
            results.setdefault(cell, []).append(Ran(*found))
    text = report(results, chosen)
    chosen.out.mkdir(exist_ok=True)
    (chosen.out / f"small_data-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
