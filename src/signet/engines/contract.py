"""What every engine promises; `signet.testing.check_engine` holds them to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from signet.batches import Batch, Outputs

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
        or by `preprocessing.finish`.

        Raises:
            EngineError: the network refuses the batch: its shape or dtype, or a failure inside.
        """

    def close(self) -> None:
        """Give memory and threads back; `run` fails afterwards."""


def usable_processors() -> int:
    """Processors that this process may run on, which a container may have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
