"""A classifier of colours in a few hundred bytes of ONNX, and pictures whose right answer is plain to see."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

LABELS = ("red", "green", "blue", "white")
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
SIDE = 16


def make_classifier(folder: Path, name: str = "colours", labels: tuple[str, ...] = LABELS) -> Path:
    """`NAME.onnx` with its card: the mean colour of a picture, as red, green, blue or white."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 1]], np.float32) * 8
    bias = np.array([0, 0, 0, -12], np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["scores"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(LABELS)]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 3]),
        ],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    path = folder / f"{name}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    path.with_name(path.name + ".card.json").write_text(json.dumps(card(name, labels)), "utf-8")
    return path


def card(name: str, labels: tuple[str, ...] = LABELS) -> dict[str, object]:
    """The card of that classifier."""
    return {
        "format": {"major": 1, "minor": 0},
        "name": f"tests/{name}",
        "task": "classify",
        "labels": list(labels),
        "program": [
            {"step": "read", "channels": "RGB", "orient": True},
            {"step": "resize", "size": [SIDE, SIDE], "fit": "stretch", "filter": "bilinear"},
            {"step": "type", "dtype": "float32"},
            {"step": "range", "scale": 1 / 255, "offset": 0.0},
            {"step": "layout", "order": "NCHW"},
        ],
        "inputs": [
            {"name": "images", "kind": "image", "dtype": "float32", "shape": [None, 3, SIDE, SIDE]},
        ],
        "output": {"head": "softmax", "tensor": "scores", "classes": len(LABELS), "features": "features"},
        "licence": {"weights": "Apache-2.0", "stated": True},
        "origin": "made by the tests",
    }


def make_pictures(folder: Path, count: int = 6) -> list[Path]:
    """PNG files `p0.png` ... whose colours go through `LABELS` again and again, no two files the same."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        picture = Image.new("RGB", (24, 20), COLOURS[LABELS[number % len(LABELS)]])
        picture.putpixel((number % 24, number // 24 % 20), (128, 128, number % 256))
        paths.append(folder / f"p{number}.png")
        picture.save(paths[-1])
    return paths


def answer(number: int) -> str:
    """The right label of picture `number`."""
    return LABELS[number % len(LABELS)]
