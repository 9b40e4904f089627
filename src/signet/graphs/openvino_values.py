"""The values of a graph as OpenVINO reads it (`.xml`, `.tflite`), and any of them as one more output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from signet.errors import BadGraph
from signet.graphs.openvino_walk import OpenvinoView, value_of
from signet.graphs.values import Flow, Value
from signet.graphs.with_openvino import read_model, write_model
from signet.naming import shown
from signet.networks import GraphFile

_NO_LAYER = ("Parameter", "Result")


def flow_of(graph: GraphFile) -> Flow:
    """See `values.flow_of`."""
    model = read_model(graph)
    keys, varying = _keys(model), OpenvinoView(model).varying
    values = [
        Value(
            key=keys[value_of(output)],
            names=frozenset(output.get_names()),
            label=min(output.get_names(), key=len, default=node.get_friendly_name()),
            operation=node.get_type_name(),
            inputs=_inputs(node, keys, varying),
        )
        for node in model.get_ordered_ops()
        if node.get_type_name() not in _NO_LAYER
        for output in node.outputs()
        if value_of(output) in varying
    ]
    answers = (value_of(output) for output in _answers(model))
    return Flow(tuple(values), tuple(keys[value] for value in answers if value in varying))


def with_values(graph: GraphFile, keys: Sequence[str], out: Path) -> tuple[GraphFile, tuple[int, ...]]:
    """See `values.with_values`."""
    from openvino import opset13 as operations

    model = read_model(graph)
    numbers = _keys(model)
    known = {
        numbers[value_of(output)]: output for node in model.get_ordered_ops() for output in node.outputs()
    }
    answers = [numbers[value_of(output)] for output in _answers(model)]
    places = {key: answers.index(key) for key in answers}
    results: list[Any] = []
    for key in keys:
        if key not in known:
            raise BadGraph(f"{shown(graph.path)}: no value {shown(key)!r} is computed in it.")
        if key not in places:
            places[key] = len(answers) + len(results)
            results.append(operations.result(known[key]))
    model.add_results(results)
    return write_model(model, out), tuple(places[key] for key in keys)


def _keys(model: Any) -> dict[str, str]:
    """Each value's number: OpenVINO's own unique names are other ones each time that a graph is read."""
    return {
        value_of(output): f"{number}:{output.get_index()}"
        for number, node in enumerate(model.get_ordered_ops())
        for output in node.outputs()
    }


def _answers(model: Any) -> list[Any]:
    return [result.input(0).get_source_output() for result in model.get_results()]


def _inputs(node: Any, keys: dict[str, str], varying: set[str]) -> tuple[str, ...]:
    found = [value_of(port.get_source_output()) for port in node.inputs()]
    return tuple(keys[value] for value in found if value in varying)
