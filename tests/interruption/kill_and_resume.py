"""Kills a command with SIGKILL again and again, resumes it, and compares the end with an uninterrupted run.

    python tests/interruption/kill_and_resume.py predict --times 10 --seed 0 --model MODEL --images FOLDER
    python tests/interruption/kill_and_resume.py finetune --times 10 --strategy probe --images DATASET

Without --model and --images it makes a tiny classifier and small pictures of its own. Exit code 0: the same.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

SIGNET = [sys.executable, "-m", "signet"]
POLL_SECONDS = 0.001


@dataclass
class Outcome:
    """What became of one interrupted run.

    Attributes:
        killed: times that the process was really ended by the signal.
        torn: times that the file was then cut in the middle of a line.
        moments: what was there at each kill: bytes of the file, or seconds.
        differences: what is not as in the uninterrupted run; empty when all is well.
    """

    killed: int = 0
    torn: int = 0
    moments: list[float] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def predict(words: list[str], folder: Path, times: int, chance: random.Random) -> Outcome:
    """Kill `signet predict WORDS` at random moments of its file's growth, and of its start.

    Args:
        words: what follows `signet predict`, without --out.
        folder: where the two files go.
        times: kills.
        chance: decides on the moments.
    """
    whole, out = folder / "whole.jsonl", folder / "killed.jsonl"
    _run([*SIGNET, "predict", *words, "--out", str(whole), "--quiet"])
    size = whole.stat().st_size
    outcome = Outcome()
    for threshold in sorted(chance.randrange(size * 9 // 10) for _ in range(times)):
        if chance.random() < 0.25:  # also while it starts, with the lines of the run before
            _kill(predicting(words, out), _after(chance.uniform(0, 1)), outcome, out)
        _kill(predicting(words, out), lambda seen=threshold: _size(out) > seen, outcome, out)
        if chance.random() < 0.5:
            outcome.torn += _tear(out, chance)
    _run(predicting(words, out))
    if out.read_bytes() != whole.read_bytes():
        outcome.differences.append("the lines")
    records = [json.loads(path.with_name(path.name + ".run.json").read_text()) for path in (whole, out)]
    for key in sorted(set(records[0]) | set(records[1])):
        # Why an engine was taken differs: the resumed run takes what the first had taken.
        if key != "why" and records[0].get(key) != records[1].get(key):
            outcome.differences.append(f"the run record's {key}")
    return outcome


def predicting(words: list[str], out: Path) -> list[str]:
    """The command of each run: `--resume` also begins."""
    return [*SIGNET, "predict", *words, "--out", str(out), "--quiet", "--resume"]


def finetune(words: list[str], folder: Path, times: int, chance: random.Random) -> Outcome:
    """Kill `signet finetune WORDS` at random moments of an uninterrupted run's time.

    Each run has a cache of its own, so that a killed one cannot take its features from another. A run that
    ends before it was killed often enough is compared, and another is begun.
    """
    whole = folder / "whole" / "x.signet"  # of one name, because a seal holds its name
    begin = time.monotonic()
    _run([*SIGNET, "finetune", *words, "--out", str(whole), "--quiet"], _cache(folder / "whole"))
    seconds = time.monotonic() - begin
    outcome = Outcome()
    for number in itertools.count():
        out = folder / str(number) / "x.signet"
        command = [*SIGNET, "finetune", *words, "--out", str(out), "--quiet", "--resume"]
        while outcome.killed < times and not out.exists():
            due = _after(chance.uniform(0, 0.9 * seconds))
            _kill(command, due, outcome, None, _cache(folder / str(number)))
        if not out.exists():
            _run(command, _cache(folder / str(number)))
        outcome.differences += [f"{name} of run {number}" for name in differences(whole, out)]
        if outcome.killed >= times:
            return outcome
    raise AssertionError


def differences(first: Path, second: Path) -> list[str]:
    """The files in which two seals differ; every byte of every file counts."""
    files = [
        {path.relative_to(seal).as_posix(): path.read_bytes() for path in seal.rglob("*") if path.is_file()}
        for seal in (first, second)
    ]
    return sorted(name for name in {*files[0], *files[1]} if files[0].get(name) != files[1].get(name))


def _tear(out: Path, chance: random.Random) -> bool:
    """Cut the file inside its last line, as a power cut may: the signal alone leaves what the system has."""
    data = out.read_bytes()
    last = data.rfind(b"\n", 0, len(data) - 1) + 1
    out.write_bytes(data[: chance.randrange(last + 1, len(data))])
    return True


def _kill(
    command: list[str],
    due: Callable[[], bool],
    outcome: Outcome,
    out: Path | None,
    surroundings: dict[str, str] | None = None,
) -> None:
    """Run a command, and end it with SIGKILL as soon as it is due."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=surroundings) as process:
        while process.poll() is None and not due():
            time.sleep(POLL_SECONDS)
        process.kill()
        _, said = process.communicate()
    if process.returncode == -signal.SIGKILL:
        outcome.killed += 1
        outcome.moments.append(_size(out) if out else 0)
    elif process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}: {said}")


def _after(seconds: float) -> Callable[[], bool]:
    begin = time.monotonic()
    return lambda: time.monotonic() - begin > seconds


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _run(command: list[str], surroundings: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}")


def _cache(folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    return {**os.environ, "SIGNET_CACHE": str(folder / "cache")}


def tiny() -> ModuleType:
    """The module tests/cli/tiny.py: a small classifier and its pictures."""
    place = Path(__file__).resolve().parent.parent / "cli" / "tiny.py"
    spec = importlib.util.spec_from_file_location("signet_tiny", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def predict_words(folder: Path, model: str | None, images: str | None, lines: int) -> list[str]:
    """What to predict: the images again and again, as a list of so many lines."""
    name = model or str(tiny().make_classifier(folder))
    here = Path(images) if images else folder / "pictures"
    if images is None:
        tiny().make_pictures(here, 200)
    paths = sorted(path for path in here.rglob("*") if path.is_file())
    listed = folder / "names"
    listed.write_text("".join(f"{paths[number % len(paths)]}\n" for number in range(lines)))
    # One precision from the first line on: evidence for bf16 is gathered before anything is written.
    return [name, "--list", str(listed), "--precision", "fp32"]


def finetune_words(folder: Path, model: str | None, images: str | None, strategy: str) -> list[str]:
    """What to fine-tune on: a folder of classes; how: briefly, with a checkpoint at every chance."""
    recipe = folder / "recipe.toml"
    recipe.write_text("epochs = 2\nbatch = 8\ncheckpoint_seconds = 0.1\n")
    here = images
    if here is None:
        dataset = folder / "dataset"
        for path in tiny().make_pictures(folder / "pictures", 48):
            place = dataset / tiny().answer(int(path.stem[1:])) / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
        here = str(dataset)
    words = ["--strategy", strategy, "--recipe", str(recipe), "--golden", "made", "--seed", "1"]
    return [model or "starter", here, *words]


def main() -> int:
    """Run by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["predict", "finetune"], nargs="?", default="predict")
    parser.add_argument("--times", type=int, default=10, help="kills; 10 by default")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--model", help="as on signet's command line")
    parser.add_argument("--images", help="a folder; for finetune a folder of classes")
    parser.add_argument("--lines", type=int, default=5000, help="predict: inputs, the images again and again")
    parser.add_argument("--strategy", default="probe", help="finetune: probe, full ...")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.what == "predict":
            words = predict_words(folder, given.model, given.images, given.lines)
            outcome = predict(words, folder, given.times, chance)
        else:
            words = finetune_words(folder, given.model, given.images, given.strategy)
            outcome = finetune(words, folder, given.times, chance)
    end = f"differs in: {', '.join(outcome.differences)}" if outcome.differences else "the same to the byte"
    sys.stdout.write(f"killed {outcome.killed} times, cut inside a line {outcome.torn} times; {end}\n")
    return 1 if outcome.differences else 0


if __name__ == "__main__":
    sys.exit(main())
