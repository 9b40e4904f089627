"""Weights in 16 bits: half the bytes on disk, widened again when an engine opens the graph.

What runs is as before, fp32 or bf16; only the weights were rounded. Vectors (biases, scales and shifts of
normalisations) stay as they are: they are few, and more depends on each.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from signet.arrays import Array
from signet.compression.layers import opened, write
from signet.errors import BadInput, BadRequest, MissingExtra
from signet.graphs import quarantine
from signet.graphs.opening import is_quantized, open_graph
from signet.naming import shown
from signet.networks import GraphFile
from signet.seals import Seal

Half = Literal["fp16", "bf16"]
HALVES: tuple[Half, ...] = ("fp16", "bf16")
_NARROW = "@half"


def check_halvable(seal: Seal) -> GraphFile:
    """The seal's graph, where its weights can be rounded.

    Raises:
        MissingExtra: onnx is not installed.
        BadRequest: another format than ONNX, or quantized.
    """
    if find_spec("onnx") is None:
        raise MissingExtra("16-bit weights", "fit", "onnx")
    graph = open_graph(seal.graphs["image"])
    if graph.format != "onnx" or is_quantized(graph):
        what = "one that is quantized" if graph.format == "onnx" else graph.path.name
        raise BadRequest(
            f"{shown(seal.path.name)}: expected a seal whose graph is ONNX in floats, got {what}. Compress "
            "the seal that it was made of."
        )
    return graph


def halved(seal: Seal, to: Half, out: Path) -> GraphFile:
    """The seal's graph with its float32 matrices and kernels in 16 bits, each behind a `Cast` to float32.

    Args:
        seal: whose graph passes `check_halvable`.
        to: "fp16" (11 bits of precision, up to 65,504) or "bf16" (8 bits, the range of float32).
        out: the ONNX file to write.

    Raises:
        BadInput: no such weights, or one beyond the range of fp16.
    """
    from onnx import TensorProto, helper, numpy_helper

    model = opened(seal.graphs["image"])
    code = TensorProto.FLOAT16 if to == "fp16" else TensorProto.BFLOAT16
    given = {value.name for value in model.graph.input}
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2 or tensor.name in given:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        narrow = _narrowed(values, to, f"{shown(seal.path.name)}: {shown(name)}")
        tensor.CopyFrom(helper.make_tensor(name + _NARROW, code, values.shape, narrow.tobytes(), raw=True))
        casts.append(
            helper.make_node("Cast", [name + _NARROW], [name], name=f"{name}@whole", to=TensorProto.FLOAT)
        )
    if not casts:
        raise BadInput(
            f"{shown(seal.path.name)}: expected float32 matrices or kernels in its graph, got none: its "
            "weights are stored in fewer bits already, or it has none. --to int8 may make it smaller still."
        )
    nodes = [*casts, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
    graph = open_graph(write(model, out))
    for engine in ("onnx", "openvino"):
        quarantine.vouch_for(graph, engine)
    return graph


def _narrowed(values: Array, to: Half, what: str) -> Array:
    """Rounded to nearest, half to even: float16, or the upper 16 bits of float32 as uint16."""
    if to == "fp16":
        greatest = float(np.abs(values).max(initial=0.0))
        if greatest > float(np.finfo(np.float16).max):
            raise BadInput(
                f"{what} has a value of {greatest:.4g}: expected at most 65,504, the greatest of fp16. "
                "Use --to bf16."
            )
        return np.asarray(values, np.float16)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded: Any = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.asarray(rounded, np.uint16)
