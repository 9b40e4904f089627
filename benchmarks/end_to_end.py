"""From JPEG file to label: Signet beside the transformers pipeline, timm and torchvision, in one run.

    python benchmarks/end_to_end.py --images DIR [--rounds 3] [--out benchmarks/results]

Rounds go through all systems in turn, each in a fresh process, so that a busy moment of the machine falls
on all; the best round of each counts. The stages and the ceiling of Signet's own pipeline follow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signet import machine
from signet.sources import list_images

HERE = Path(__file__).resolve().parent
MODELS = {"resnet50": "resnet50", "mobilenet_v2": "mobilenetv2_100"}
PEERS = ("transformers", "timm", "torchvision")
OWN = ("signet-fp32", "signet-bf16")


def random_folder(architecture: str, folder: Path) -> Path:
    """A pretrained folder with random weights: the same architecture and preprocessing, the same speed."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    module = timm.create_model(architecture)
    place = folder / architecture
    place.mkdir()
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


def measured(system: str, model: str, paths: Path) -> dict[str, Any]:
    """One round of one system, in a process of its own; an error is a result too."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "peers.py"), system, model, str(paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def own_stages(folder: Path, paths: list[Path], precision: str) -> dict[str, Any]:
    """Signet's stages and ceiling, by its own benchmark verb."""
    from signet import load
    from signet.measuring import benchmark
    from signet.streaming import settings_for

    def opened(many: bool) -> Any:
        return load(folder, engine="openvino", precision=precision, settings=settings_for(many=many))

    return benchmark(opened, paths).to_dict()


def compare(images: Path, rounds: int) -> dict[str, Any]:
    """All systems on all models."""
    paths = list(list_images([images]))
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch) / "list.txt"
        listed.write_text("\n".join(map(str, paths)))
        for name, architecture in MODELS.items():
            folder = random_folder(architecture, Path(scratch))
            rows: dict[str, list[dict[str, Any]]] = {system: [] for system in (*PEERS, *OWN)}
            for turn in range(rounds):
                for system, taken in rows.items():
                    taken.append(measured(system, str(folder) if system in OWN else name, listed))
                    print(f"{name}, round {turn + 1}, {system}: {taken[-1]}", flush=True)
            stages = {precision: own_stages(folder, paths, precision) for precision in ("fp32", "bf16")}
            results[name] = {"rows": rows, "stages": stages}
    return {"count": len(paths), "models": results}


def best(rows: list[dict[str, Any]]) -> float:
    """The highest rate of the rounds; 0 when all failed."""
    return max((row.get("images_per_second", 0.0) for row in rows), default=0.0)


def report(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    lines = [
        "# From JPEG file to label",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}; {found['count']} photographs; best round.",
        f"Versions: {versions}.",
    ]
    for name, model in found["models"].items():
        rates = {system: best(rows) for system, rows in model["rows"].items()}
        lines += [
            "",
            f"## {name}",
            "",
            "| system | images/s | signet bf16 is | signet fp32 is |",
            "|---|--:|--:|--:|",
        ]
        for system, rate in rates.items():
            ratios = [f"{rates[own] / rate:.1f}x" if rate else "" for own in ("signet-bf16", "signet-fp32")]
            lines.append(f"| {system} | {rate:.1f} | {ratios[0]} | {ratios[1]} |")
        lines += [
            "",
            "| signet, one image, one thread | read | resize | network | answer |",
            "|---|--:|--:|--:|--:|",
        ]
        for precision, stages in model["stages"].items():
            cells = " | ".join(f"{value:.2f} ms" for value in stages["stages"].values())
            lines.append(f"| {precision} | {cells} |")
        for precision, stages in model["stages"].items():
            ceiling = ", ".join(f"{stage} alone {value:.0f}" for stage, value in stages["ceiling"].items())
            lines.append(f"\nCeiling {precision}, images/s on all processors: {ceiling}.")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    text = report(compare(chosen.images, chosen.rounds))
    chosen.out.mkdir(exist_ok=True)
    (chosen.out / f"end_to_end-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
