"""Open one graph with one engine, in a process of its own: `python -m signet.graphs.trial PATH ENGINE`.

A stranger's graph can crash a native library. Here that costs a child process and nothing else. The last line
on stdout is a JSON object: `{"ok": true, "ran": bool}` or `{"ok": false, "error": words}`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

MOST_VALUES = 64 * 2**20
"""Larger inputs are not made up; then the graph is compiled but not run."""


def main(arguments: Sequence[str]) -> int:
    """Open PATH with ENGINE ("openvino" or "onnx") and run one input of zeros where its shape is known."""
    path, engine = arguments
    limit_resources()
    try:
        ran = _with_openvino(path) if engine == "openvino" else _with_onnx(path)
        answer: dict[str, Any] = {"ok": True, "ran": ran}
    except Exception as error:  # noqa: BLE001  (each library has its own kinds, and all mean the same here)
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"[:2000]}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
    sys.stdout.flush()
    return 0


def _with_openvino(path: str) -> bool:
    import numpy as np
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": 2})
    feeds = []
    for port in compiled.inputs:
        shape = port.get_partial_shape()
        axes = (
            [] if shape.rank.is_dynamic else [axis.get_length() if axis.is_static else None for axis in shape]
        )
        sizes = _sizes(axes)
        if shape.rank.is_dynamic or sizes is None:
            return False
        feeds.append(np.zeros(sizes, port.get_element_type().to_dtype()))
    compiled(feeds)
    return True


def _with_onnx(path: str) -> bool:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])
    feeds = {}
    for port in session.get_inputs():
        sizes = _sizes([axis if isinstance(axis, int) else None for axis in port.shape])
        dtype = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}.get(port.type)
        if sizes is None or dtype is None:
            return False
        feeds[port.name] = np.zeros(sizes, dtype)
    session.run(None, feeds)
    return True


def _sizes(axes: Sequence[int | None]) -> list[int] | None:
    """The shape of one input: a free batch is one; other free axes leave it unknown."""
    sizes = [1 if position == 0 and axis is None else axis for position, axis in enumerate(axes)]
    total = 1
    known: list[int] = []
    for axis in sizes:
        if axis is None or axis < 0:
            return None
        total *= axis
        known.append(axis)
    return known if total <= MOST_VALUES else None


def limit_resources() -> None:
    """No core dumps, and at most three quarters of the memory: a bomb becomes an error of this process."""
    if sys.platform == "win32":
        return  # its limits need job objects; the time limit of the parent still holds
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
