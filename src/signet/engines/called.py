"""An engine around one function, for runtimes that are no more than that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from signet.arrays import Array
from signet.batches import Batch, Outputs
from signet.engines.contract import EngineSettings, Precision, finished, joined, one_line
from signet.errors import EngineError

Run = Callable[[Array], Sequence[Array]]
"""From prepared images (N, ...) to the answers, the first axis of each of which is the image."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Which runtime it is.

    Attributes:
        name: of the runtime.
        version: of the library.
        outputs: names of the answers, in order.
        batch: the one number of images that the file takes, or None for any.
    """

    name: str
    version: str
    outputs: tuple[str, ...]
    batch: int | None = None


def require_plain(name: str, settings: EngineSettings) -> None:
    """For runtimes that run files of exported networks: on the processor, in the precision of the file.

    Raises:
        EngineError: another precision than fp32 or another device is asked for.
    """
    if settings.precision != "fp32" or settings.device != "cpu":
        raise EngineError(
            f"engine {name} runs files as they are, in fp32 on the processor; {settings.precision} on "
            f"{settings.device!r} was asked for."
        )


class CalledEngine:
    """A function that answers for prepared images. One run at a time."""

    fuses: ClassVar[bool] = False

    def __init__(self, runtime: Runtime, run: Run) -> None:
        self.name = runtime.name
        self.version = runtime.version
        self.precision: Precision = "fp32"
        self.outputs = runtime.outputs
        self._batch = runtime.batch
        self._run: Run | None = run
        self._lock = threading.Lock()

    def run(self, batch: Batch) -> Outputs:
        """See `Engine.run`."""
        arrays = finished(self.name, batch)
        if isinstance(arrays, np.ndarray) and self._batch is None:
            return Outputs(self._infer(arrays))
        step = self._batch or 1
        parts = []
        for start in range(0, len(arrays), step):
            part = np.stack([np.asarray(array) for array in arrays[start : start + step]])
            missing = step - len(part)
            filled = np.pad(part, [(0, missing)] + [(0, 0)] * (part.ndim - 1)) if missing else part
            parts.append({name: array[: len(part)] for name, array in self._infer(filled).items()})
        return joined(self.name, parts, self.outputs)

    def close(self) -> None:
        """See `Engine.close`."""
        self._run = None

    def _infer(self, arrays: Array) -> dict[str, Array]:
        run = self._run
        if run is None:
            raise EngineError(f"engine {self.name}: this model is closed.")
        try:
            with self._lock:
                # The runtimes warn of, or write to, arrays that are not theirs.
                answers = run(np.require(arrays, requirements=["C", "W"]))
                values = [np.array(answer) for answer in answers]
        except Exception as error:  # each runtime has its own kinds, which share no public root
            raise EngineError(
                f"engine {self.name}: the network refused an input of shape {arrays.shape}, {arrays.dtype}: "
                f"{one_line(error)}"
            ) from error
        if len(values) != len(self.outputs):
            raise EngineError(
                f"engine {self.name}: expected {len(self.outputs)} outputs ({', '.join(self.outputs)}), got "
                f"{len(values)}."
            )
        return dict(zip(self.outputs, values, strict=True))
