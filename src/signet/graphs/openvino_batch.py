"""Setting the batch axis of an OpenVINO model free where it was fixed to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.graphs.heads import GUESSED_SIZE, Runner, takes_any_batch
from signet.graphs.openvino_walk import OpenvinoView, shape_of, value_of


def with_free_batch(model: Any) -> Any:
    """The model with a free batch axis where that can be had, else the model as it is.

    A fixed batch of one often sits in constants too: reshapes to (1, D) are changed to keep the first axis.
    The result is run on three images at once and each alone; unless they agree, the batch stays fixed.
    """
    import openvino

    inputs = model.inputs
    shape = shape_of(inputs[0]) if len(inputs) == 1 else None
    if shape is None or len(shape) < 2 or shape[0] != 1:
        return model
    freed = model.clone()
    sizes = [GUESSED_SIZE if axis is None else axis for axis in shape]
    try:
        _keep_first_axis(freed)
        freed.reshape(openvino.PartialShape([-1, *(-1 if axis is None else axis for axis in shape[1:])]))
        dtype = inputs[0].get_element_type().to_dtype()
        fits = takes_any_batch(_runner(model), _runner(freed), sizes, dtype)
    except RuntimeError:  # OpenVINO refuses the free axis: it stays as it was
        fits = False
    return freed if fits else model


def with_true_batch(model: Any) -> Any:
    """The model with its free batch axis held to what it does: three images at once and each alone.

    A graph may leave its batch open and have one image in a constant all the same (a reshape to (1, D)).
    Where the answers differ, the batch becomes one, and free again where that can be had.
    """
    shape = shape_of(model.inputs[0])
    if shape is None or shape[0] is not None:
        return with_free_batch(model)
    sizes = [1, *(GUESSED_SIZE if axis is None else axis for axis in shape[1:])]
    dtype = model.inputs[0].get_element_type().to_dtype()
    try:
        run = _runner(model)
        fits = takes_any_batch(run, run, sizes, dtype)
    except RuntimeError:  # OpenVINO refuses the free axis
        fits = False
    if fits:
        return model
    import openvino

    model.reshape(openvino.PartialShape([1, *(-1 if axis is None else axis for axis in shape[1:])]))
    return with_free_batch(model)


def _runner(model: Any) -> Runner:
    """Runs a model of one input in float32 on the processor."""
    import openvino

    # bf16, the default on some processors, would hide and feign differences.
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(batch: Array) -> Sequence[Array]:
        answers = compiled([batch])
        return [np.array(answers[place]) for place in range(len(compiled.outputs))]

    return run


def _keep_first_axis(model: Any) -> None:
    """Change each reshape of computed values to a constant (1, ...) into (0, ...), which keeps axis 0.

    Source: OpenVINO operation Reshape-1, `special_zero`.
    """
    from openvino import opset13 as operations
    from openvino.utils import replace_node

    view = OpenvinoView(model)
    for node in model.get_ordered_ops():
        if (
            node.get_type_name() != "Reshape"
            or value_of(node.input(0).get_source_output()) not in view.varying
        ):
            continue
        target = node.input(1).get_source_output().get_node()
        if target.get_type_name() != "Constant":
            continue
        axes = np.array(target.data, np.int64)
        zeros_copy = bool(node.get_attributes().get("special_zero")) or not (axes == 0).any()
        if axes.ndim != 1 or axes[:1].tolist() != [1] or not zeros_copy:
            continue
        kept = operations.constant(np.concatenate([[0], axes[1:]]).astype(np.int64))
        replace_node(node, operations.reshape(node.input(0).get_source_output(), kept, True))
