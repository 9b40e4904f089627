"""Golden answers of YOLO's own packages, run as black boxes; `tests/golden/yolo.json` holds them.

    python tools/yolo_golden.py PACKAGE... --out tests/golden/yolo.json

PACKAGE is `ultralytics`, `yolo9` or `sas_yolov7`. They are under AGPL and GPL, so they are installed in an
environment of their own and never beside Signet. Nothing of them is read or copied: this script builds a
network by its name, lists the names and shapes of its tensors, fills them by a rule of ours
(`tests/architectures/yolo_tensors.py`), and writes down what comes out for one picture, in float64.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/architectures"))

import yolo_tensors as rule  # noqa: E402

ULTRALYTICS = (
    *(f"yolov8{size}{kind}" for kind in ("", "-seg", "-cls") for size in "nsmlx"),
    *(f"yolov9{size}" for size in "tsmce"),
)


def main() -> None:
    """Write the answers of the named packages into the golden file, beside what it holds of others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packages", nargs="+", choices=("ultralytics", "yolo9", "sas_yolov7"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    golden = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {}
    for package in arguments.packages:
        networks = {f"{package}/{name}": answers(module) for name, module in built(package)}
        golden.update({key: {"version": version(package), **value} for key, value in networks.items()})
    text = json.dumps(dict(sorted(golden.items())), indent=1)
    # One line a list of numbers.
    lines = text.replace("\n    ", " ").replace("\n   ]", " ]")
    arguments.out.write_text(lines + "\n", "utf-8")


def built(package: str) -> Any:
    """Name and module of each network of a package, by the package's own names of them."""
    if package == "ultralytics":
        networks = importlib.import_module("ultralytics")
        for name in ULTRALYTICS:
            yield name, networks.YOLO(f"{name}.yaml", verbose=False).model
        return
    parser = importlib.import_module(f"{package}.models.yolo")
    folder = Path(importlib.import_module(package).__file__ or "").parent
    if package == "yolo9":
        for size in "tsmce":
            yield f"gelan-{size}", parser.DetectionModel(str(folder / f"models/detect/gelan-{size}.yaml"))
    else:
        for name in ("yolov7", "yolov7-tiny"):
            yield name, parser.Model(str(folder / f"cfg/training/{name}.yaml"))


def answers(module: Any) -> dict[str, Any]:
    """Names of the tensors, how many numbers are learned, and what comes out."""
    import torch

    state = module.state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    filled = {name: torch.from_numpy(value) for name, value in rule.drawn(shapes).items()}
    module.load_state_dict({**state, **filled}, strict=True)
    module = module.double().eval()
    with torch.no_grad():
        found = list(tensors(module(torch.from_numpy(rule.picture()).double())))
    height, width = rule.SHAPE[2:]
    if found[0].ndim == 2:
        kept = {"probabilities": found[0]}
    else:
        kept = {"predictions": found[0]}
        masks = [one for one in found if one.shape[1:] == (32, height // 4, width // 4)]
        if masks:
            kept["prototypes"] = masks[0]
    return {
        "names": rule.names_digest(shapes),
        "tensors": sum(not name.endswith("num_batches_tracked") for name in shapes),
        "parameters": sum(value.numel() for value in module.parameters()),
        "outputs": {name: rule.kept(value.numpy()) for name, value in kept.items()},
    }


def tensors(answer: Any) -> Any:
    """All tensors of a nested answer, in order."""
    if hasattr(answer, "ndim"):
        yield answer
    elif isinstance(answer, dict):
        for part in answer.values():
            yield from tensors(part)
    elif isinstance(answer, list | tuple):
        for part in answer:
            yield from tensors(part)


if __name__ == "__main__":
    main()
