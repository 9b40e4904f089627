"""A whole process that classifies one picture, start to finish: Signet beside timm and transformers scripts.

    python benchmarks/first_prediction.py --seal X.signet --image FILE [--python CORE_VENV/bin/python]

The peers' scripts are the shortest that their documentation gives for one picture, with random weights of
the same architecture (MobileNetV2), so nothing is downloaded. Signet is `python -m signet predict`, in the
environment of `--python`, which may hold the core only. All are started in turn; the median of each counts.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from signet import machine

HERE = Path(__file__).resolve().parent
TIMM = """
import sys, timm, torch
from PIL import Image
model = timm.create_model("mobilenetv2_100").eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
with torch.inference_mode():
    print(model(transform(Image.open(sys.argv[1]).convert("RGB"))[None]).softmax(1).topk(5))
"""
TRANSFORMERS = """
import sys, transformers
from transformers import pipeline
model = transformers.MobileNetV2ForImageClassification(transformers.MobileNetV2Config(num_labels=1000))
processor = transformers.MobileNetV2ImageProcessor(
    size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224})
print(pipeline("image-classification", model=model.eval(), image_processor=processor)(sys.argv[1]))
"""


def seconds(command: list[str]) -> float:
    """Wall time of a whole process.

    Raises:
        RuntimeError: it failed.
    """
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - begin
    if done.returncode:
        raise RuntimeError(done.stderr)
    return taken


def main() -> None:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seal", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--python", default=sys.executable, help="the environment that runs Signet")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    quiet = [sys.executable, "-W", "ignore"]
    commands = {
        "signet predict": [chosen.python, "-m", "signet", "predict", chosen.seal, chosen.image, "--quiet"],
        "timm script": [*quiet, "-c", TIMM, chosen.image],
        "transformers script": [*quiet, "-c", TRANSFORMERS, chosen.image],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(chosen.rounds + 1):
        for name, command in commands.items():
            one = seconds(command)
            if turn:  # the first round fills the disk cache
                taken[name].append(one)
    own = statistics.median(taken["signet predict"])
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    lines = [
        "# A whole process for one picture",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}; median of {chosen.rounds} starts in turn.",
        f"Versions: {versions}.",
        "",
        "| process | seconds | of signet's |",
        "|---|--:|--:|",
    ]
    for name, times in taken.items():
        middle = statistics.median(times)
        lines.append(f"| {name} | {middle:.2f} | {middle / own:.1f}x |")
    text = "\n".join(lines) + "\n"
    chosen.out.mkdir(exist_ok=True)
    (chosen.out / f"first_prediction-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
