"""Quantized layers taken back to floats: the middle ground between int8 and what was there before.

A layer here is a node that computes on quantized values: every input that comes out of a `DequantizeLinear`.
To take it back, its weights and biases become those of the graph before quantization, and its activations
bypass their quantizer. Nothing else changes, so that the ranges of all other layers stay as calibrated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_ORIGINAL = "@float"
LEAST_OPSET = 13
"""From which on `DequantizeLinear` has a scale for each channel. Source: ONNX operators, changelog."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A node that computes on quantized values.

    Attributes:
        name: of the node.
        operator: "Conv", "Gemm", "Add" ...
    """

    name: str
    operator: str


def opened(path: Path) -> Any:
    """An ONNX model that can be rewritten: every node with a name, and scales for each channel to be had.

    Args:
        path: of the graph; weights that lie beside it are read, too.

    Returns:
        An `onnx.ModelProto` of opset 13 or later.
    """
    import onnx
    from onnx import version_converter

    model = onnx.load(path)
    if next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx")) < LEAST_OPSET:
        model = version_converter.convert_version(model, LEAST_OPSET)
    for place, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{place}"
    return model


def quantizable(path: Path) -> Any:
    """An ONNX model as NNCF quantizes it: `opened`, with weights in the type that they are computed in.

    Weights that are stored in 16 bits stand behind a `Cast`, and NNCF's pass over those fails on constants.
    """
    model = opened(path)
    _fold_casts(model.graph)
    return model


def read(path: Path) -> Any:
    """An ONNX model as it stands."""
    import onnx

    return onnx.load(path)


def quantized_layers(model: Any) -> tuple[Layer, ...]:
    """The layers of a quantized ONNX model, in its order."""
    dequantized = {node.output[0] for node in model.graph.node if node.op_type == _DEQUANTIZE}
    return tuple(
        Layer(node.name, node.op_type)
        for node in model.graph.node
        if node.op_type not in (_QUANTIZE, _DEQUANTIZE) and dequantized & set(node.input)
    )


def in_floats(quantized: Any, original: Any, names: Collection[str]) -> Any:
    """A copy of a quantized model in which some layers compute in floats again.

    Args:
        quantized: an `onnx.ModelProto` that NNCF made.
        original: the model that it was made of.
        names: of layers, as `quantized_layers` tells them.

    Returns:
        An `onnx.ModelProto`; of the quantizers and weights that nothing uses any more it is free.
    """
    import onnx

    found = onnx.ModelProto()
    found.CopyFrom(quantized)
    makers = {output: node for node in found.graph.node for output in node.output}
    before = {node.name: node for node in original.graph.node if node.name}
    constants = {tensor.name: tensor for tensor in original.graph.initializer}
    added: dict[str, Any] = {}
    for node in found.graph.node:
        if node.name not in names:
            continue
        twin = before.get(node.name)
        for place, source in enumerate(node.input):
            constant = _constant(twin, place, constants)
            if constant is not None:
                node.input[place] = f"{constant.name}{_ORIGINAL}"
                added[constant.name] = constant
            else:
                node.input[place] = _unquantized(source, makers)
    for constant in added.values():
        copied = found.graph.initializer.add()
        copied.CopyFrom(constant)
        copied.name = f"{constant.name}{_ORIGINAL}"
    _drop_unused(found.graph)
    return found


def write(model: Any, to: Path) -> Path:
    """Save a model as one file."""
    import onnx

    onnx.save(model, to)
    return to


def _fold_casts(graph: Any) -> None:
    """Put the result of each `Cast` of a constant in its place; constants that nothing else takes go."""
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    # Before version 4 of the format a constant may be an input, too: a caller may give another value.
    given = {value.name for value in graph.input}
    told = {value.name for value in graph.output}
    constants = {tensor.name: tensor for tensor in graph.initializer if tensor.name not in given}
    left = []
    for node in graph.node:
        constant = constants.get(node.input[0]) if node.op_type == "Cast" else None
        if constant is None or node.output[0] in told:
            left.append(node)
            continue
        (array,) = ReferenceEvaluator(node).run(None, {constant.name: numpy_helper.to_array(constant)})
        folded = graph.initializer.add()
        folded.CopyFrom(numpy_helper.from_array(array, node.output[0]))
        constants[folded.name] = folded
    if len(left) < len(graph.node):
        _keep(graph, left)


def _constant(twin: Any, place: int, constants: dict[str, Any]) -> Any:
    """The weight or bias that the same node had at that place; None for what is computed."""
    if twin is None or place >= len(twin.input):
        return None
    return constants.get(twin.input[place])


def _unquantized(source: str, makers: dict[str, Any]) -> str:
    """What goes into the quantizer that a value comes out of; the value itself where there is none."""
    maker = makers.get(source)
    if maker is None or maker.op_type != _DEQUANTIZE:
        return source
    quantizer = makers.get(maker.input[0])
    if quantizer is None or quantizer.op_type != _QUANTIZE:
        return source
    return str(quantizer.input[0])


def _drop_unused(graph: Any) -> None:
    """Take out nodes whose outputs nobody takes, and constants of no node."""
    kept = list(graph.node)
    while True:
        used = _used(kept, graph)
        left = [node for node in kept if used & set(node.output)]
        if len(left) == len(kept):
            break
        kept = left
    _keep(graph, kept)


def _keep(graph: Any, nodes: Sequence[Any]) -> None:
    """Leave these nodes in a graph, and of its constants those that they or its outputs take."""
    used = _used(nodes, graph)
    constants = [tensor for tensor in graph.initializer if tensor.name in used]
    # Values are described by name; what is gone must not be described any more.
    known = {name for node in nodes for name in node.output}
    shapes = [value for value in graph.value_info if value.name in known]
    for field, values in (("node", nodes), ("initializer", constants), ("value_info", shapes)):
        kept = list(values)
        graph.ClearField(field)
        getattr(graph, field).extend(kept)


def _used(nodes: Iterable[Any], graph: Any) -> set[str]:
    """Names that some node or output takes; those of subgraphs count with the node that holds them."""
    used = {output.name for output in graph.output}
    for node in nodes:
        used.update(node.input)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                used |= _used(inner.node, inner)
    return used
