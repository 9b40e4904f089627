"""An ONNX graph as the walk sees it.

Source: ONNX operator reference, operator sets 7 to 26.
"""

from __future__ import annotations

from typing import Any

from signet.graphs.walk import Layer, Role, Shape, Step, words

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"), "passed"),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid", "Relu", "Transpose"), "bent"),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), "bent"),
    **dict.fromkeys(("ReduceMean", "GlobalAveragePool", "AveragePool"), "average"),
}
_ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Sum"})
_LAYERS = frozenset({"MatMul", "Gemm", "Conv"})


class OnnxView:
    """See `View`.

    Args:
        net: the `GraphProto`, local functions inlined.
        shapes: what shape inference knows of each value.
    """

    def __init__(self, net: Any, shapes: dict[str, Shape]) -> None:
        self._shapes = shapes
        self._makers: dict[str, Any] = {name: node for node in net.node for name in node.output if name}
        self._varying = varying_values(net)

    def shape(self, value: str) -> Shape | None:
        """See `View.shape`."""
        return self._shapes.get(value)

    def step(self, value: str) -> Step | None:
        """See `View.step`."""
        node = self._makers.get(value)
        if node is None or value not in self._varying:
            return None
        inputs = tuple(name for name in node.input if name in self._varying)
        if node.domain not in ("", "ai.onnx"):
            return Step(f"{node.domain}.{node.op_type}", "other", inputs)
        if node.op_type in _LAYERS:
            return Step(node.op_type, "layer", inputs, self._layer(node, inputs))
        if node.op_type in _ELEMENTWISE:
            added: Role = "sum" if node.op_type in ("Add", "Sum") else "other"
            return Step(node.op_type, "scale" if len(inputs) == 1 else added, inputs)
        carries = inputs[:1] == tuple(node.input[:1])
        return Step(node.op_type, _ROLES.get(node.op_type, "other") if carries else "other", inputs)

    def _layer(self, node: Any, inputs: tuple[str, ...]) -> Layer:
        settings = {attribute.name: attribute.i for attribute in node.attribute}
        name, shape = node.name or node.output[0], self._shapes.get(node.output[0])
        problem = ""
        if inputs != tuple(node.input[:1]) or settings.get("transA"):
            problem = "has no constant weights"
        if node.op_type != "Conv":
            features = self._shapes.get(node.input[0]) or ()
            return Layer(name, "matrix", shape[-1] if shape else None, features[1:-1], problem)
        weights = self._shapes.get(node.input[1])
        if weights is None or any(axis != 1 for axis in weights[2:]) or settings.get("group", 1) != 1:
            problem = problem or f"is a convolution of {words(weights)}, not one of single positions"
        return Layer(name, "map", weights[0] if weights else None, shape[2:] if shape else (), problem)


def varying_values(net: Any) -> set[str]:
    """Names of all values that depend on an input's values; what depends on its shape alone is left out."""
    fixed = {tensor.name for tensor in net.initializer}
    fixed |= {tensor.values.name for tensor in net.sparse_initializer}
    varying = {value.name for value in net.input} - fixed
    for node in net.node:
        if node.op_type in ("Shape", "Size"):
            continue
        if "Random" in node.op_type or any(name in varying for name in names_used(node)):
            varying.update(name for name in node.output if name)
    return varying


def names_used(node: Any) -> list[str]:
    """What a node reads, also from inside its subgraphs (If, Loop, Scan)."""
    names = [name for name in node.input if name]
    for inner in inner_graphs(node):
        names += [value.name for value in inner.output]
        for part in inner.node:
            names += names_used(part)
    return names


def inner_graphs(node: Any) -> list[Any]:
    """The subgraphs that a node carries."""
    return [
        inner
        for attribute in node.attribute
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs)
    ]
