"""The graph of a torch module by following what it does to one example: quick, where that says all.

torch's other exporter proves of every step for which pictures it holds, and takes ten times as long. Here a
graph is taken only where following cannot have gone wrong: no step of the module looked at a value or counted
the pictures, nothing in the graph measures its input, and the graph answers as the module does, for one
picture as for three. What does not pass goes to the other exporter.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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
COUNTS = (1, 3)
"""Pictures that a graph is asked for. It was followed on another number of them; one alone is the case in
which an axis of one vanishes."""
_MEASURES = frozenset({"Shape", "Size", "Loop", "If", "Scan"})
"""Operators by which a graph would decide by its input."""
_MAP_AXES = 4


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
    try:
        with warnings.catch_warnings(record=True) as said, _sizes_of_maps_known(torch):
            warnings.simplefilter("always")
            torch.onnx.export(
                _doubting(torch, module, said),
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
        return graph if _answers_alike(torch, module, graph, source) else None
    except (_DoubtError, ImportError, AttributeError, RuntimeError, ValueError, TypeError):
        return None  # what it is that cannot be said, the other exporter says


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


def _doubting(torch: Any, module: Any, said: Sequence[warnings.WarningMessage]) -> Any:
    """The module, which ends with an error where following it has given rise to a warning."""

    class Doubting(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, images: Any) -> Any:
            answer = self.module(images)
            # Not made an error where it is raised: parts of torch that are not Python cannot pass one on.
            if any(issubclass(one.category, torch.jit.TracerWarning) for one in said):
                raise _DoubtError
            return answer

    return Doubting().eval()


def _plain(graph: bytes) -> Any:
    """The model without the notes of where in whose code each node comes from."""
    import onnx

    model = onnx.load_from_string(graph)
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    return model


@contextmanager
def _sizes_of_maps_known(torch: Any) -> Iterator[None]:
    """Meanwhile, a map (N, C, H, W) tells its channels, height and width as plain numbers.

    Followed, every size would be a value that the graph has to measure: a network that pads as TensorFlow
    does would compute its borders anew for each picture, though all have one size. Only the first axis, of
    the pictures, stays a value.
    """
    sized: Mapping[Any, Callable[[Any, tuple[Any, ...]], Any]] = {
        torch.Tensor.shape.__get__: lambda found, _: (found[0], *map(_number, found[1:])),
        torch.Tensor.size: lambda found, asked: (
            (found[0], *map(_number, found[1:]))
            if not asked
            else (found if asked[0] % _MAP_AXES == 0 else _number(found))
        ),
    }

    class Known(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = function(*args, **(kwargs or {}))
            if function in sized and args[0].ndim == _MAP_AXES:
                return sized[function](found, (*args[1:], *(kwargs or {}).values()))
            return found

    with Known():
        yield


def _number(size: Any) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a size becomes a plain number is what is wanted here
        return int(size)


def _answers_alike(torch: Any, module: Any, graph: bytes, source: ModuleSource) -> bool:
    """Whether a graph gives what the module gives, for each number of pictures, but for rounding."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a graph that fails here is an answer, not an accident
    session = onnxruntime.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=WRONG_OPTIMIZERS
    )
    generator = np.random.default_rng(0)
    for count in COUNTS:
        pictures = generator.normal(size=(count, *source.input_shape)).astype(np.float32)
        expected = module(torch.from_numpy(pictures))
        named = (expected,) if isinstance(expected, torch.Tensor) else tuple(expected)
        found = session.run(list(source.answers), {"images": pictures})
        if not all(_close(one, other.numpy()) for one, other in zip(found, named, strict=True)):
            return False
    return True


def _close(one: Floats, other: Floats) -> bool:
    if one.shape != other.shape:
        return False
    largest = float(np.abs(other).max(initial=0))
    difference = float(np.abs(one - other).max(initial=0))
    return math.isfinite(largest) and difference <= TOLERANCE * largest
