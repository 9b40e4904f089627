"""What a whole `signet finetune` costs the processor, in this source tree and in an earlier one.

    git worktree add ../earlier COMMIT
    python benchmarks/finetune_cost.py --model FOLDER --data DIR... --before ../earlier --work FOLDER

Each run is a fresh process with an empty cache and one thread, from the command to the sealed and verified
model; the trees take turns. Processor seconds are those of the process and its children, user and system:
they can be compared on a machine that does other work, seconds of the clock cannot. A run that is finished is
not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signet import machine

HERE = Path(__file__).resolve().parent
STRATEGIES = ("probe", "auto")


def cost(tree: Path, model: Path, data: Path, strategy: str) -> dict[str, Any]:
    """One run: its processor seconds, and what came of it."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "signet", "finetune", str(model), str(data)]
        command += ["--out", f"{scratch}/tuned.signet", "--strategy", strategy, "--threads", "1"]
        alone = {
            **os.environ,
            "PYTHONPATH": str(tree / "src"),
            "SIGNET_CACHE": f"{scratch}/cache",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [*command, "--quiet", "--json"], stdout=subprocess.PIPE, check=True, env=alone, cwd=scratch
        )
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = json.loads(done.stdout)
    return {
        "processor_seconds": ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime,
        "chosen": said["chosen"],
        "top1": said["metrics"]["top1"],
        "probe": said["probe"]["top1"]["value"],
    }


def rows(found: dict[tuple[str, str], dict[str, dict[str, Any]]]) -> Iterator[str]:
    """The lines of the table."""
    for (data, strategy), runs in found.items():
        for name, run in runs.items():
            top1 = run["top1"]
            interval = f"{100 * top1['value']:.1f} ({100 * top1['low']:.1f} to {100 * top1['high']:.1f})"
            cells = [data, strategy, name, f"{run['processor_seconds']:.1f}", run["chosen"], interval]
            cells.append(f"{100 * run['probe']:.1f}")
            yield f"| {' | '.join(cells)} |"


def commit_of(tree: Path) -> str:
    """The commit that a source tree is at, in ten digits."""
    command = ["git", "-C", str(tree), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def main() -> int:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of a pretrained network")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="datasets of labels")
    parser.add_argument("--before", type=Path, required=True, help="an earlier source tree")
    parser.add_argument("--after", type=Path, default=HERE.parent, help="a later one; this by default")
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES, choices=STRATEGIES)
    parser.add_argument("--work", type=Path, required=True, help="where finished runs are kept")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    trees = {commit_of(tree): tree.resolve() for tree in (chosen.before, chosen.after)}
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for strategy in chosen.strategies:
        for data in chosen.data:
            for commit, tree in trees.items():
                place = chosen.work / f"{data.name}-{strategy}-{commit}.json"
                if not place.exists():
                    run = cost(tree, chosen.model.resolve(), data.resolve(), strategy)
                    place.write_text(json.dumps(run))
                found.setdefault((data.name, strategy), {})[commit] = json.loads(place.read_text())
                print(data.name, strategy, commit, found[data.name, strategy][commit], flush=True)
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions().items()))
    text = "\n".join(
        [
            "# What a whole fine-tuning costs the processor",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}; one thread, empty caches. {versions}.",
            "",
            f"Backbone: {chosen.model.name} at its own input size. Each pair of rows is from one run of "
            "`finetune_cost.py`, the earlier commit first; accuracy of the test images with 95 % interval.",
            "",
            "| dataset | strategy | commit | processor seconds | sealed | accuracy % | probe % |",
            "|---|---|---|--:|---|--:|--:|",
            *rows(found),
            "",
        ]
    )
    (chosen.out / f"finetune_cost-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
