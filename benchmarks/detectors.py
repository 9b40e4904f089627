"""From image file to boxes: Signet beside the ultralytics package and torchvision, in one run.

    python benchmarks/detectors.py --model MODEL.signet --images DIR --ultralytics ENV/bin/python
        [--count 500] [--rounds 3] [--out benchmarks/results]

MODEL is a detector of YOLO v8 or v9 with its weights. The same state dict goes into ultralytics. That package
is under AGPL: it is a black box here and lives in an environment of its own, never beside Signet (`python -m
venv ENV`, then `ENV/bin/pip install "ultralytics[export]"`).

First the decisions. The distinct images are fitted into the network's size beforehand and stored without
loss, so that nobody resamples: when the boxes of ultralytics are then not those of Signet in fp32, there is
no report, and the exit code is 1. On the files themselves libraries resample differently (OpenCV rounds
otherwise); how often a program decides alike there stands beside its speed, also for Signet's own bf16, and
whether that is enough for `signet predict` to take it unasked. Then rounds go through all programs in turn,
each in a fresh process, so that a busy moment of the machine falls on all; the best round of each counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

from detection import comparing, systems
from detection.reporting import FAST, OTHERS, OWN, REQUIRED, Decided, Found, Outcome, report, words
from signet import resolve
from signet.agreement import DOOR_SCORE
from signet.answers import head_of
from signet.decoding import read
from signet.errors import BadInput, SignetError
from signet.preprocessing import prepare
from signet.programs import Program
from signet.sources import list_images

HERE = Path(__file__).resolve().parent
QUIET = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}


@dataclass(frozen=True, slots=True)
class Bench:
    """What all runs share.

    Attributes:
        scratch: folder for everything that is written on the way.
        peer: Python of the environment of ultralytics.
        images: paths by name, in order.
        distinct: of them, those that are not there a second time.
        fitted: these, of the network's size.
        asked: what every program is asked for.
    """

    scratch: Path
    peer: Path
    images: Mapping[str, Path]
    distinct: Mapping[str, Path]
    fitted: Mapping[str, Path]
    asked: systems.Asked

    def python(self, system: str) -> str:
        """The interpreter of a program's environment."""
        return str(self.peer) if system.startswith("ultralytics") else sys.executable


def prepared(model: str, folder: Path, count: int, peer: Path, scratch: Path) -> Bench:
    """Images under names of their own, the network in all formats, and what is asked.

    Raises:
        BadInput: no images, or the model is none that ultralytics builds.
    """
    found = list(list_images([folder]))
    if not found:
        raise BadInput(f"{folder}: expected images, found none.")
    card = resolve(model, offline=True).card
    size = card.program.input_size()
    how = head_of(card).suppression
    if size is None or how is None or how.iou is None:
        raise BadInput(f"{model}: expected a detector of one input size whose boxes are suppressed.")
    # What is given by name is a path here; the processes start elsewhere.
    model = str(Path(model).resolve()) if Path(model).exists() else model
    weights, state, exported = HERE / "detection" / "weights.py", scratch / "state.pt", scratch / "exported"
    _done([sys.executable, str(weights), "ours", model, str(state)], scratch)
    _done([str(peer), str(weights), "theirs", str(state), str(exported), *map(str, size)], scratch)
    asked = systems.Asked(
        model=model,
        files=json.loads((exported / "files.json").read_text()),
        size=size,
        labels=tuple(card.labels or map(str, range(card.output.classes or 0))),
        least=DOOR_SCORE,
        iou=how.iou,
        most=how.after or 300,
        class_wise=how.class_wise,
    )
    images = _copied(itertools.islice(itertools.cycle(found), count), scratch / "images")
    distinct = dict(itertools.islice(images.items(), len(found)))
    fitted = _fitted(distinct.values(), card.program, scratch / "fitted")
    return Bench(scratch, peer, images, distinct, fitted, asked)


def _copied(paths: Iterable[Path], place: Path) -> dict[str, Path]:
    """Each under a name of its own, so that a repeated one is another file."""
    place.mkdir()
    images = {}
    for number, path in enumerate(paths):
        copy = place / f"{number:05d}{path.suffix}"
        shutil.copyfile(path, copy)
        images[copy.name] = copy
    return images


def _fitted(paths: Iterable[Path], program: Program, place: Path) -> dict[str, Path]:
    """Each resized and padded by the program, as PNG: no program has anything left to resample."""
    place.mkdir()
    images = {}
    for path in paths:
        (pixels,) = prepare([read(path)], program, fuse=True).arrays
        picture = place / f"{path.stem}.png"
        PillowImage.fromarray(pixels).save(picture)
        images[picture.name] = picture
    return images


def measured(bench: Bench, system: str, paths: Iterable[Path]) -> dict[str, Any]:
    """One run of one program over images; an error is a result too."""
    listed, asked = bench.scratch / "list.txt", bench.scratch / "asked.json"
    listed.write_text("\n".join(map(str, paths)))
    bench.asked.write(asked)
    command = [bench.python(system), "-W", "ignore", str(HERE / "detection" / "systems.py"), system]
    try:
        said = _done([*command, str(asked), str(listed), str(_lines_of(bench, system))], bench.scratch)
    except subprocess.CalledProcessError as error:
        return {"error": (error.stderr.strip().splitlines() or ["no word"])[-1]}
    row: dict[str, Any] = json.loads(said.splitlines()[-1])
    return row


def commanded(bench: Bench, precision: str) -> float:
    """Images per second of `signet predict` itself, from its start to its end."""
    listed, out = bench.scratch / "list.txt", bench.scratch / "command.jsonl"
    listed.write_text("\n".join(map(str, bench.images.values())))
    command = [sys.executable, "-m", "signet", "predict", bench.asked.model, "--list", str(listed), "--quiet"]
    begin = time.perf_counter()
    _done([*command, "--out", str(out), "--overwrite", "--precision", precision], bench.scratch)
    return len(bench.images) / (time.perf_counter() - begin)


def decided(bench: Bench, system: str, images: Mapping[str, Path]) -> Found:
    """A program's answers beside those that Signet in fp32 gave for the same images last; or its error."""
    row = measured(bench, system, images.values())
    if "error" in row:
        return str(row["error"])
    one, two = (comparing.lines(_lines_of(bench, name), images) for name in (OWN, system))
    fine = comparing.compared(one, two, images, bench.asked.least)
    return Decided(fine, comparing.evidence(one, two, images))


_VERSIONS = (
    "from importlib.metadata import version as v;"
    "print(', '.join(f'{n} {v(n)}' for n in ('ultralytics', 'torch', 'openvino', 'onnxruntime')))"
)


def compare(bench: Bench, programs: Sequence[str], rounds: int) -> str | None:
    """Decisions, then speeds of `programs`; None when ultralytics decides otherwise than Signet."""
    decided(bench, OWN, bench.fitted)
    required = decided(bench, REQUIRED, bench.fitted)
    print(f"fitted, {REQUIRED}: {words(required)}", flush=True)
    if isinstance(required, str) or required.fine.alone:
        alone = () if isinstance(required, str) else required.fine.alone
        print(f"No speed: {REQUIRED} does not decide as {OWN} does.", *alone, sep="\n  ")
        return None
    found: dict[str, Found] = {}
    for system in (name for name in programs if name not in OTHERS):
        found[system] = decided(bench, system, bench.distinct)
        print(f"{system}: {words(found[system])}", flush=True)
    able = [name for name in programs if not isinstance(found.get(name), str)]
    rates: dict[str, list[dict[str, Any]]] = {system: [] for system in able}
    commands: dict[str, float] = {}
    for turn in range(rounds):
        for system, rows in rates.items():
            rows.append(measured(bench, system, bench.images.values()))
            print(f"round {turn + 1}, {system}: {rows[-1]}", flush=True)
        for system in (name for name in (OWN, FAST) if name in able):
            precision = system.removeprefix("signet-")
            commands[precision] = max(commands.get(precision, 0.0), commanded(bench, precision))
    peer = _done([str(bench.peer), "-c", _VERSIONS], bench.scratch).splitlines()[-1]
    counts = (len(bench.images), len(bench.distinct))
    return report(
        Outcome(
            asked=bench.asked,
            counts=counts,
            required=required,
            found=found,
            rates=rates,
            commands=commands,
            peer_versions=peer,
        )
    )


def main() -> int:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True, help="seal with its weights, or a pretrained folder")
    parser.add_argument("--images", type=Path, required=True, help="folder of images; repeated to --count")
    parser.add_argument(
        "--ultralytics",
        type=Path,
        default=os.environ.get("ULTRALYTICS_PYTHON"),
        help="Python of the environment that has it; else the variable ULTRALYTICS_PYTHON",
    )
    parser.add_argument(
        "--programs",
        nargs="+",
        choices=systems.SYSTEMS,
        default=list(systems.SYSTEMS),
        help=f"which ones; {OWN} and {REQUIRED} always take part",
    )
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3, help="at least 1")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    if min(chosen.count, chosen.rounds) < 1:
        parser.error("--count and --rounds: expected at least 1")
    if chosen.ultralytics is None:
        parser.error("--ultralytics: expected the Python of an environment with the package (see --help)")
    programs = [name for name in systems.SYSTEMS if name in (OWN, REQUIRED, *chosen.programs)]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            bench = prepared(chosen.model, chosen.images, chosen.count, chosen.ultralytics, Path(scratch))
            text = compare(bench, programs, chosen.rounds)
        except SignetError as error:
            parser.exit(2, f"error: {error}\n")
        except subprocess.CalledProcessError as error:
            parser.exit(1, f"{' '.join(error.cmd)} ended with {error.returncode}:\n{error.stderr}")
    if text is None:
        return 1
    chosen.out.mkdir(exist_ok=True)
    (chosen.out / f"detectors-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)
    return 0


def _lines_of(bench: Bench, system: str) -> Path:
    return bench.scratch / f"{system}.jsonl"


def _done(command: list[str], scratch: Path) -> str:
    """What a process says on stdout; run in the scratch folder, where packages may leave what they like."""
    quiet = {**os.environ, **QUIET, "YOLO_CONFIG_DIR": str(scratch)}
    return subprocess.run(command, cwd=scratch, env=quiet, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
