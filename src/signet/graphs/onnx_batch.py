"""Setting the batch axis of an ONNX graph free where it was fixed to one."""

from __future__ import annotations

from typing import Any

import numpy as np

from signet.graphs.heads import GUESSED_SIZE, takes_any_batch
from signet.graphs.onnx_files import onnx_library, runner
from signet.graphs.onnx_walk import varying_values

BATCH = "N"
"""Name of the free axis."""


def with_free_batch(model: Any) -> Any:
    """The model with a free batch axis where that can be had, else the model as it is.

    A fixed batch of one often sits in constants too: reshapes to (1, D) are changed to keep the first axis.
    The result is run on three images at once and each alone; unless they agree, the batch stays fixed.
    """
    inputs = model.graph.input
    axes = list(inputs[0].type.tensor_type.shape.dim) if len(inputs) == 1 else []
    if len(axes) < 2 or not axes[0].HasField("dim_value") or axes[0].dim_value != 1:
        return model
    try:
        freed = type(model).FromString(model.SerializeToString())
    except Exception:  # noqa: BLE001  (over 2 GiB: protobuf's own kind; writing it will say so)
        return model
    for value in (*freed.graph.input, *freed.graph.output):
        shape = value.type.tensor_type.shape
        if len(shape.dim):
            shape.dim[0].dim_param = BATCH
    del freed.graph.value_info[:]  # stated for a batch of one
    _keep_first_axis(freed)
    shape = [axis.dim_value if axis.HasField("dim_value") else GUESSED_SIZE for axis in axes]
    dtype = onnx_library().helper.tensor_dtype_to_np_dtype(inputs[0].type.tensor_type.elem_type)
    try:
        fits = takes_any_batch(runner(model), runner(freed), shape, dtype)
    except Exception:  # noqa: BLE001  (ONNX Runtime's exceptions share no public root; refused means: not free)
        fits = False
    return freed if fits else model


def _keep_first_axis(model: Any) -> None:
    """Change each reshape of computed values to a constant (1, ...) into (0, ...), which keeps axis 0.

    Source: ONNX operator Reshape, "a dimension could also be 0, in which case the actual dimension value is
    unchanged" (unless `allowzero` is set).
    """
    numpy_helper = onnx_library().numpy_helper
    net = model.graph
    constants = {tensor.name: tensor for tensor in net.initializer}
    for node in net.node:
        if node.op_type == "Constant":
            constants |= {
                name: entry.t for name in node.output for entry in node.attribute if entry.name == "value"
            }
    varying = varying_values(net)
    changed: dict[str, str] = {}
    for node in net.node:
        if node.op_type != "Reshape" or node.input[0] not in varying or node.input[1] not in constants:
            continue
        if any(entry.name == "allowzero" and entry.i for entry in node.attribute):
            continue
        name = node.input[1]
        target = numpy_helper.to_array(constants[name]).astype(np.int64)
        if target.size < 1 or target[0] != 1:
            continue
        if name not in changed:
            changed[name] = f"{name}.any_batch"
            kept = np.concatenate([[0], target[1:]]).astype(np.int64)
            net.initializer.append(numpy_helper.from_array(kept, changed[name]))
        node.input[1] = changed[name]
