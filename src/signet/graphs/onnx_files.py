"""ONNX models in memory: opening with all weights, shapes, pruning, renaming, and writing as one file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.errors import BadGraph, MissingExtra
from signet.graphs.heads import Runner
from signet.graphs.onnx_walk import inner_graphs, names_used
from signet.graphs.opening import open_graph
from signet.graphs.protobuf import MOST_BYTES
from signet.graphs.walk import Shape
from signet.naming import shown
from signet.networks import GraphFile
from signet.storage import new_file

LEAST_OPSET = 7
"""Older operator sets broadcast by other rules, and ONNX Runtime does not read them."""

LARGE = 1024
"""Constants of more values are weights, not shapes."""


def onnx_library() -> Any:
    """The `onnx` package.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("cutting or joining an ONNX graph", "fit", "onnx") from error
    return onnx


def read_model(graph: GraphFile) -> Any:
    """A `ModelProto` with its external data loaded, local functions inlined and unused defaults removed.

    Raises:
        MissingExtra: the `onnx` package is not installed.
        BadGraph: it cannot be read, or its operator set is too old.
    """
    onnx = onnx_library()
    try:
        model = onnx.load(str(graph.path))
        if model.functions:
            from onnx import inliner

            model = inliner.inline_local_functions(model)
    except Exception as error:  # protobuf, the checker and the disk share no root
        raise BadGraph(f"{shown(graph.path)} cannot be read as an ONNX model: {error}") from error
    version = opset(model)
    if version < LEAST_OPSET:
        raise BadGraph(
            f"{shown(graph.path)}: expected an operator set of {LEAST_OPSET} or later, got {version}. "
            "Convert it with onnx.version_converter, or export the model again."
        )
    # Up to format 3 every constant was also listed as an input, which made it look like one.
    constants = {tensor.name for tensor in model.graph.initializer}
    keep(model.graph.input, [value for value in model.graph.input if value.name not in constants])
    model.ir_version = max(model.ir_version, 4)
    return model


def opset(model: Any) -> int:
    """Version of the standard operator set that a model uses; 0 when it names none."""
    return max(
        (int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0
    )


def shapes_of(model: Any) -> dict[str, Shape]:
    """What is known of each value's shape; an axis that is not fixed is None.

    Shape inference is asked, but a model that it refuses is not refused here: less is known, that is all.
    """
    inferred = _inferred(model)
    known: dict[str, Shape] = {}
    for value in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input):
        if value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape"):
            axes = value.type.tensor_type.shape.dim
            known[value.name] = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in axes)
    known |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return known


def elements_of(model: Any) -> dict[str, int]:
    """What is known of each value's element type, as ONNX numbers them."""
    inferred = _inferred(model).graph
    return {
        value.name: value.type.tensor_type.elem_type
        for value in (*inferred.value_info, *inferred.output, *inferred.input)
        if value.type.HasField("tensor_type") and value.type.tensor_type.elem_type
    }


def _inferred(model: Any) -> Any:
    onnx = onnx_library()
    try:
        return onnx.shape_inference.infer_shapes(_without_values(model), data_prop=True)
    except Exception:  # noqa: BLE001  (its exceptions share no public root)
        return model


def _without_values(model: Any) -> Any:
    """A copy for shape inference, which serialises the model twice: large constants become inputs."""
    onnx = onnx_library()
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.graph.name = model.graph.name
    for part in ("node", "input", "output", "value_info"):
        getattr(light.graph, part).extend(getattr(model.graph, part))
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= LARGE:
            light.graph.initializer.append(tensor)
        else:
            value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            light.graph.input.append(value)
    return light


def write_model(model: Any, out: Path) -> GraphFile:
    """Write a model as one file with all its weights inside.

    Raises:
        BadGraph: it would be larger than 2 GiB.
        AlreadyExists: `out` is there.
    """
    try:
        content = model.SerializeToString()
    except Exception as error:  # protobuf raises its own kind when a message is too large
        raise BadGraph(f"{shown(out)} cannot be written as one ONNX file: {error}") from error
    if len(content) > MOST_BYTES:
        raise BadGraph(f"{shown(out)}: expected an ONNX file of at most 2 GiB, got {len(content)} bytes.")
    with new_file(out) as temporary:
        temporary.write_bytes(content)
    return open_graph(out)


def runner(model: Any) -> Runner:
    """Runs a model of one input with ONNX Runtime.

    Raises:
        RuntimeError: ONNX Runtime refuses it (each of its exceptions has its own kind).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # a model that fails here is an answer, not an accident
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def run(batch: Array) -> Sequence[Array]:
        return [np.asarray(output) for output in session.run(None, {name: batch})]

    return run


def keep(repeated: Any, items: Sequence[Any]) -> None:
    """Replace what a repeated protobuf field holds."""
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del repeated[:]
    repeated.extend(copies)


def prune(net: Any) -> None:
    """Remove nodes, constants, inputs and notes that no output needs."""
    needed = {value.name for value in net.output}
    alive = []
    for node in reversed(net.node):  # producers stand before their users, so one pass backwards is enough
        if needed.intersection(node.output):
            alive.append(node)
            needed.update(names_used(node))
    if len(alive) != len(net.node):
        keep(net.node, alive[::-1])
    made = {name for node in net.node for name in node.output}
    for repeated in (net.initializer, net.input):
        for position in reversed(range(len(repeated))):
            if repeated[position].name not in needed:
                del repeated[position]
    for position in reversed(range(len(net.sparse_initializer))):
        if net.sparse_initializer[position].values.name not in needed:
            del net.sparse_initializer[position]
    keep(net.value_info, [value for value in net.value_info if value.name in made & needed])
    keep(
        net.quantization_annotation,
        [note for note in net.quantization_annotation if note.tensor_name in needed],
    )


def fresh(net: Any, name: str) -> str:
    """`name`, or with a number behind it when a value of the graph bears it already."""
    taken = set(_all_names(net))
    candidates = (name if number == 0 else f"{name}.{number}" for number in range(len(taken) + 1))
    return next(candidate for candidate in candidates if candidate not in taken)


def give_way(net: Any, name: str) -> str:
    """Rename the value that bears a name which an output is about to get; what it is called now."""
    other = fresh(net, name)
    if other != name:
        _rename(net, name, other)
    return other


def _all_names(net: Any) -> list[str]:
    names = [tensor.name for tensor in net.initializer] + [value.name for value in net.input]
    for node in net.node:
        names += [*node.input, *node.output, *names_used(node)]
        for inner in inner_graphs(node):
            names += _all_names(inner)
    return names


def _rename(net: Any, old: str, new: str) -> None:
    for values in (net.initializer, net.value_info, net.input, net.output):
        for value in values:
            if value.name == old:
                value.name = new
    for note in net.quantization_annotation:
        if note.tensor_name == old:
            note.tensor_name = new
    for node in net.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new
        for inner in inner_graphs(node):
            _rename(inner, old, new)
