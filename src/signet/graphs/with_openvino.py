"""Surgery on `.tflite` graphs and OpenVINO IR (and `.onnx`) with OpenVINO's own operations: no torch.

The results are OpenVINO IR, an `.xml` with its `.bin`; what was float32 stays so. They have a free batch axis
where that can be had; where it cannot, the input's shape says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.errors import AlreadyExists, BadGraph, BadRequest
from signet.graphs.heads import FEATURES, LOGITS, check_graph, check_head, no_head
from signet.graphs.opening import open_graph
from signet.graphs.openvino_batch import with_free_batch
from signet.graphs.openvino_walk import OpenvinoView, shape_of, value_of
from signet.graphs.tensorflow_conversion import MARK
from signet.graphs.walk import Cut, find_cut
from signet.naming import shown
from signet.networks import GraphFile
from signet.storage import new_file


def add_features(
    graph: GraphFile, out: Path, *, answer: str | int = 0, features: str | int | None = None
) -> GraphFile:
    """The same network with one more output, `features`: the input of its last classifier layer.

    Args:
        graph: a `.tflite`, `.xml` or `.onnx` graph.
        out: the new file, `.xml`; its weights are written beside it as `.bin`. Nothing is overwritten.
        answer: name or position of the output that holds the classes.
        features: name of the tensor, or position of the output, that holds the features; None to find it, or
            to keep the output `features` that the graph has already.

    Returns:
        The new graph: its outputs as before, in the same order, then `features`, float32 (N, D), averaged
        over positions where the layer is a convolution.

    Raises:
        BadGraph: no such layer (a detector, a segmenter), or a graph that cannot be read.
        AlreadyExists: `out` is there.
    """
    model = _read(graph, out)
    if features is not None or _features_of(model) is None:
        model.add_results([_features_result(graph, model, answer, features)])
    return _write(model, out)


def penultimate(graph: GraphFile, *, answer: str | int = 0) -> tuple[tuple[str, int | None], ...]:
    """Where a classifier is cut: (name, number of features) of each input of its last layer.

    Args:
        graph: as for `add_features`.
        answer: name or position of the output that holds the classes.

    Raises:
        BadGraph: no such layer, or a graph that cannot be read.
    """
    model = read_model(graph)
    view = OpenvinoView(model)
    name, value = _output_value(graph, model, answer)
    cut = find_cut(graph, view, value, name)
    found = []
    for part in cut.values:
        shape = view.shape(part)
        width = None if shape is None else shape[1 if cut.kind == "map" else -1]
        found.append((view.output(part).get_node().get_friendly_name(), width))
    return tuple(found)


def layers(graph: GraphFile) -> tuple[str, ...]:
    """The tensors that are computed from the image, in the order of the graph: names for `features`.

    Raises:
        BadRequest: a graph that comes from TensorFlow.
        BadGraph: the graph cannot be read.
    """
    model = read_model(graph)
    if model.has_rt_info(MARK):
        raise BadRequest(
            "This graph comes from TensorFlow: some of its maps have their channels last, others first, so a "
            "mean over positions would be of either. --layer needs an ONNX or OpenVINO graph, or a model "
            "that has a torch form; the penultimate features need no --layer."
        )
    varying = OpenvinoView(model).varying
    computed = [
        output
        for node in model.get_ordered_ops()
        if node.get_type_name() not in ("Parameter", "Result")
        for output in node.outputs()
        if value_of(output) in varying
    ]
    return tuple(min(output.get_names(), default=value_of(output)) for output in computed)


def backbone(
    graph: GraphFile, out: Path, *, answer: str | int = 0, features: str | int | None = None
) -> GraphFile:
    """The network without its head: only the output `features`, and nothing that it does not need.

    Args, returns and raises as `add_features`.
    """
    model = _read(graph, out)
    result = _features_of(model) or _features_result(graph, model, answer, features)
    return _write(_only([result], model), out)


def join_head(backbone: GraphFile, weights: Array, bias: Array, out: Path) -> GraphFile:
    """A backbone with a new linear head: logits = features weights^T + bias. No softmax.

    Args:
        backbone: a graph with an output `features` (N, D), or with one output of that shape.
        weights: float32 (C, D), one row a class.
        bias: float32 (C,).
        out: the new file, `.xml`; its weights are written beside it as `.bin`. Nothing is overwritten.

    Returns:
        The new graph, with the outputs `logits` (N, C) and `features` (N, D), float32, in this order.

    Raises:
        BadGraph: no such output, or features of another width than the head's.
        BadInput: weights or bias of a wrong shape, or not finite.
        AlreadyExists: `out` is there.
    """
    from openvino import opset13 as operations

    model = _read(backbone, out)
    result = _features_of(model)
    if result is None:
        if len(model.outputs) != 1:
            raise BadGraph(
                f"{shown(backbone.path)}: expected an output {FEATURES!r}, got {len(model.outputs)} others. "
                "Cut the graph with backbone() first."
            )
        result = _features_result(backbone, model, 0, 0)
    source = result.input(0).get_source_output()
    shape = shape_of(source) or (None, None)
    if len(shape) != 2:
        raise BadGraph(f"{shown(backbone.path)}: expected features (N, D), got {len(shape)} axes.")
    rows, column = check_head(weights, bias, shape[1])
    product = operations.matmul(source, operations.constant(rows), False, True)
    logits = operations.add(product, operations.constant(column[None]))
    return _write(_only([_result(model, logits.output(0), LOGITS), result], model), out)


def _read(graph: GraphFile, out: Path) -> Any:
    check_graph(graph, ("tflite", "xml", "onnx"), out, ".xml")
    return read_model(graph)


def read_model(graph: GraphFile) -> Any:
    """A graph as an OpenVINO model.

    Raises:
        BadGraph: it cannot be read, or keeps a state.
    """
    import openvino

    try:
        model = openvino.Core().read_model(str(graph.path))
    except RuntimeError as error:
        raise BadGraph(f"{shown(graph.path)} cannot be read by OpenVINO: {error}") from error
    if model.get_sinks():
        raise BadGraph(f"{shown(graph.path)} keeps a state between images, which a classifier does not.")
    return model


def _features_of(model: Any) -> Any | None:
    """The result node of an output `features`, where there is one."""
    for result in model.get_results():
        if FEATURES in result.input(0).get_source_output().get_names():
            return result
    return None


def _features_result(graph: GraphFile, model: Any, answer: str | int, features: str | int | None) -> Any:
    """New nodes that make `features` float32 (N, D), and their result node."""
    from openvino import opset13 as operations

    view = OpenvinoView(model)
    if features is None:
        name, value = _output_value(graph, model, answer)
        cut = find_cut(graph, view, value, name)
    else:
        cut = _named(graph, model, view, features)
    parts = [_as_rows(view.output(value), cut) for value in cut.values]
    joined = parts[0] if len(parts) == 1 else operations.concat(parts, 1).output(0)
    if joined.get_element_type().get_type_name() != "f32":
        joined = operations.convert(joined, "f32").output(0)
    return _result(model, joined, FEATURES)


def _as_rows(output: Any, cut: Cut) -> Any:
    """Nodes from the cut tensor to (N, D): always a new tensor, because it gets a name of its own."""
    from openvino import opset13 as operations

    shape = shape_of(output)
    if shape is not None and len(shape) > 2 and (cut.kind == "map" or cut.averaged):
        axes = range(2, len(shape)) if cut.kind == "map" else range(1, len(shape) - 1)
        output = operations.reduce_mean(output, operations.constant(np.array(axes, np.int64)), False).output(
            0
        )
    width = None if shape is None else shape[1 if cut.kind == "map" else -1]
    target = operations.constant(np.array([0, -1 if width is None else width], np.int64))
    return operations.reshape(output, target, True).output(0)


def _output_value(graph: GraphFile, model: Any, place: str | int) -> tuple[str, str]:
    """An output's name, and the value that it shows."""
    outputs = model.outputs
    for position, output in enumerate(outputs):
        if place in (position, position - len(outputs)) or place in output.get_names():
            name = min(output.get_names(), default=str(position))
            return name, value_of(output.get_node().input(0).get_source_output())
    names = ", ".join(shown(name) for output in outputs for name in sorted(output.get_names()))
    raise BadGraph(
        f"{shown(graph.path)} has no output {place!r}: expected one of {names}, "
        f"or a position below {len(outputs)}."
    )


def _named(graph: GraphFile, model: Any, view: OpenvinoView, features: str | int) -> Cut:
    """The cut at a tensor that the caller names: rows as they are, maps averaged over their positions."""
    value = view.named(features) if isinstance(features, str) else _output_value(graph, model, features)[1]
    if value is None or value not in view.varying:
        raise no_head(graph, f"no tensor {features!r} is computed in it")
    return Cut((value,), "map" if len(view.shape(value) or ()) == 4 else "matrix", averaged=True)


def _result(model: Any, output: Any, name: str) -> Any:
    """A result node whose only name is `name`; an inner tensor of that name loses it."""
    from openvino import opset13 as operations

    for node in model.get_ordered_ops():
        for other in node.outputs():
            if name in other.get_names():
                other.get_tensor().set_names(other.get_names() - {name})
    output.get_tensor().set_names({name})
    output.get_node().set_friendly_name(name)
    return operations.result(output)


def _only(results: Sequence[Any], model: Any) -> Any:
    """A model of these results and of what they need."""
    import openvino

    found = openvino.Model(list(results), model.get_parameters(), model.get_friendly_name())
    used = {value_of(port.get_source_output()) for node in found.get_ordered_ops() for port in node.inputs()}
    needed = [node for node in model.get_parameters() if value_of(node.output(0)) in used]
    return openvino.Model(list(results), needed, model.get_friendly_name())


def write_model(model: Any, out: Path) -> GraphFile:
    """Write the two files of an IR, the weights first: an `.xml` under its name is always whole.

    Raises:
        BadGraph: OpenVINO cannot write it.
        AlreadyExists: one of the two is there.
    """
    import openvino

    weights = out.with_suffix(".bin")
    if weights.exists():
        raise AlreadyExists(weights)
    try:
        with new_file(out) as graph_part, new_file(weights) as weights_part:
            openvino.serialize(model, str(graph_part), str(weights_part))
    except RuntimeError as error:
        raise BadGraph(f"{shown(out)} cannot be written by OpenVINO: {error}") from error
    return open_graph(out)


def _write(model: Any, out: Path) -> GraphFile:
    return write_model(with_free_batch(model), out)
