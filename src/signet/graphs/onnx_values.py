"""The values of an `.onnx` graph, and any of them as one more output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from signet.errors import BadGraph
from signet.graphs.onnx_files import elements_of, onnx_library, read_model, write_model
from signet.graphs.onnx_walk import names_used, varying_values
from signet.graphs.values import Flow, Value
from signet.naming import shown
from signet.networks import GraphFile


def flow_of(graph: GraphFile) -> Flow:
    """See `values.flow_of`."""
    net = read_model(graph).graph
    varying = varying_values(net)
    # An input of the graph that is read is the image: it has no name among the values.
    values = [
        Value(name, frozenset({name}), name, node.op_type, _inputs(node, varying))
        for node in net.node
        for name in node.output
        if name in varying
    ]
    return Flow(tuple(values), tuple(output.name for output in net.output if output.name in varying))


def with_values(graph: GraphFile, keys: Sequence[str], out: Path) -> tuple[GraphFile, tuple[int, ...]]:
    """See `values.with_values`."""
    onnx, model = onnx_library(), read_model(graph)
    net = model.graph
    elements = elements_of(model)
    made = {name for node in net.node for name in node.output}
    places = {output.name: place for place, output in enumerate(net.output)}
    for key in keys:
        if key not in made:
            raise BadGraph(f"{shown(graph.path)}: no value {shown(key)!r} is computed in it.")
        if key not in places:
            places[key] = len(net.output)
            element = elements.get(key, onnx.TensorProto.FLOAT)
            net.output.append(onnx.helper.make_tensor_value_info(key, element, None))
    return write_model(model, out), tuple(places[key] for key in keys)


def _inputs(node: Any, varying: set[str]) -> tuple[str, ...]:
    return tuple(name for name in names_used(node) if name in varying)
