"""From image file to boxes: Signet beside the ultralytics package and torchvision, in one run.

    python benchmarks/detectors.py --model MODEL.signet --images DIR --ultralytics ENV/bin/python
        [--count 500] [--rounds 3] [--out benchmarks/results]

MODEL is a detector of YOLO v8 or v9 with its weights. The same state dict goes into ultralytics. That package
is under AGPL: it is a black box here and lives in an environment of its own, never beside Signet (`python -m
venv ENV`, then `ENV/bin/pip install "ultralytics[export]"`).

First every program answers for all images, and the answers are laid side by side. When those of ultralytics
are not those of Signet in fp32, there is no report, and the exit code is 1. Signet's own bf16 has a speed
only where its decisions allow `signet predict` to take it; other programs that decide otherwise are shown,
with how often. Then rounds go through all programs in turn, each in a fresh process, so that a busy moment of
the machine falls on all; the best round of each counts.
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
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detection import comparing, systems
from detection.comparing import Compared
from signet import machine, resolve
from signet.agreement import DOOR_SCORE
from signet.answers import head_of
from signet.errors import BadInput
from signet.running import Evidence
from signet.sources import list_images

HERE = Path(__file__).resolve().parent
OWN = "signet-fp32"
FAST = "signet-bf16"
REQUIRED = "ultralytics-loop"
"""Without its decisions being ours, nothing is reported."""
OTHERS = ("torchvision-ssdlite", "torchvision-fasterrcnn")
"""Other networks, with random weights: their boxes are not compared."""
NOTES = {
    "ultralytics-rect": "its default, without grey rows and columns that no stride needs: another input",
    "torchvision-loop": "our network in torch, all around it by functions of torchvision",
    **dict.fromkeys(OTHERS, "another network with random weights, 320 pixels; the speed alone"),
}
QUIET = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}


@dataclass(frozen=True, slots=True)
class Decided:
    """A program's answers beside those of Signet in fp32.

    Attributes:
        fine: box by box, as two engines in fp32 are compared.
        coarse: image by image, as bf16 is compared with fp32.
    """

    fine: Compared
    coarse: Evidence


@dataclass(frozen=True, slots=True)
class Bench:
    """What all runs share.

    Attributes:
        scratch: folder for everything that is written on the way.
        peer: Python of the environment of ultralytics.
        images: paths by name, in order.
        distinct: names of the images that are not there a second time.
        asked: what every program is asked for.
    """

    scratch: Path
    peer: Path
    images: dict[str, Path]
    distinct: tuple[str, ...]
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
    place = scratch / "images"
    place.mkdir()
    images = {}
    for number, path in enumerate(itertools.islice(itertools.cycle(found), count)):
        copy = place / f"{number:05d}{path.suffix}"
        shutil.copyfile(path, copy)
        images[copy.name] = copy
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
    return Bench(scratch, peer, images, tuple(images)[: len(found)], asked)


def measured(bench: Bench, system: str, names: tuple[str, ...]) -> dict[str, Any]:
    """One run of one program over the named images; an error is a result too."""
    listed, asked = bench.scratch / "list.txt", bench.scratch / "asked.json"
    listed.write_text("\n".join(str(bench.images[name]) for name in names))
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


def decisions(bench: Bench) -> dict[str, Decided | str]:
    """Every program's answers for the distinct images beside those of Signet in fp32; or its error."""
    found: dict[str, Decided | str] = {}
    for system in systems.SYSTEMS:
        if system in OTHERS:
            continue
        row = measured(bench, system, bench.distinct)
        if "error" in row:
            found[system] = row["error"]
        else:
            one, two = (comparing.lines(_lines_of(bench, name), bench.images) for name in (OWN, system))
            fine = comparing.compared(one, two, bench.distinct, bench.asked.least)
            found[system] = Decided(fine, comparing.evidence(one, two, bench.distinct))
        print(f"{system}: {_words(found[system])}", flush=True)
    return found


def report(
    bench: Bench,
    found: dict[str, Decided | str],
    rates: dict[str, list[dict[str, Any]]],
    commands: dict[str, float],
) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    peer = _done([str(bench.peer), "-c", _VERSIONS], bench.scratch).splitlines()[-1]
    asked = bench.asked
    lines = [
        "# From image file to boxes",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}, {os.cpu_count()} processors; "
        f"{len(bench.images)} images ({len(bench.distinct)} distinct), fitted into {asked.size[0]} x "
        f"{asked.size[1]}; best of {len(rates[OWN])} rounds.",
        f"Versions: {versions}; in the other environment {peer}.",
        "",
        f"One state dict in all programs but torchvision's own two. Boxes from {asked.least}, suppressed "
        f"above an overlap of {asked.iou}, at most {asked.most} an image. Decides: distinct images on which "
        "every box is that of signet-fp32.",
        "",
        "| program | decides | images/s | signet bf16 is | signet fp32 is | start | peak memory |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *_table(rates, found),
        "",
        "`signet predict` itself, from its start to its end: "
        + ", ".join(f"{rate:.1f} images/s in {precision}" for precision, rate in commands.items())
        + ".",
        "",
        *(f"- {system}: {why}." for system, why in NOTES.items()),
        f"- ultralytics-openvino: in {asked.files['openvino-precision']}, which OpenVINO takes on this "
        "processor where nobody states a precision; the package has no argument for it.",
        "",
        "Beside signet-fp32, on the distinct images:",
        "",
        *(f"- {system}: {_words(decided)}." for system, decided in found.items() if system != OWN),
    ]
    return "\n".join(lines) + "\n"


def _table(rates: dict[str, list[dict[str, Any]]], found: dict[str, Decided | str]) -> Iterator[str]:
    """One row a program, its best round."""
    best = {
        name: max(rows, key=lambda row: row.get("images_per_second", 0.0)) for name, rows in rates.items()
    }
    for system, row in best.items():
        if "error" in row:
            yield f"| {system} | | {row['error']} | | | | |"
            continue
        decided = found.get(system)
        alike = f"{decided.fine.equal} of {decided.fine.images}" if isinstance(decided, Decided) else ""
        rate = row["images_per_second"]
        own = (best.get(name, {}).get("images_per_second") for name in (FAST, OWN))
        ratios = " | ".join(f"{value / rate:.2f}x" if value else "" for value in own)
        yield (
            f"| {system} | {alike} | {rate:.1f} | {ratios} | {row['start_seconds']:.1f} s | "
            f"{row['peak_memory_bytes'] / 2**20:,.0f} MiB |"
        )


def _words(decided: Decided | str) -> str:
    if isinstance(decided, str):
        return decided
    words = decided.fine.words()
    return f"{words}; within the bounds of bf16: {decided.coarse.words()}" if decided.fine.alone else words


_VERSIONS = (
    "from importlib.metadata import version as v;"
    "print(', '.join(f'{n} {v(n)}' for n in ('ultralytics', 'torch', 'openvino', 'onnxruntime')))"
)


def compare(bench: Bench, rounds: int) -> str | None:
    """Decisions, then speeds; None when ultralytics decides otherwise than Signet."""
    found = decisions(bench)
    required, own = found[REQUIRED], found[FAST]
    if isinstance(required, str) or required.fine.alone:
        alone = () if isinstance(required, str) else required.fine.alone
        print(f"No speed: {REQUIRED} does not decide as {OWN}. {_words(required)}", *alone, sep="\n  ")
        return None
    able = [name for name in systems.SYSTEMS if not isinstance(found.get(name), str)]
    if isinstance(own, Decided) and not own.coarse.allows:
        able.remove(FAST)
    rates: dict[str, list[dict[str, Any]]] = {system: [] for system in able}
    commands: dict[str, float] = {}
    for turn in range(rounds):
        for system, rows in rates.items():
            rows.append(measured(bench, system, tuple(bench.images)))
            print(f"round {turn + 1}, {system}: {rows[-1]}", flush=True)
        for system in (name for name in (OWN, FAST) if name in able):
            precision = system.removeprefix("signet-")
            commands[precision] = max(commands.get(precision, 0.0), commanded(bench, precision))
    return report(bench, found, rates, commands)


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
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3, help="at least 1")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    if min(chosen.count, chosen.rounds) < 1:
        parser.error("--count and --rounds: expected at least 1")
    if chosen.ultralytics is None:
        parser.error("--ultralytics: expected the Python of an environment with the package (see --help)")
    with tempfile.TemporaryDirectory() as scratch:
        bench = prepared(chosen.model, chosen.images, chosen.count, chosen.ultralytics, Path(scratch))
        text = compare(bench, chosen.rounds)
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
