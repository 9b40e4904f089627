"""One state dict in two programs: the tensors of a YOLO of Signet, under the names of ultralytics.

    python benchmarks/detection/weights.py ours MODEL STATE.pt                       # in Signet's environment
    python benchmarks/detection/weights.py theirs STATE.pt FOLDER HEIGHT WIDTH       # in that of ultralytics

That package is under AGPL, so it is installed in an environment of its own, and it is a black box: it builds
the network by its name, takes the tensors strictly, and exports it in the formats that its
documentation names for processors. The names come from our key maps (`architectures/keys`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

BATCH = 16
"""Images at a time, where a system takes several."""


def ours(model: str, place: Path) -> None:
    """Write the network's tensors under the original names, with its architecture and labels.

    Args:
        model: a seal with its weights, or a pretrained folder: yolov8 or yolov9, boxes only.
        place: file to write.
    """
    import torch

    from signet import resolve
    from signet.architectures import yolo_names, yolo_table
    from signet.errors import BadInput
    from signet.networks import ModuleSource

    found = resolve(model, offline=True)
    source = next((network for network in found.networks if isinstance(network, ModuleSource)), None)
    row = yolo_table.NETWORKS.get(source.spec.architecture) if source and source.spec else None
    if source is None or row is None or row.kind != "detect" or row.family not in ("yolov8", "yolov9"):
        raise BadInput(
            f"{model}: expected a detector of YOLO v8 or v9 with its weights, which ultralytics builds too; "
            f"got {found.card.name} of the task {found.card.task}."
        )
    module = source.build()
    names = yolo_names.original_names(module, yolo_names.key_map(row.keys))
    state = {}
    for key, tensor in module.state_dict().items():
        path, _, leaf = key.rpartition(".")
        state[f"{names[path]}.{leaf}"] = tensor
    labels = list(found.card.labels or map(str, range(found.card.output.classes or 0)))
    torch.save({"architecture": row.name, "labels": labels, "state": state}, place)


def theirs(place: Path, folder: Path, size: tuple[int, int]) -> dict[str, str]:
    """Fill the package's own network and write it in its own formats.

    Args:
        place: what `ours` wrote.
        folder: where the files go.
        size: (height, width) of the prepared image, which exports are fixed to.

    Returns:
        Paths by format: "torch", "onnx", "openvino", "openvino-16" (for 16 images at a time); a format that
        cannot be exported is missing, and what was said about it is on stderr. "openvino-precision" is no
        path: "bf16" or "f32", see `_precision`.
    """
    import torch
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel

    told = torch.load(place, weights_only=True)
    labels = dict(enumerate(told["labels"]))
    network = DetectionModel(f"{told['architecture']}.yaml", nc=len(labels), verbose=False)
    network.load_state_dict(told["state"], strict=True)
    network.names = labels
    files: dict[str, str] = {}
    for name, options in (
        ("torch", None),
        ("onnx", {"format": "onnx", "batch": 1}),
        ("openvino", {"format": "openvino", "batch": 1}),
        (f"openvino-{BATCH}", {"format": "openvino", "batch": BATCH}),
    ):
        # An export is named after its file: a copy each, in a folder of its own.
        own = folder / name
        own.mkdir(parents=True)
        saved = own / "network.pt"
        # Its own `save` rounds to half precision, which is another state dict.
        torch.save({"model": network, "train_args": {}}, saved)
        if options is None:
            files[name] = str(saved)
            continue
        try:
            files[name] = str(YOLO(str(saved)).export(imgsz=size, device="cpu", **options))
        except Exception as error:  # noqa: BLE001 - whatever it raises, the other formats are measured
            sys.stderr.write(f"ultralytics exports no {name}: {error}\n")
    files["openvino-precision"] = _precision(files.get("openvino"))
    return files


def _precision(folder: str | None) -> str:
    """What OpenVINO computes an exported network in where nobody states a precision."""
    if folder is None:
        return "unknown"
    import openvino

    (graph,) = Path(folder).glob("*.xml")
    hint = openvino.Core().compile_model(str(graph), "CPU").get_property("INFERENCE_PRECISION_HINT")
    return str(hint.get_type_name())


def main() -> None:
    """Do one of the two halves."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    halves: Any = parser.add_subparsers(dest="half", required=True)
    first = halves.add_parser("ours")
    first.add_argument("model")
    first.add_argument("state", type=Path)
    second = halves.add_parser("theirs")
    second.add_argument("state", type=Path)
    second.add_argument("folder", type=Path)
    second.add_argument("size", type=int, nargs=2)
    chosen = parser.parse_args()
    if chosen.half == "ours":
        ours(chosen.model, chosen.state)
    else:
        files = theirs(chosen.state, chosen.folder, tuple(chosen.size))
        (chosen.folder / "files.json").write_text(json.dumps(files))


if __name__ == "__main__":
    main()
