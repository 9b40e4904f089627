"""OpenVINO: the fast engine on x86 and Arm processors.

The pending steps of a batch (normalise, channel order, layout) become part of the compiled network, so
uint8 pictures go in as they are. A compiled network is kept on disk and imported by later processes,
which saves reading, fusing and compiling it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from signet import storage
from signet.arrays import Array
from signet.batches import Batch, Outputs
from signet.cards import InputSpec
from signet.engines.contract import EngineSettings, Precision, check_batch, joined, require_processor
from signet.errors import EngineError, SignetError
from signet.networks import GraphFile
from signet.programs import Program
from signet.steps import Layout, Normalise, Order, Range, Step, Type

FORMATS = ("onnx", "tflite", "xml")
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


def unavailable() -> str | None:
    """Why this engine cannot be used here, or None when it can."""
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        return f"openvino cannot be imported ({error})"
    return None


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 by itself, so that bf16 is worth anything."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def open_graph(
    graph: GraphFile, spec: InputSpec, program: Program, settings: EngineSettings
) -> OpenVinoEngine:
    """Compile a graph, or import it from the cache of compiled ones.

    Args:
        graph: the network.
        spec: its image input.
        program: its preprocessing; the trailing numeric steps are fused in front of the network.
        settings: precision, threads, batch.

    Raises:
        EngineError: OpenVINO refuses the graph or the precision, or another device than "cpu" is asked for.
    """
    require_processor("openvino", settings)
    core = _core()
    if settings.precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineError(
            "engine openvino: precision bf16 was asked for, and this processor has no bf16 instructions. "
            "Use --precision fp32, or auto."
        )
    options = {
        "INFERENCE_PRECISION_HINT": _HINTS[settings.precision],
        "INFERENCE_NUM_THREADS": settings.thread_count,
        "NUM_STREAMS": min(settings.workers, settings.thread_count),
        "PERFORMANCE_HINT": "THROUGHPUT" if settings.workers > 1 else "LATENCY",
    }
    place = None
    # A folder of their own: one that was made before, for graphs, has the rights that a umask gave it.
    folder = None if settings.cache is None else settings.cache / "compiled"
    if folder is not None and _is_private(folder):
        place = folder / f"{_key(graph, spec, program, settings, core)}.blob"
    try:
        compiled = _import(core, place, options) if place else None
        if compiled is None:
            compiled = core.compile_model(_fused(core, graph, spec, program, settings), "CPU", options)
            if place:
                _keep(place, compiled.export_model().getvalue())
    except RuntimeError as error:
        raise EngineError(f"engine openvino cannot open {graph.path.name}: {_first_line(error)}") from error
    return OpenVinoEngine(compiled, program.split()[1], settings)


class OpenVinoEngine:
    """A compiled network with one inference request for each worker."""

    name = "openvino"
    fuses = True

    def __init__(self, compiled: Any, pending: Sequence[Step], settings: EngineSettings) -> None:
        import openvino

        self._pending = tuple(pending)

        self.version: str = openvino.__version__.split("-")[0]
        self.precision: Precision = settings.precision
        shape = compiled.inputs[0].partial_shape
        self._batch = shape[0].get_length() if shape[0].is_static else None
        self._dtype = compiled.inputs[0].element_type.to_dtype()
        self.outputs = tuple(_name(port, place) for place, port in enumerate(compiled.outputs))
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = False
        for _ in range(max(1, settings.workers)):
            self._requests.put(compiled.create_infer_request())

    def run(self, batch: Batch) -> Outputs:
        """See `Engine.run`."""
        check_batch(self.name, batch)
        if batch.pending != self._pending:
            raise EngineError(
                "engine openvino: the batch was prepared for another program. Expected the pending steps "
                f"{_words(self._pending)}, got {_words(batch.pending)}: prepare it with `Model.prepare`."
            )
        if not isinstance(batch.arrays, np.ndarray):
            return joined(self.name, [self._infer(array[None]) for array in batch.arrays], self.outputs)
        if self._batch is None or len(batch) == self._batch:
            return Outputs(self._infer(batch.arrays))
        parts = [self._padded(batch.arrays[i : i + self._batch]) for i in range(0, len(batch), self._batch)]
        return joined(self.name, parts, self.outputs)

    def close(self) -> None:
        """See `Engine.close`."""
        # None wakes whoever waits for a request, and each one passes it on.
        self._closed = True
        # Asking `empty()` first would wait forever when a run takes the last one in between.
        with suppress(queue.Empty):
            while True:
                self._requests.get_nowait()
        self._requests.put(None)

    def _padded(self, arrays: Array) -> dict[str, Array]:
        """Run fewer images than the pinned batch, the rest of it empty."""
        count = len(arrays)
        if count == self._batch:
            return self._infer(arrays)
        whole = np.zeros((self._batch, *arrays.shape[1:]), arrays.dtype)
        whole[:count] = arrays
        return {name: array[:count] for name, array in self._infer(whole).items()}

    def _infer(self, arrays: Array) -> dict[str, Array]:
        if arrays.dtype != self._dtype:
            raise EngineError(f"engine openvino: expected {self._dtype} input, got {arrays.dtype}.")
        request = None if self._closed else self._requests.get()
        if request is None:
            self._requests.put(None)
            raise EngineError("engine openvino: this model is closed.")
        try:
            request.infer({0: np.ascontiguousarray(arrays)}, share_inputs=True)
            # The request's buffers are used again by the next run, so the answers are copied out.
            return {
                name: np.array(request.get_output_tensor(place).data)
                for place, name in enumerate(self.outputs)
            }
        except RuntimeError as error:
            raise EngineError(
                f"engine openvino: the network refused an input of shape {arrays.shape}: {_first_line(error)}"
            ) from error
        finally:
            if not self._closed:
                self._requests.put(request)


def _fused(
    core: Any,
    graph: GraphFile,
    spec: InputSpec,
    program: Program,
    settings: EngineSettings,
) -> Any:
    """The graph with the pending steps in front of it and its batch pinned."""
    import openvino
    from openvino.preprocess import PrePostProcessor

    model = core.read_model(str(graph.path))
    if settings.precision == "int8" and not any(
        "Quantize" in operation.get_type_name() for operation in model.get_ops()
    ):
        raise EngineError(
            f"engine openvino: precision int8 was asked for, and {graph.path.name} was not quantized. "
            "Use --precision fp32, or auto."
        )
    model_input = model.inputs[0]
    earlier, pending = program.split()
    size = program.input_size()
    first = _channels_first(spec, pending)
    fixed = model_input.partial_shape[0].is_static
    batch = model_input.partial_shape[0].get_length() if fixed else settings.batch
    height, width = size or (-1, -1)
    batch = batch if size or fixed else -1
    if not fixed:
        shape = [batch, 3, height, width] if first else [batch, height, width, 3]
        model.reshape({model_input: openvino.PartialShape(shape)})
    processor = PrePostProcessor(model)
    entry = processor.input(0)
    takes_bytes = _are_bytes(earlier) and (bool(pending) or spec.dtype == "uint8")
    dtype = openvino.Type.u8 if takes_bytes else openvino.Type.f32
    entry.tensor().set_element_type(dtype).set_layout(openvino.Layout("NHWC")).set_shape(
        [batch, height, width, 3]
    )
    entry.model().set_layout(openvino.Layout("NCHW" if first else "NHWC"))
    _add(entry.preprocess(), pending, openvino, is_float=not takes_bytes)
    return processor.build()


def _add(processing: Any, pending: Sequence[Step], openvino: Any, *, is_float: bool) -> None:
    """Each pending step as one of the preprocessor's own; the change of layout it makes itself."""
    for step in pending:
        if isinstance(step, Range | Normalise) and not is_float:
            processing.convert_element_type(openvino.Type.f32)
            is_float = True
        match step:
            case Range(scale=scale, offset=offset):
                processing.scale([1.0 / scale] * 3)
                if offset:
                    processing.mean([-offset] * 3)
            case Normalise(mean=mean, std=std):
                processing.mean(list(mean)).scale(list(std))
            case Order(order="BGR"):
                processing.reverse_channels()
            case Type(dtype="float32") if not is_float:
                processing.convert_element_type(openvino.Type.f32)
                is_float = True
            case Type(dtype="uint8") if is_float:
                raise EngineError("engine openvino: a program that goes back to uint8 cannot be fused.")
            case _:
                pass


def _channels_first(spec: InputSpec, pending: Sequence[Step]) -> bool:
    layouts = [step.order for step in pending if isinstance(step, Layout)]
    if layouts:
        return layouts[-1] == "NCHW"
    return len(spec.shape) == 4 and spec.shape[1] == 3


def _are_bytes(steps: Sequence[Step]) -> bool:
    """Whether these steps leave uint8: they do unless the last one that concerns the dtype makes floats."""
    last = [step for step in steps if isinstance(step, Range | Normalise | Type)][-1:]
    return not last or last[0] == Type("uint8")


def _key(graph: GraphFile, spec: InputSpec, program: Program, settings: EngineSettings, core: Any) -> str:
    """Everything that a compiled network depends on, as one digest."""
    import openvino

    parts = [
        graph.digest,
        spec.dtype,
        spec.shape,
        program.digest,
        settings.precision,
        settings.thread_count,
        settings.workers,
        settings.batch,
        openvino.__version__,
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _is_private(folder: Path) -> bool:
    """Whether compiled networks may lie in this folder: it is this user's, and nobody else may write there.

    They are native code; a digest beside them proves nothing against somebody who can write both. Where it is
    not so, the network is compiled each time.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return False
    return os.name != "posix" or (status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022)


def _keep(place: Path, blob: bytes) -> None:
    """Write a compiled network behind its own digest; a full or read-only disk costs time, nothing else."""
    with suppress(SignetError):
        storage.write_bytes(place, hashlib.sha256(blob).digest() + blob, overwrite=True)


def _import(core: Any, place: Path, options: dict[str, Any]) -> Any:
    """A compiled network from the cache, or None; one that cannot be imported is made again.

    OpenVINO checks no digest: a flipped byte would be another network, or a crash. So we do.
    """
    try:
        kept = place.read_bytes()
    except OSError:
        return None
    digest, blob = kept[:32], kept[32:]
    if hashlib.sha256(blob).digest() != digest:
        return None
    try:
        return core.import_model(blob, "CPU", options)
    except RuntimeError:
        return None


def _words(steps: Sequence[Step]) -> str:
    return "(" + "; ".join(step.words() for step in steps) + ")"


def _name(port: Any, place: int) -> str:
    """The graph's own name of an output; fusing may add names of what was there before to the tensor."""
    names = sorted(port.names)
    own = port.get_node().get_friendly_name().removesuffix("/sink_port_0")
    if own in names:
        return str(own)
    return names[0] if names else f"output_{place}"


def _core() -> Any:
    import openvino

    return openvino.Core()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
