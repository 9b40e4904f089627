"""Seconds until a classifier is as good as a peer's finished one: Signet beside four fine-tuning programs.

    python benchmarks/time_to_accuracy.py --model FOLDER --data DIR... --peers ENV/bin/python --work FOLDER

FOLDER holds a timm network (`config.json`, `model.safetensors`), which all programs begin with; each DIR has
`train` and `test` with a folder of images for each class. The peers live in an environment of their own that
has timm, fastai, transformers, accelerate and keras (benchmarks/README.md). Each program runs in a fresh
process with an empty cache; `tuning/systems.py` says how each is used.

A peer's time ends with its last epoch, and its accuracy on the test images is that of its last epoch. Signet
runs twice, each time to a sealed and verified model: a probe, and what `finetune` does by itself. Its time is
that of the whole command, interpreter and sealing included. Where the probe's 95 % interval reaches the
peer's accuracy, the probe's time counts, else that of the other run, if its interval reaches it.

The test images decide nothing in any program. Seconds of the processor stand beside those of the clock: on a
machine that does other work, only they can be compared. A run that is finished is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from signet import machine
from tuning.systems import SYSTEMS, Asked

HERE = Path(__file__).resolve().parent
OWN = {"signet probe": "probe", "signet": "auto"}
"""Our rows of the table, and the strategy of each."""
PEERS = ["timm", "fastai", "transformers", "keras"]
PEER_PACKAGES = ("torch", "timm", "fastai", "transformers", "keras")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A program's result on one dataset.

    Attributes:
        accuracy: of the test images, 0 to 1, when it had ended.
        low: end of the 95 % interval; of peers the accuracy itself.
        high: likewise.
        seconds: of the clock.
        processor_seconds: of all threads.
        history: of a peer: accuracy and seconds after each epoch.
    """

    accuracy: float
    low: float
    high: float
    seconds: float
    processor_seconds: float
    history: tuple[Mapping[str, float], ...] = ()


def own(asked: Asked, strategy: str, scratch: Path) -> Run:
    """`signet finetune` to its end, with nothing kept from before."""
    out = scratch / "tuned.signet"
    command = [sys.executable, "-m", "signet", "finetune", asked.model, asked.data, "--out", str(out)]
    command += ["--strategy", strategy, "--threads", str(asked.threads), "--seed", str(asked.seed), "--json"]
    begin, used = time.perf_counter(), _children()
    said = subprocess.run(
        [*command, "--quiet"], stdout=subprocess.PIPE, check=True, env=_alone(scratch)
    ).stdout
    seconds, processor = time.perf_counter() - begin, _children() - used
    top1 = json.loads(said)["metrics"]["top1"]
    return Run(
        accuracy=top1["value"],
        low=top1["low"],
        high=top1["high"],
        seconds=seconds,
        processor_seconds=processor,
    )


def peer(asked: Asked, system: str, python: Path, scratch: Path) -> Run:
    """One of the other programs, to its end."""
    stated = scratch / "asked.json"
    asked.write(stated)
    command = [str(python), "-W", "ignore", str(HERE / "tuning" / "systems.py"), system, str(stated)]
    said = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, text=True, cwd=scratch, env=_alone(scratch)
    ).stdout
    rows = [json.loads(line) for line in said.splitlines() if line.startswith('{"accuracy"')]
    last = rows[-1]
    return Run(
        accuracy=last["accuracy"],
        low=last["accuracy"],
        high=last["accuracy"],
        seconds=last["seconds"],
        processor_seconds=last["processor_seconds"],
        history=tuple(rows),
    )


def own_size(model: Path) -> int:
    """Height and width that a network was trained with, as its `config.json` has them."""
    return int(json.loads((model / "config.json").read_text("utf-8"))["pretrained_cfg"]["input_size"][-1])


def fewer(data: Path, most: int, work: Path) -> Path:
    """The same dataset with the first so many training images of each class, as links; it stays in `work`."""
    out = work / f"{data.name}-{most}"
    if not out.exists():
        part = out.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        for folder in sorted(data.glob("*/*/")):
            place = part / folder.relative_to(data)
            place.mkdir(parents=True)
            files = sorted(path for path in folder.iterdir() if path.is_file())
            for file in files[: most if folder.parent.name == "train" else None]:
                (place / file.name).symlink_to(file)
        part.replace(out)
    return out.resolve()


def measured(asked: Asked, chosen: argparse.Namespace) -> dict[str, Run]:
    """All programs on one dataset, in turn; what is finished is read again."""
    found: dict[str, Run] = {}
    for system in (*OWN, *chosen.programs):
        place = chosen.work / f"{Path(asked.data).name}-{system.replace(' ', '-')}-{asked.seed}.json"
        if not place.exists():
            with tempfile.TemporaryDirectory() as scratch:
                run = (
                    own(asked, OWN[system], Path(scratch))
                    if system in OWN
                    else peer(asked, system, chosen.peers, Path(scratch))
                )
            part = place.with_suffix(".part")
            part.write_text(json.dumps({name: getattr(run, name) for name in Run.__dataclass_fields__}))
            part.replace(place)
        kept = json.loads(place.read_text())
        found[system] = Run(**{**kept, "history": tuple(kept["history"])})
        print(f"{Path(asked.data).name}, {system}: {found[system]}", flush=True)
    return found


def reached(found: Mapping[str, Run], wanted: float) -> str | None:
    """Which of our runs counts beside an accuracy: the first whose interval reaches it."""
    return next((name for name in OWN if found[name].high >= wanted), None)


def rows(dataset: str, found: Mapping[str, Run]) -> Iterator[str]:
    """The lines of the table of one dataset."""
    for name, run in found.items():
        interval = f" ({100 * run.low:.1f} to {100 * run.high:.1f})" if name in OWN else ""
        cells = [dataset, name, f"{100 * run.accuracy:.1f}{interval}"]
        cells += [f"{run.seconds:.0f}", f"{run.processor_seconds:.0f}"]
        ours = None if name in OWN else reached(found, run.accuracy)
        if ours is None:
            cells += ["", ""] if name in OWN else ["not reached", ""]
        else:
            ratio = run.processor_seconds / found[ours].processor_seconds
            cells += [ours, f"{ratio:.1f}x ({run.seconds / found[ours].seconds:.1f}x)"]
        yield f"| {' | '.join(cells)} |"


def report(results: Mapping[str, Mapping[str, Run]], chosen: argparse.Namespace) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions().items()))
    theirs = subprocess.run(
        [str(chosen.peers), "-W", "ignore", "-c", _VERSIONS], stdout=subprocess.PIPE, check=True, text=True
    ).stdout.strip()
    lines = [line for dataset, found in results.items() for line in rows(dataset, found)]
    return "\n".join(
        [
            "# Seconds until a classifier is as good as a peer's",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}; threads: {chosen.threads}; "
            f"seed {chosen.seed}; {chosen.size} pixels in the peers. {versions}; in the other environment "
            f"{theirs}.",
            "",
            f"Backbone: {Path(chosen.model).name}, the same tensors in all programs; `tuning/systems.py` "
            "says how each is used. Accuracy of the test images, which decide nothing, with 95 % intervals. "
            "Ahead by: seconds of the processor (of the clock), of the run of Signet whose interval reaches "
            "the peer's accuracy.",
            "",
            "| dataset | program | accuracy % | seconds | processor seconds | reached by | ahead by |",
            "|---|---|--:|--:|--:|---|--:|",
            *lines,
            "",
        ]
    )


_VERSIONS = (
    "from importlib.metadata import version as v;"
    f"print(', '.join(f'{{n}} {{v(n)}}' for n in {PEER_PACKAGES!r}))"
)


def main() -> int:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of a timm network")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders with `train` and `test`")
    parser.add_argument("--most", type=int, help="training images of each class, the first of them; else all")
    parser.add_argument("--peers", type=Path, required=True, help="Python of the environment with the peers")
    parser.add_argument("--programs", nargs="+", choices=SYSTEMS, default=PEERS)
    parser.add_argument(
        "--size", type=int, help="height and width of the peers' input; else the network's own"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True, help="where finished runs are kept")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    chosen.size = chosen.size or own_size(Path(chosen.model))
    results = {}
    for given in chosen.data:
        data = given.resolve()
        data = fewer(data, chosen.most, chosen.work) if chosen.most else data
        asked = Asked(
            model=str(Path(chosen.model).resolve()),
            data=str(data),
            size=chosen.size,
            threads=chosen.threads,
            seed=chosen.seed,
        )
        results[data.name] = measured(asked, chosen)
    text = report(results, chosen)
    chosen.out.mkdir(exist_ok=True)
    (chosen.out / f"time_to_accuracy-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)
    return 0


def _children() -> float:
    """Processor seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _alone(scratch: Path) -> dict[str, str]:
    """The environment with caches of its own, so that nothing is there from before."""
    return {**os.environ, "SIGNET_CACHE": str(scratch / "cache"), "HF_HUB_OFFLINE": "1"}


if __name__ == "__main__":
    sys.exit(main())
