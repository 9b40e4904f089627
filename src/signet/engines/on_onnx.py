"""ONNX Runtime: the portable engine. It answers in float32 on every processor that it is built for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.batches import Batch, Outputs
from signet.engines.contract import EngineSettings, Precision, finished, joined, require_processor
from signet.errors import EngineError
from signet.graphs.opening import is_quantized
from signet.networks import GraphFile

FORMATS = ("onnx",)
WRONG_OPTIMIZERS = ["Pad_Fusion"]
"""It moves a padding with zeros into the max pooling behind it, which pads with minus infinity: 1 to 4 %
of the largest logit on BiT. Source: measured with ONNX Runtime 1.31; docs/decisions/0013."""


def unavailable() -> str | None:
    """Why this engine cannot be used here, or None when it can."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        return f"onnxruntime cannot be imported ({error})"
    return None


def open_graph(graph: GraphFile, settings: EngineSettings) -> OnnxEngine:
    """Load a graph.

    Raises:
        EngineError: ONNX Runtime refuses the graph, the precision is not to be had here, or another device
            than "cpu" is asked for.
    """
    import onnxruntime

    require_processor("onnx", settings)
    if settings.precision == "bf16":
        raise EngineError(
            "engine onnx: precision bf16 was asked for, and ONNX Runtime has none on processors. "
            "Use --precision fp32, or --engine openvino."
        )
    if settings.precision == "int8" and not is_quantized(graph):
        raise EngineError(
            f"engine onnx: precision int8 was asked for, and {graph.path.name} was not quantized. "
            "Use --precision fp32, or auto."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, settings.thread_count // max(1, settings.workers))
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(graph.path),
            sess_options=options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=WRONG_OPTIMIZERS,
        )
    except Exception as error:  # ONNX Runtime's exceptions share no public root
        raise EngineError(f"engine onnx cannot open {graph.path.name}: {error}") from error
    return OnnxEngine(session, onnxruntime.__version__, settings)


class OnnxEngine:
    """A session; its `run` is safe from several threads by ONNX Runtime's own promise."""

    name = "onnx"
    fuses = False

    def __init__(self, session: Any, version: str, settings: EngineSettings) -> None:
        self.version = version
        self.precision: Precision = settings.precision
        self.outputs = tuple(output.name for output in session.get_outputs())
        self._input = session.get_inputs()[0]
        fixed = self._input.shape[0] if self._input.shape else None
        self._batch = fixed if isinstance(fixed, int) else None
        self._session: Any = session

    def run(self, batch: Batch) -> Outputs:
        """See `Engine.run`."""
        arrays = finished(self.name, batch)
        if not isinstance(arrays, np.ndarray):
            parts = [self._infer(array[None]) for array in arrays]
        elif self._batch is None or len(batch) == self._batch:
            return Outputs(self._infer(arrays))
        else:
            parts = [self._infer(_filled(part, self._batch)) for part in _cut(arrays, self._batch)]
        whole = joined(self.name, parts, self.outputs)
        return Outputs({name: array[: len(batch)] for name, array in whole.items()})

    def close(self) -> None:
        """See `Engine.close`."""
        self._session = None

    def _infer(self, arrays: Array) -> dict[str, Array]:
        session = self._session
        if session is None:
            raise EngineError("engine onnx: this model is closed.")
        try:
            answers = session.run(None, {self._input.name: np.ascontiguousarray(arrays)})
        except Exception as error:  # ONNX Runtime's exceptions share no public root
            raise EngineError(
                f"engine onnx: the network refused an input of shape {arrays.shape}, {arrays.dtype}: {error}"
            ) from error
        return dict(zip(self.outputs, answers, strict=True))


def _cut(arrays: Array, batch: int) -> Sequence[Array]:
    return [arrays[start : start + batch] for start in range(0, len(arrays), batch)]


def _filled(arrays: Array, batch: int) -> Array:
    """Padded with zeros to the one batch size that the graph takes."""
    missing = batch - len(arrays)
    return np.pad(arrays, [(0, missing)] + [(0, 0)] * (arrays.ndim - 1)) if missing else arrays
