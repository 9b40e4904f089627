"""From JPEG file to label, images per second: Signet beside transformers, timm and torchvision.

    python benchmarks/end_to_end.py --images DIR [--mobilenet MODEL] [--calibration DIR] [--peers PYTHON]
                                    [--work FOLDER] [--rounds 2] [--prepare] [--out benchmarks/results]

ResNet-50 has random weights, which are as fast as others; MobileNetV2 has them too unless MODEL names real
ones. Both are sealed, and compressed to int8 behind the gate as `signet compress` does, calibrated on other
images (`--calibration`; else on some of DIR). Of random weights the gate can say nothing of worth: what it
refuses is measured all the same, and the page says so. The seals are kept in FOLDER; `--prepare` makes them
and stops.

Rounds go through all systems in turn, each in a fresh process, so that a busy moment of the machine falls
on all. The best round counts for images per second, the median for processor time. The stages, the ceiling
and the share of it that is reached follow, by `signet.benchmark`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signet import machine
from signet.sources import list_images

HERE = Path(__file__).resolve().parent
MODELS = {"resnet50": "resnet50", "mobilenet_v2": "mobilenetv2_100"}
PEERS = ("transformers", "timm", "torchvision")
GOLDEN_IMAGES = 24
CALIBRATION_IMAGES = 160


@dataclass(frozen=True)
class Prepared:
    """One network, sealed in floats and in int8.

    Attributes:
        floats: the seal that runs in fp32 and bf16.
        int8: the compressed one; None where `compress` did not deliver it.
        words: whose weights they are, and what the gate said.
    """

    floats: Path
    int8: Path | None
    words: str

    @property
    def places(self) -> dict[str, Path]:
        """Precision to the seal that runs in it."""
        floats = {"fp32": self.floats, "bf16": self.floats}
        return floats if self.int8 is None else {**floats, "int8": self.int8}


def random_folder(architecture: str, folder: Path) -> Path:
    """A pretrained folder with random weights: the same architecture and preprocessing, the same speed."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    module = timm.create_model(architecture)
    place = folder / architecture
    place.mkdir(exist_ok=True)
    save_file(module.state_dict(), place / "model.safetensors")
    # 0.875 of 224 as all peers here: 256 on the short side, then the centre.
    stated = {
        "crop_pct": 0.875,
        "interpolation": "bilinear",
        "classifier": module.pretrained_cfg["classifier"],
    }
    config = {
        "architecture": architecture,
        "num_classes": 1000,
        "pretrained_cfg": {"tag": "random", **stated},
    }
    (place / "config.json").write_text(json.dumps(config))
    return place


def prepared(name: str, chosen: argparse.Namespace, work: Path, paths: Sequence[Path]) -> Prepared:
    """The seals of a network, made or found in the work folder."""
    from signet import seal

    floats, int8, words = work / f"{name}.signet", work / f"{name}-int8.signet", work / f"{name}.txt"
    real = chosen.mobilenet if name == "mobilenet_v2" else None
    if not floats.exists():
        seal(real or random_folder(MODELS[name], work), paths[:GOLDEN_IMAGES], out=floats)
    if not words.exists():
        told = in_int8(floats, int8, chosen, mixed=bool(real))
        words.write_text(f"{f'weights of {real}' if real else 'random weights'}; {told}")
    return Prepared(floats, int8 if int8.exists() else None, words.read_text())


def in_int8(floats: Path, int8: Path, chosen: argparse.Namespace, *, mixed: bool) -> str:
    """Compress a seal, and say what came of it."""
    from signet import compress
    from signet.compression.settings import CompressSettings
    from signet.datasets import open_dataset
    from signet.errors import CheckFailed

    others = list(list_images([chosen.calibration])) if chosen.calibration else []
    settings = CompressSettings(
        calibration=others[:CALIBRATION_IMAGES] or None, precision="fp32", keep_refused=True, mixed=mixed
    )
    try:
        made = compress(floats, open_dataset(chosen.images), out=int8, settings=settings)
    except CheckFailed as error:
        return f"int8 was not delivered: {str(error).partition('. ')[0]}"
    ruling, verdict = made.chosen.ruling, "passed" if made.passed else "refused by"
    return (
        f"int8 calibrated on {made.calibration['images']} images, {verdict} the gate: "
        f"{ruling.alike} of {ruling.count} decisions as in fp32"
    )


def measured(system: str, model: str, paths: Path, python: str) -> dict[str, Any]:
    """One round of one system, in a process of its own; an error is a result too."""
    done = subprocess.run(
        [python, "-W", "ignore", str(HERE / "peers.py"), system, model, str(paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def own_stages(seal: Path, paths: list[Path], precision: str) -> dict[str, Any]:
    """Signet's stages and ceiling, by its own benchmark verb."""
    from signet import load
    from signet.measuring import benchmark
    from signet.streaming import settings_for

    def opened(many: bool) -> Any:
        return load(seal, engine="openvino", precision=precision, settings=settings_for(many=many))  # type: ignore[arg-type]

    return benchmark(opened, paths, repeats=2).to_dict()


def compare(chosen: argparse.Namespace, work: Path) -> dict[str, Any]:
    """All systems on all models."""
    paths = list(list_images([chosen.images]))
    listed = work / "list.txt"
    listed.write_text("\n".join(map(str, paths)))
    seals = {name: prepared(name, chosen, work, paths) for name in MODELS}
    results: dict[str, Any] = {}
    for name, sealed in seals.items():
        if chosen.prepare:
            continue
        systems = {(system, "fp32"): (system, name, chosen.peers) for system in PEERS}
        for precision, place in sealed.places.items():
            systems["signet", precision] = (f"signet-{precision}", str(place), sys.executable)
        rows: dict[tuple[str, str], list[dict[str, Any]]] = {system: [] for system in systems}
        for turn in range(chosen.rounds):
            for system, (asked, model, python) in systems.items():
                rows[system].append(measured(asked, model, listed, python))
                print(f"{name}, round {turn + 1}, {' '.join(system)}: {rows[system][-1]}", flush=True)
        stages = {
            precision: own_stages(place, paths, precision) for precision, place in sealed.places.items()
        }
        results[name] = {"rows": rows, "stages": stages, "words": sealed.words}
    return {"count": len(paths), "models": results}


def best(rows: list[dict[str, Any]]) -> float:
    """The highest rate of the rounds; 0 when all failed."""
    return max((row.get("images_per_second", 0.0) for row in rows), default=0.0)


def processor_milliseconds(rows: list[dict[str, Any]]) -> float | None:
    """Processor time of one image, the median of the rounds; None when all failed."""
    taken = [1000 * row["processor_seconds"] / row["count"] for row in rows if "count" in row]
    return statistics.median(taken) if taken else None


def report(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    lines = [
        "# From JPEG file to label",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}; {found['count']} photographs. Images per",
        "second of the best round; milliseconds of processor time of an image on all cores, the median.",
        f"Versions: {versions}.",
    ]
    for name, model in found["models"].items():
        lines += ["", f"## {name}", "", f"Signet: {model['words']}. The peers: random weights.", ""]
        lines += _table(model["rows"])
        lines += _stages(model["stages"])
    return "\n".join(lines) + "\n"


def _table(rows: dict[tuple[str, str], list[dict[str, Any]]]) -> list[str]:
    """A line for each system, and how many times as fast Signet is, by the clock and by processor time."""
    lines = [
        "| system | precision | images/s | processor ms | signet bf16 is | in processor time "
        "| signet int8 is | in processor time |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    rates = {system: best(taken) for system, taken in rows.items()}
    spent = {system: processor_milliseconds(taken) for system, taken in rows.items()}
    for system, rate in rates.items():
        milliseconds = spent[system]
        if milliseconds is None:
            lines.append(f"| {' | '.join(system)} | failed | | | | | |")
            continue
        cells = [f"{rate:.1f}", f"{milliseconds:.1f}"]
        for precision in ("bf16", "int8"):
            own, own_rate = spent.get(("signet", precision)), rates.get(("signet", precision))
            cells += (
                [f"{own_rate / rate:.1f}x", f"{milliseconds / own:.1f}x"] if own and own_rate else ["", ""]
            )
        lines.append(f"| {' | '.join((*system, *cells))} |")
    return lines


def _stages(stages: dict[str, Any]) -> list[str]:
    lines = [
        "",
        "| signet, one image, one thread | read | resize | network | answer |",
        "|---|--:|--:|--:|--:|",
    ]
    for precision, speed in stages.items():
        cells = " | ".join(f"{value:.2f} ms" for value in speed["stages"].values())
        lines.append(f"| {precision} | {cells} |")
    lines += [
        "",
        "| images/s on all processors | read alone | reference resize alone | network alone "
        "| together: the ceiling | reached | share |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for precision, speed in stages.items():
        ceiling = speed["ceiling"]
        alone = " | ".join(f"{ceiling[key]:.0f}" for key in ("read", "resize", "network", "together"))
        reached = f"{speed['images_per_second']:.0f} | {ceiling['share']:.0%}"
        lines.append(f"| {precision} | {alone} | {reached} |")
    return lines


def main() -> None:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--images", type=Path, required=True, help="photographs with a table of their classes"
    )
    parser.add_argument("--mobilenet", help="a MobileNetV2 with real weights, by name or folder")
    parser.add_argument("--calibration", type=Path, help="other photographs, for the ranges of int8")
    parser.add_argument("--peers", default=sys.executable, help="the environment that runs the others")
    parser.add_argument("--work", type=Path, help="folder that keeps the seals")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--prepare", action="store_true", help="make the seals and stop")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = chosen.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        found = compare(chosen, work)
    if chosen.prepare:
        return
    text = report(found)
    chosen.out.mkdir(exist_ok=True)
    (chosen.out / f"end_to_end-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
