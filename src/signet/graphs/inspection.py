"""What goes into a graph and what comes out, found out in a process of its own.

`python -m signet.graphs.inspection PATH` runs it on one made picture. The last line on stdout is a JSON
object: `{"ok": true, "inputs": [...], "outputs": [...]}`, each with `name`, `dtype` and `shape`, the outputs
also with the least and greatest value, whether all are whole numbers, and for each short axis the least,
greatest and mean value at each place; or `{"ok": false, "error": words}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from signet.graphs.trial import limit_resources

FREE_SIDE = 320
"""Height and width of the made picture where the graph takes any: a multiple of every stride in use."""
LONGEST_AXIS = 1024
"""Axes of more places are not described place by place."""


def main(arguments: Sequence[str]) -> int:
    """Describe the graph PATH."""
    (path,) = arguments
    limit_resources()
    try:
        answer = {"ok": True, **_inspected(path)}
    except Exception as error:  # noqa: BLE001  (each library has its own kinds, and all mean the same here)
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"[:2000]}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
    sys.stdout.flush()
    return 0


def _inspected(path: str) -> dict[str, Any]:
    try:
        import openvino  # noqa: F401
    except ImportError:
        return _with_onnx(path)
    return _with_openvino(path)


def _with_openvino(path: str) -> dict[str, Any]:
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    shapes = {}
    for port in model.inputs:
        partial = port.get_partial_shape()
        axes = [] if partial.rank.is_dynamic else partial
        shapes[port] = _sides([axis.get_length() if axis.is_static else None for axis in axes])
    model.reshape(shapes)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 2})
    inputs: list[dict[str, Any]] = [
        {"name": _name(port), "dtype": str(port.get_element_type().to_dtype()), "shape": shapes[own]}
        for port, own in zip(compiled.inputs, model.inputs, strict=True)
    ]
    found = compiled([_picture(port["shape"], port["dtype"]) for port in inputs])
    outputs = [described(_name(port), found[port]) for port in compiled.outputs]
    return {"inputs": inputs, "outputs": outputs}


def _with_onnx(path: str) -> dict[str, Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])
    dtypes = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
    inputs = [
        {
            "name": port.name,
            "dtype": dtypes.get(port.type, port.type),
            "shape": _sides([axis if isinstance(axis, int) else None for axis in port.shape]),
        }
        for port in session.get_inputs()
    ]
    found = session.run(None, {port["name"]: _picture(port["shape"], port["dtype"]) for port in inputs})
    outputs = [described(port.name, array) for port, array in zip(session.get_outputs(), found, strict=True)]
    return {"inputs": inputs, "outputs": outputs}


def _name(port: Any) -> str:
    names = sorted(port.names)
    return names[0] if names else ""


def _sides(axes: Sequence[int | None]) -> list[int]:
    """The shape of the made picture: one image, three channels, free sides of `FREE_SIDE`.

    Raises:
        ValueError: it is no image.
    """
    if len(axes) != 4 or 3 not in (axes[1] or 3, axes[3] or 3):
        raise ValueError(f"expected one input, an image of four axes and three channels, got {list(axes)}")
    channel = 3 if axes[3] == 3 and axes[1] != 3 else 1
    return [
        1 if place == 0 else 3 if place == channel else axis or FREE_SIDE for place, axis in enumerate(axes)
    ]


def _picture(shape: Sequence[int], dtype: str) -> Any:
    """Noise of the range 0 to 1, or of whole bytes."""
    import numpy as np

    random = np.random.default_rng(0)
    if dtype == "uint8":
        return random.integers(0, 256, shape, np.uint8)
    return random.uniform(0, 1, shape).astype(dtype)


def described(name: str, array: Any) -> dict[str, Any]:
    """An output and its values, as plain JSON."""
    import numpy as np

    array = np.asarray(array)
    values = np.nan_to_num(array.astype(np.float64), posinf=1e30, neginf=-1e30)
    profile = {}
    for axis in range(1, array.ndim):
        if array.size and array.shape[axis] <= LONGEST_AXIS:
            others = tuple(place for place in range(array.ndim) if place != axis)
            rows = (values.min(others), values.max(others), values.mean(others))
            profile[str(axis)] = [row.tolist() for row in rows]
    return {
        "name": name,
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "low": float(values.min(initial=0)),
        "high": float(values.max(initial=0)),
        "whole": bool(np.array_equal(values, np.rint(values))),
        "profile": profile,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
