"""Surgery on `.onnx` graphs with plain ONNX nodes: features out, the head off, a new head on. No torch.

The results hold all their weights (external data of the source is taken in), in float32 where they are new,
and have a free batch axis where that can be had; where it cannot, the input's shape says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.errors import BadGraph
from signet.graphs.heads import FEATURES, LOGITS, check_graph, check_head, no_head
from signet.graphs.onnx_batch import BATCH, with_free_batch
from signet.graphs.onnx_files import (
    fresh,
    give_way,
    keep,
    onnx_library,
    opset,
    prune,
    read_model,
    shapes_of,
    write_model,
)
from signet.graphs.onnx_walk import OnnxView, varying_values
from signet.graphs.walk import Cut, Shape, find_cut
from signet.naming import shown
from signet.networks import GraphFile


def add_features(
    graph: GraphFile, out: Path, *, answer: str | int = 0, features: str | int | None = None
) -> GraphFile:
    """The same network with one more output, `features`: the input of its last classifier layer.

    Args:
        graph: an `.onnx` graph.
        out: the new file, `.onnx`; nothing is overwritten.
        answer: name or position of the output that holds the classes.
        features: name of the tensor, or position of the output, that holds the features; None to find it, or
            to keep the output `features` that the graph has already.

    Returns:
        The new graph: its outputs as before, in the same order, then `features`, float32 (N, D), averaged
        over positions where the layer is a convolution.

    Raises:
        BadGraph: no such layer (a detector, a segmenter), or a graph that cannot be read.
        MissingExtra: the `onnx` package is not installed.
        AlreadyExists: `out` is there.
    """
    model = _read(graph, out)
    if features is not None or FEATURES not in [value.name for value in model.graph.output]:
        _add_output(graph, model, answer, features)
    return write_model(with_free_batch(model), out)


def penultimate(graph: GraphFile, *, answer: str | int = 0) -> tuple[tuple[str, int | None], ...]:
    """Where a classifier is cut: (name, number of features) of each input of its last layer.

    Args:
        graph: an `.onnx` graph.
        answer: name or position of the output that holds the classes.

    Raises:
        BadGraph: no such layer, or a graph that cannot be read.
        MissingExtra: the `onnx` package is not installed.
    """
    model = read_model(graph)
    shapes = shapes_of(model)
    name = _output_name(graph, model.graph, answer)
    cut = find_cut(graph, OnnxView(model.graph, shapes), name, name)
    return tuple((value, _width(shapes.get(value), cut)) for value in cut.values)


def layers(graph: GraphFile) -> tuple[str, ...]:
    """The tensors that are computed from the image, in the order of the graph: names for `features`.

    Raises:
        BadGraph: the graph cannot be read.
        MissingExtra: the `onnx` package is not installed.
    """
    net = read_model(graph).graph
    varying = varying_values(net)
    return tuple(name for node in net.node for name in node.output if name in varying)


def backbone(
    graph: GraphFile, out: Path, *, answer: str | int = 0, features: str | int | None = None
) -> GraphFile:
    """The network without its head: only the output `features`, and nothing that it does not need.

    Args, returns and raises as `add_features`.
    """
    model = _read(graph, out)
    if FEATURES not in [value.name for value in model.graph.output]:
        _add_output(graph, model, answer, features)
    keep(model.graph.output, [value for value in model.graph.output if value.name == FEATURES])
    prune(model.graph)
    return write_model(with_free_batch(model), out)


def join_head(backbone: GraphFile, weights: Array, bias: Array, out: Path) -> GraphFile:
    """A backbone with a new linear head: logits = features weights^T + bias. No softmax.

    Args:
        backbone: a graph with an output `features` (N, D), or with one output of that shape.
        weights: float32 (C, D), one row a class.
        bias: float32 (C,).
        out: the new file, `.onnx`; nothing is overwritten.

    Returns:
        The new graph, with the outputs `logits` (N, C) and `features` (N, D), float32, in this order.

    Raises:
        BadGraph: no such output, or features of another width than the head's.
        BadInput: weights or bias of a wrong shape, or not finite.
        MissingExtra: the `onnx` package is not installed.
        AlreadyExists: `out` is there.
    """
    model = _read(backbone, out)
    net, onnx = model.graph, onnx_library()
    names = [value.name for value in net.output]
    if FEATURES not in names:
        if len(names) != 1:
            raise BadGraph(
                f"{shown(backbone.path)}: expected an output {FEATURES!r}, got "
                f"{', '.join(map(shown, names))}. Cut the graph with backbone() first."
            )
        _add_output(backbone, model, 0, 0)
    shape = shapes_of(model).get(FEATURES, (None, None))
    if len(shape) != 2:
        raise BadGraph(f"{shown(backbone.path)}: expected features (N, D), got {len(shape)} axes.")
    rows, column = check_head(weights, bias, shape[1])
    keep(net.output, [value for value in net.output if value.name == FEATURES])
    prune(net)
    head = tuple(fresh(net, f"{LOGITS}.{part}") for part in ("weight", "bias"))
    give_way(net, LOGITS)
    net.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for array, name in zip((rows, column), head, strict=True)
    )
    net.node.append(onnx.helper.make_node("Gemm", [FEATURES, *head], [LOGITS], name=LOGITS, transB=1))
    batch = shape[0] or _batch_name(net)
    logits = onnx.helper.make_tensor_value_info(LOGITS, onnx.TensorProto.FLOAT, [batch, len(rows)])
    keep(net.output, [logits, *net.output])
    return write_model(with_free_batch(model), out)


def _read(graph: GraphFile, out: Path) -> Any:
    check_graph(graph, ("onnx",), out, ".onnx")
    return read_model(graph)


def _add_output(graph: GraphFile, model: Any, answer: str | int, features: str | int | None) -> None:
    """Append the nodes that make `features` float32 (N, D), and the output."""
    onnx, net = onnx_library(), model.graph
    other = give_way(net, FEATURES)
    shapes = shapes_of(model)
    if features is None:
        name = _output_name(graph, net, answer)
        cut = find_cut(graph, OnnxView(net, shapes), name, name)
    else:
        cut = _named(graph, net, other if features == FEATURES else features, shapes)
    parts = [_as_rows(net, value, cut, shapes.get(value), opset(model)) for value in cut.values]
    joined = parts[0] if len(parts) == 1 else _node(net, "Concat", parts, "joined", axis=1)
    net.node.append(onnx.helper.make_node("Cast", [joined], [FEATURES], FEATURES, to=onnx.TensorProto.FLOAT))
    widths = [_width(shapes.get(value), cut) for value in cut.values]
    width = sum(width or 0 for width in widths) if all(widths) else None
    first = next(iter(shapes.get(cut.values[0]) or ()), None)
    axes = [first or _batch_name(net), width]
    net.output.append(onnx.helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, axes))


def _as_rows(net: Any, value: str, cut: Cut, shape: Shape | None, version: int) -> str:
    """Nodes from the cut tensor to (N, D); the name of what they give."""
    rank = len(shape) if shape is not None else None
    if cut.kind == "map":
        value = _node(net, "GlobalAveragePool", [value], "pooled")
    elif cut.averaged and rank is not None and rank > 2:
        axes = list(range(1, rank - 1))
        if version < 18:
            return _node(net, "ReduceMean", [value], "pooled", axes=axes, keepdims=0)
        constant = fresh(net, f"{FEATURES}.axes")  # from 18 on the axes are an input
        net.initializer.append(onnx_library().numpy_helper.from_array(np.array(axes, np.int64), constant))
        return _node(net, "ReduceMean", [value, constant], "pooled", keepdims=0)
    return value if rank == 2 else _node(net, "Flatten", [value], "flat", axis=1)


def _node(net: Any, operator: str, inputs: list[str], name: str, **settings: object) -> str:
    """Append a node of one output; the name of that output."""
    output = fresh(net, f"{FEATURES}.{name}")
    net.node.append(onnx_library().helper.make_node(operator, inputs, [output], output, **settings))
    return output


def _output_name(graph: GraphFile, net: Any, place: str | int) -> str:
    names: list[str] = [value.name for value in net.output]
    if isinstance(place, int) and -len(names) <= place < len(names):
        return names[place]
    if place in names:
        return str(place)
    raise BadGraph(
        f"{shown(graph.path)} has no output {place!r}: expected one of {', '.join(map(shown, names))}, "
        f"or a position below {len(names)}."
    )


def _named(graph: GraphFile, net: Any, features: str | int, shapes: dict[str, Shape]) -> Cut:
    """The cut at a tensor that the caller names: rows as they are, maps averaged over their positions."""
    value = features if isinstance(features, str) else _output_name(graph, net, features)
    if value not in varying_values(net):
        raise no_head(graph, f"no tensor {value!r} is computed in it")
    return Cut((value,), "map" if len(shapes.get(value) or ()) == 4 else "matrix", averaged=True)


def _width(shape: Shape | None, cut: Cut) -> int | None:
    if shape is None:
        return None
    return shape[1 if cut.kind == "map" else -1]


def _batch_name(net: Any) -> str:
    """How the graph's own input calls its free batch axis, so that outputs bear the same name."""
    for value in net.input[:1]:
        for axis in value.type.tensor_type.shape.dim[:1]:
            return str(axis.dim_param) or BATCH
    return BATCH
