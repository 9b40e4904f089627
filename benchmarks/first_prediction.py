"""A whole process that classifies one picture, start to finish: Signet beside timm and transformers scripts.

    python benchmarks/first_prediction.py --seal X.signet --image FILE [--python CORE_VENV/bin/python]
                                          [--peers PYTHON]

The peers' scripts are the shortest that their documentation gives for one picture, with random weights of
the same architecture (MobileNetV2), so nothing is downloaded. Signet is `python -m signet predict`, in the
environment of `--python`, which may hold the core only. All are started in turn; the median of each counts,
by the clock and in processor time, which says more on a machine that others share. The first start of each is
not counted: it fills the disk's cache, and a folder of bytecode as an installed package has it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from signet import machine
from signet.sources import list_images

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


def seconds(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """(wall time, processor time) of a whole process with all that it starts.

    Raises:
        RuntimeError: it failed.
    """
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    taken, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seal", required=True)
    parser.add_argument("--image", required=True, help="a picture, or a folder whose first one is taken")
    parser.add_argument("--python", default=sys.executable, help="the environment that runs Signet")
    parser.add_argument("--peers", default=sys.executable, help="the environment that runs the others")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    image = str(next(list_images([chosen.image])))
    quiet = [chosen.peers, "-W", "ignore"]
    commands = {
        "signet predict": [chosen.python, "-m", "signet", "predict", chosen.seal, image, "--quiet"],
        "timm script": [*quiet, "-c", TIMM, image],
        "transformers script": [*quiet, "-c", TRANSFORMERS, image],
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": scratch}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for turn in range(chosen.rounds + 1):
            for name, command in commands.items():
                one = seconds(command, environment)
                if turn:
                    taken[name].append(one)
    medians = {
        name: [statistics.median(part) for part in zip(*rows, strict=True)] for name, rows in taken.items()
    }
    own = medians["signet predict"]
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    lines = [
        "# A whole process for one picture",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}; median of {chosen.rounds} starts in turn.",
        f"Versions: {versions}.",
        "",
        "| process | seconds | of signet's | processor seconds | of signet's |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, both in medians.items():
        cells = [f"{value:.2f} | {value / mine:.1f}x" for value, mine in zip(both, own, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    text = "\n".join(lines) + "\n"
    chosen.out.mkdir(exist_ok=True)
    (chosen.out / f"first_prediction-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
