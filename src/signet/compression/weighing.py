"""What an ONNX graph weighs: its parameters, and the multiply-adds of one image."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from signet.compression.outcome import Weight

_FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")


def weight_of(path: Path) -> Weight:
    """Count a float graph: its constants, and its convolutions and products by the shapes of their results.

    Args:
        path: of an ONNX graph; its first axis, the images, counts as one.
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    kinds = {getattr(onnx.TensorProto, name) for name in _FLOATS}
    constants = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    parameters = sum(prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type in kinds)
    shapes = {value.name: _shape(value) for value in (*model.graph.value_info, *model.graph.output)}
    counted = [
        _macs(node, constants, shapes)
        for node in model.graph.node
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")
    ]
    known = [one for one in counted if one is not None]
    return Weight(parameters=parameters, macs=sum(known) if len(known) == len(counted) else None)


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim
    )


def _macs(
    node: Any, constants: dict[str, tuple[int, ...]], shapes: dict[str, tuple[int | None, ...]]
) -> int | None:
    """Values of the result times what is summed for each; None where one of both is not known."""
    weights = constants.get(node.input[1])
    result = shapes.get(node.output[0], ())[1:]
    if weights is None or not result or any(size is None for size in result):
        return None
    values = prod(size or 0 for size in result)
    if node.op_type == "Conv":
        return values * prod(weights[1:])
    if node.op_type == "ConvTranspose":
        return None
    turned = any(one.name == "transB" and one.i for one in node.attribute)
    return values * (weights[-1] if turned else weights[-2])
