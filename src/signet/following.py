"""The graph of a torch module by following what it does to one example: quick, where that says all.

torch's other exporter proves of every step for which pictures it holds, and takes ten times as long. Here a
graph is taken only where nothing speaks against it: no call of torch in the module answered with anything
but tensors (a number, a truth, an array, an address: what a module could go by), no map had another height,
width or number of channels for other pictures, nothing in the graph measures its input, and the graph answers
as the module does, for pictures of several ranges and numbers. What does not pass goes to the other exporter.

Not a proof: a module that hides its calls from torch's own modes, or goes by values only where the pictures
here never lead, and never tells torch so, is not found out.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Floats
from signet.engines.on_onnx import WRONG_OPTIMIZERS
from signet.networks import ModuleSource

OPSET = 20
TOLERANCE = 1e-3
"""Of the largest value of an output: as `signet.parity` holds engines to the module."""
_MEASURES = frozenset({"Shape", "Size", "Loop", "If", "Scan"})
"""Operators by which a graph would decide by its input."""
_MAP_AXES = 4
_SIZES = frozenset({"shape", "size"})
_TELL_NOTHING = _SIZES | {
    *("ndim", "dim", "ndimension", "itemsize", "element_size", "get_device", "requires_grad", "is_leaf"),
    *(
        "is_floating_point",
        "is_complex",
        "is_signed",
        "is_inference",
        "is_sparse",
        "is_quantized",
        "is_nested",
    ),
    *("is_cuda", "is_cpu", "is_mps", "is_meta"),
}
"""What a tensor may tell in numbers or truths: it is the same for all pictures. Sizes are seen to."""


class _DoubtError(Exception):
    """A step of the module went by a value, so that another example might go another way."""


def followed(module: Any, source: ModuleSource, example: Any) -> bytes | None:
    """The graph of a module for any number of pictures of one size, as an ONNX file; None where in doubt.

    Args:
        module: in evaluation mode; gives what `source.answers` names.
        source: whose input has one size, and which selects nothing.
        example: float32 (2, 3, H, W) tensor.
    """
    import torch

    written: Any = io.BytesIO()  # torch takes it, and its annotations do not say so
    told: list[int] = []
    try:
        with warnings.catch_warnings(), _tracer_warnings(torch) as doubts:
            warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
            torch.onnx.export(
                _doubting(torch, module, told, doubts),
                (example,),
                written,
                dynamo=False,
                dynamic_axes={name: {0: "N"} for name in ("images", *source.answers)},
                input_names=["images"],
                output_names=list(source.answers),
                opset_version=OPSET,
            )
        model = _plain(written.getvalue())
        if any(node.op_type in _MEASURES for node in model.graph.node):
            return None
        graph: bytes = model.SerializeToString()
        return graph if _answers_alike(torch, module, graph, source, told) else None
    except Exception:  # noqa: BLE001  (ONNX Runtime's and the module's own share no root; the other exporter says)
        return None


def followed_on_one(module: Any, source: ModuleSource, to: Path) -> None:
    """Write the graph of a module by following it on one picture, for one picture at a time.

    torch's newer exporter wants to know beforehand how many boxes there will be. The older one, for which
    torchvision's detectors have rules of their own, leaves that open, and the number of pictures fixed.
    """
    import torch

    torch.manual_seed(0)
    written: Any = io.BytesIO()  # torch takes it, and its annotations do not say so
    torch.onnx.export(
        module,
        (torch.rand(1, *source.input_shape),),
        written,
        dynamo=False,
        dynamic_axes={"images": {2: "height", 3: "width"}} if source.free_size else None,
        input_names=["images"],
        output_names=list(source.answers),
        opset_version=OPSET,
    )
    to.write_bytes(_plain(written.getvalue()).SerializeToString())


def _doubting(torch: Any, module: Any, told: list[int], doubts: list[str]) -> Any:
    """The module, which ends with an error where a step of it said anything by which it could have gone."""

    class Doubting(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, images: Any) -> Any:
            with _watched(torch, told, doubts):
                answer = self.module(images)
            # Not raised where it is found: parts of torch that are not Python cannot pass an error on.
            if doubts:
                raise _DoubtError
            return answer

    return Doubting().eval()


@contextmanager
def _tracer_warnings(torch: Any) -> Iterator[list[str]]:
    """Meanwhile, every warning that following went wrong is noted as it is made.

    A module that silences warnings only keeps them from being shown.
    """
    noted: list[str] = []
    warning: Any = torch.jit.TracerWarning

    class Noted(warning):  # type: ignore[misc]
        def __init__(self, *said: Any) -> None:
            super().__init__(*said)
            noted.append(str(self))

    torch.jit.TracerWarning = Noted
    try:
        yield noted
    finally:
        torch.jit.TracerWarning = warning


def _plain(graph: bytes) -> Any:
    """The model without the notes of where in whose code each node comes from."""
    import onnx

    model = onnx.load_from_string(graph)
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    return model


def _watched(torch: Any, told: list[int], doubts: list[str]) -> Any:
    """A mode of torch in which a module's calls are watched, and maps know their sizes.

    A map (N, C, H, W) tells its channels, height and width as plain numbers, and they are noted in `told`.
    Followed, every size would be a value that the graph has to measure: a network that pads as TensorFlow
    does would compute its borders anew for each picture, though all have one size. Only the first axis, of
    the pictures, stays a value. Other calls that answer with more than tensors are noted in `doubts`.
    """

    class Watched(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = function(*args, **(kwargs or {}))
            name = function.__name__
            if name == "__get__":  # of an attribute
                name = function.__self__.__name__
            if name not in _TELL_NOTHING and not _of_tensors(torch, found):
                doubts.append(name)
            if name not in _SIZES or args[0].ndim != _MAP_AXES:
                return found
            asked = (*args[1:], *(kwargs or {}).values())
            if name == "size" and asked:
                return found if asked[0] % _MAP_AXES == 0 else number(found)
            return torch.Size((found[0], *map(number, found[1:])))

    def number(size: Any) -> int:
        before = len(doubts)
        told.append(int(size))
        del doubts[before:]  # that a size becomes a plain number is what is wanted here
        return told[-1]

    return Watched()


def _of_tensors(torch: Any, answer: Any) -> bool:
    """Whether an answer of torch is tensors, or what describes them for all pictures alike."""
    if isinstance(answer, tuple | list):
        return all(_of_tensors(torch, part) for part in answer)
    return answer is None or isinstance(answer, torch.Tensor | torch.dtype | torch.device | torch.layout)


def _answers_alike(torch: Any, module: Any, graph: bytes, source: ModuleSource, told: list[int]) -> bool:
    """Whether a graph gives what the module gives, but for rounding, and is told the same sizes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a graph that fails here is an answer, not an accident
    session = onnxruntime.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=WRONG_OPTIMIZERS
    )
    for pictures in _pictures(source.input_shape):
        now: list[int] = []
        with _watched(torch, now, []):
            expected = module(torch.from_numpy(pictures))
        named = (expected,) if isinstance(expected, torch.Tensor) else tuple(expected)
        found = session.run(list(source.answers), {"images": pictures})
        if now != told or not all(
            _close(one, other.numpy()) for one, other in zip(found, named, strict=True)
        ):
            return False
    return True


def _pictures(shape: tuple[int, int, int]) -> Iterator[Floats]:
    """What a graph is asked for: normalised pictures, bytes, shares and a single colour.

    In other numbers than the graph was followed on; one alone is the case in which an axis of one vanishes.
    """
    generator = np.random.default_rng(0)
    yield generator.normal(size=(5, *shape)).astype(np.float32)
    yield generator.integers(0, 256, size=(1, *shape)).astype(np.float32)
    yield generator.random(size=(1, *shape), dtype=np.float32)
    yield np.full((1, *shape), 0.5, np.float32)


def _close(one: Floats, other: Floats) -> bool:
    if one.shape != other.shape:
        return False
    largest = float(np.abs(other).max(initial=0))
    difference = float(np.abs(one - other).max(initial=0))
    return math.isfinite(largest) and difference <= TOLERANCE * largest
