"""What every engine promises; `signet.testing.check_engine` holds them to it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from signet.arrays import Array
from signet.batches import Batch, Outputs
from signet.errors import BadInput, EngineError
from signet.naming import shown
from signet.preprocessing import finish

Precision = Literal["fp32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How an engine shall run.

    Attributes:
        precision: of the arithmetic. "int8" is for graphs that were quantized; on others it is refused.
        threads: processor threads for everything; None for all that this process may use.
        workers: how many threads will call `run` at once. The engine divides its threads by it.
        batch: images for each `run`; engines pin their shapes to it where that is faster.
        device: "cpu", "cuda", "cuda:1" ...; only the torch engine has more than "cpu".
        cache: folder for compiled models, or None to keep none.
    """

    precision: Precision = "fp32"
    threads: int | None = None
    workers: int = 1
    batch: int = 1
    device: str = "cpu"
    cache: Path | None = None

    @property
    def thread_count(self) -> int:
        """The threads to use, at least 1."""
        return max(1, self.threads or usable_processors())


class Engine(Protocol):
    """A network, ready to run. `run` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The name of its kind: openvino, onnx, torch, or a plug-in's."""

    @property
    def precision(self) -> Precision:
        """The precision that it really runs in."""

    @property
    def version(self) -> str:
        """Version of the library behind it."""

    @property
    def fuses(self) -> bool:
        """True when it does a batch's pending steps itself, inside the network."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in the order of the graph."""

    def run(self, batch: Batch) -> Outputs:
        """Run the network over a batch.

        The first axis of every output is the image. Pending steps are done first, by the engine itself
        or by `preprocessing.finish`. The batch is left as it was, and no later run changes the answers.

        Raises:
            EngineError: the batch is empty, the network refuses its shape or dtype, something fails inside,
                or the engine is closed.
        """

    def close(self) -> None:
        """Give memory and threads back; `run` fails afterwards. A second call does nothing."""


def require_processor(name: str, settings: EngineSettings) -> None:
    """For an engine that runs on the processor only: nothing is run elsewhere than was asked for.

    Raises:
        EngineError: another device is asked for.
    """
    if settings.device != "cpu":
        raise EngineError(
            f"engine {name} runs on the processor, and device {settings.device!r} was asked for. "
            "Use --engine torch, or --device cpu."
        )


def one_line(error: Exception) -> str:
    """The first line of a foreign error that says something; CUDA's and the exporters' go on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[0]) if lines else type(error).__name__


def check_batch(name: str, batch: Batch) -> None:
    """What every engine refuses before it looks at its network.

    Raises:
        EngineError: the batch holds no image.
    """
    if not len(batch):
        raise EngineError(f"engine {name}: expected at least one image, got an empty batch.")


def finished(name: str, batch: Batch) -> Array | Sequence[Array]:
    """The arrays of a batch, its pending steps done: for an engine that fuses none.

    Raises:
        EngineError: the batch is empty, or its arrays do not fit the pending steps.
    """
    check_batch(name, batch)
    try:
        return finish(batch).arrays
    except (BadInput, ValueError, IndexError) as error:
        shape = np.shape(batch.arrays[0])
        raise EngineError(
            f"engine {name}: the pending steps refuse an image of shape {shape}: {error}"
        ) from error


def joined(name: str, parts: Sequence[Mapping[str, Array]], outputs: Sequence[str]) -> Outputs:
    """The answers of several runs as one, image after image.

    Raises:
        EngineError: they have different shapes, as maps of images of different sizes have.
    """
    try:
        return Outputs({output: np.concatenate([part[output] for part in parts]) for output in outputs})
    except ValueError as error:
        raise EngineError(
            f"engine {name}: the images have different sizes, and so have their answers ({error}). "
            "Run them one by one, or with a program that ends in one size."
        ) from error


def usable_processors() -> int:
    """Processors that this process may run on, which a container may have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
