"""Writes the starter's weights (float16) and the ONNX graph that reads them where they lie.

The graph has no weights of its own: each initialiser is ONNX external data, a location, an offset and a
length inside `model.safetensors`. So the weights exist once, for torch and for the graph engines alike.

Source: safetensors format (8 bytes of little-endian length, a JSON header, then the raw tensors); ONNX 1.23,
`docs/ExternalData.md`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import onnx
import safetensors.torch
import torch
from onnx import TensorProto, helper
from torch import Tensor

from signet.architectures.starter import INPUT_SIZE, WIDTH

OPSET = 18
IR_VERSION = 9
EPSILON = 1e-5
"""torch's BatchNorm default, as `StarterNet` has it."""

BLOCKS = {"stage1": 2, "stage2": 2, "stage3": 2, "stage4": 1}
"""Stage and its stride."""


def write_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Writes a state dict as float16, without BatchNorm's counters (which torch fills in on loading).

    No metadata are written either: any writer that gives the same names, shapes and dtypes then puts each
    tensor in the same place, so that the graph also fits other weights of this network.

    Raises:
        ValueError: a number does not fit into float16.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in sorted(state.items()):
        if name.endswith("num_batches_tracked"):
            continue
        half = value.detach().to(torch.float16).contiguous()
        if not torch.isfinite(half).all() or (name.endswith("running_var") and (half < 1e-4).any()):
            raise ValueError(f"{name} does not fit into float16.")
        tensors[name] = half
    safetensors.torch.save_file(tensors, path)
    path.chmod(0o644)


def write_graph(weights: Path, path: Path) -> None:
    """Writes the ONNX graph of the starter beside its weights.

    Its input is `images`, float32 (N, 3, 128, 128) with any N; its output is `features`, float32 (N, 512).
    """
    builder = _Builder(weights)
    value = builder.relu(builder.convolution("images", "stem.0", "stem.1", stride=2))
    for stage, stride in BLOCKS.items():
        inner = builder.relu(builder.convolution(value, f"{stage}.conv1", f"{stage}.bn1", stride))
        inner = builder.convolution(inner, f"{stage}.conv2", f"{stage}.bn2", 1)
        shortcut = builder.convolution(value, f"{stage}.conv3", f"{stage}.bn3", stride)
        value = builder.relu(builder.node("Add", [inner, shortcut], f"{stage}.sum"), f"{stage}.map")
    value = builder.relu(builder.convolution(value, "neck.0", "neck.1", stride=1), "neck.map")
    pooled = builder.node("GlobalAveragePool", [value], "pooled")
    builder.node("Flatten", [pooled], "features", axis=1)
    graph = helper.make_graph(
        builder.nodes,
        "starter",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, INPUT_SIZE, INPUT_SIZE])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", WIDTH])],
        builder.initialisers,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(
        graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="signet recipes/starter.py"
    )
    path.write_bytes(model.SerializeToString())
    onnx.checker.check_model(str(path), full_check=True)


class _Builder:
    """Collects nodes and initialisers; each method returns the name of the value that it makes."""

    def __init__(self, weights: Path) -> None:
        with weights.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            self._header = json.loads(opened.read(length))
        self._start = 8 + length
        self._location = weights.name
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[TensorProto] = []

    def node(self, operation: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operation, inputs, [output], name=output, **attributes))
        return output

    def relu(self, value: str, output: str = "") -> str:
        return self.node("Relu", [value], output or f"{value}.relu")

    def convolution(self, value: str, name: str, normalisation: str, stride: int) -> str:
        weight = self._weight(f"{name}.weight")
        kernel = self._header[f"{name}.weight"]["shape"][-1]
        output = self.node(
            "Conv",
            [value, weight],
            f"{name}.map",
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )
        parts = ("weight", "bias", "running_mean", "running_var")
        numbers = [self._weight(f"{normalisation}.{part}") for part in parts]
        return self.node("BatchNormalization", [output, *numbers], f"{normalisation}.map", epsilon=EPSILON)

    def _weight(self, name: str) -> str:
        """A float16 initialiser that lies in the weight file, and its cast to float32."""
        entry = self._header[name]
        start, end = entry["data_offsets"]
        tensor = TensorProto(
            name=name,
            data_type=TensorProto.FLOAT16,
            dims=entry["shape"],
            data_location=TensorProto.EXTERNAL,
        )
        place = {
            "location": self._location,
            "offset": str(self._start + start),
            "length": str(end - start),
        }
        for key, value in place.items():
            tensor.external_data.add(key=key, value=value)
        self.initialisers.append(tensor)
        return self.node("Cast", [name], f"{name}.float", to=TensorProto.FLOAT)
