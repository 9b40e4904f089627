"""Makes the tiny seal under `tests/golden/seals/` that every later version must still read.

    python tools/make_format_seal.py tests/golden/seals/tiny-1.0.signet

A committed seal is never made again: it stands for what its version wrote. A new minor or major gets a seal
of its own, with a name of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from signet.cards import Card
from signet.engines.contract import EngineSettings
from signet.evidence import expected_from
from signet.graphs.opening import open_graph
from signet.seals import FeatureStatistics, SealContents, golden_images, write_seal

LABELS = ("left | right", "über", "日本")
FEATURES = 6
SIZE = 16


def main(out: Path) -> None:
    """Write the seal."""
    with tempfile.TemporaryDirectory() as temporary:
        weights = _weights()
        graph = Path(temporary) / "graph.onnx"
        graph.write_bytes(_graph(weights).SerializeToString())
        state = Path(temporary) / "weights.safetensors"
        save_file(weights, state)
        card = _card()
        golden = golden_images((), "made", card.input_size)
        opened = open_graph(graph)
        contents = SealContents(
            card=card,
            graph=opened,
            golden=golden,
            expected=expected_from(card, opened, golden, EngineSettings()),
            weights=state,
            training={"data": {"fingerprint": "none: the weights are drawn at random", "images": 0}},
            calibration={"temperature": card.output.temperature, "method": "stated"},
            feature_statistics=FeatureStatistics.of(np.ones((2, FEATURES), np.float32)),
        )
        sealed = write_seal(contents, out)
    print(f"{sealed.path}: {sealed.digest}, {sealed.size_bytes} bytes")


def _weights() -> dict[str, np.ndarray]:
    generator = np.random.Generator(np.random.PCG64(7))
    shapes = {
        "conv.weight": (FEATURES, 3, 5, 5),
        "conv.bias": (FEATURES,),
        "head.weight": (len(LABELS), FEATURES),
        "head.bias": (len(LABELS),),
    }
    return {name: generator.normal(0, 0.6, shape).astype(np.float32) for name, shape in shapes.items()}


def _graph(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Convolution, ReLU, mean over the picture (the features), linear head (the logits)."""
    nodes = [
        helper.make_node("Conv", ["images", "conv.weight", "conv.bias"], ["map"], strides=[2, 2]),
        helper.make_node("Relu", ["map"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["features"]),
        helper.make_node("Gemm", ["features", "head.weight", "head.bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(LABELS)]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", FEATURES]),
        ],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="signet")
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


def _card() -> Card:
    return Card.from_dict(
        {
            "format": {"major": 1, "minor": 0},
            "name": "signet/tiny.format-1.0",
            "task": "classify",
            "program": [
                {"step": "read"},
                {"step": "resize", "short": 20, "filter": "bicubic"},
                {"step": "crop", "size": [SIZE, SIZE]},
                {"step": "range", "scale": 1 / 255},
                {"step": "normalise", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
                {"step": "layout", "order": "NCHW"},
            ],
            "labels": list(LABELS),
            "inputs": [{"name": "images", "shape": [None, 3, SIZE, SIZE]}],
            "output": {
                "head": "softmax",
                "tensor": "logits",
                "classes": len(LABELS),
                "temperature": 1.5,
                "features": "features",
            },
            "licence": {"weights": "CC0-1.0", "stated": True},
            "origin": "random weights, made for the tests of the format",
            "good_for": "Nothing but testing that seals of format 1.0 stay readable.",
        }
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
