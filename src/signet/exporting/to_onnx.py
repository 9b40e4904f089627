"""To ONNX: one file with all weights inside, a free batch axis, and its card among the metadata."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from signet.cards import Card, InputSpec
from signet.errors import BadGraph
from signet.exporting import preludes
from signet.exporting.contracts import Shape, card_of, metadata
from signet.exporting.materials import Materials
from signet.graphs.onnx_batch import with_free_batch
from signet.graphs.onnx_files import onnx_library, opset, read_model, runner, write_model
from signet.steps import Step

_DTYPES = {np.dtype(np.float32): "float32", np.dtype(np.uint8): "uint8"}


def write(materials: Materials, preprocessing: str, to: Path) -> Card:
    """Write the file; returns its card.

    Raises:
        BadRequest: the seal holds no ONNX graph, or the preprocessing cannot be part of one.
        BadGraph: the graph cannot be written as one file.
        MissingExtra: the `onnx` package is not installed.
    """
    graph = materials.require_onnx("an ONNX file")
    model = with_free_batch(read_model(graph))
    shape = described(model, materials.card)
    if preprocessing == "in":
        shape = add_prelude(model, shape)
    card = card_of(materials.seal, "onnx", shape)
    del model.metadata_props[:]
    for key, value in metadata(card, materials.seal).items():
        model.metadata_props.add(key=key, value=value)
    to.unlink(missing_ok=True)
    write_model(model, to)
    return card


def described(model: Any, card: Card) -> Shape:
    """How a graph is used that was sealed with this card.

    Raises:
        BadGraph: it takes neither bytes nor float32, or not one picture.
    """
    inputs = list(model.graph.input)
    if len(inputs) != 1:
        raise BadGraph(f"the sealed graph: expected one input, an image, got {len(inputs)}.")
    tensor = inputs[0].type.tensor_type
    dtype = np.dtype(onnx_library().helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    if dtype not in _DTYPES:
        raise BadGraph(f"the sealed graph: expected an input of float32 or uint8, got {dtype}.")
    axes = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim)
    spec = InputSpec(name=inputs[0].name, dtype="uint8" if dtype == np.uint8 else "float32", shape=axes)
    return Shape(inputs=(spec,), output=card.output, program=card.program)


def add_prelude(model: Any, shape: Shape) -> Shape:
    """Put the arithmetic of the preprocessing in front of a graph; it then takes bytes, channels last."""
    onnx = onnx_library()
    outside, steps = preludes.parts(shape.program)
    if not steps:
        return shape
    entry = model.graph.input[0]
    own, axes = shape.inputs[0], shape.inputs[0].shape
    nodes, constants = preludes.to_onnx(steps, own.name)
    alone = runner(_alone(model, nodes, constants, own))
    preludes.check(steps, lambda pictures: alone(pictures)[0])
    sides = outside.input_size() or (None, None)
    taken = (axes[0] if axes else None, *sides, 3)
    names = [name or given for name, given in zip(taken, ("batch", "height", "width", 3), strict=True)]
    entry.CopyFrom(onnx.helper.make_tensor_value_info(preludes.PICTURES, onnx.TensorProto.UINT8, names))
    network = [type(node).FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *network])
    model.graph.initializer.extend(constants)
    spec = InputSpec(name=preludes.PICTURES, dtype="uint8", shape=taken)
    return dataclasses.replace(shape, inputs=(spec,), program=outside, inside=_stages(steps))


def _alone(model: Any, nodes: list[Any], constants: list[Any], own: InputSpec) -> Any:
    """The prelude as a graph of its own."""
    onnx = onnx_library()
    kind = onnx.TensorProto.UINT8 if own.dtype == "uint8" else onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "prelude",
        [onnx.helper.make_tensor_value_info(preludes.PICTURES, onnx.TensorProto.UINT8, [None] * 3 + [3])],
        [onnx.helper.make_tensor_value_info(own.name, kind, [None] * 4)],
        constants,
    )
    versions = [onnx.helper.make_opsetid("", opset(model))]
    return onnx.helper.make_model(graph, opset_imports=versions, ir_version=model.ir_version)


def _stages(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """The stages of steps, each once, in order."""
    return tuple(dict.fromkeys(step.stage for step in steps))
