"""Batches made by threads of their own while the network computes, and how long it waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from signet.arrays import Integers
from signet.engines.contract import usable_processors
from signet.training.tasks import Examples

IDLE = 0.1
"""Share of an epoch that may be spent waiting before one more thread makes batches."""


class Feed:
    """Makes the batches of a run.

    Attributes:
        workers: threads that make batches now.
        waited: seconds that the network has waited for batches since `start`.
    """

    def __init__(
        self, make: Callable[[Integers, int], Examples], workers: int, *, processor: bool, processes: int = 1
    ) -> None:
        """A feed.

        Args:
            make: (indices, epoch) to examples; with more than one worker its calls overlap.
            workers: threads; 0 begins with one and takes one more after each epoch with much waiting.
            processor: the network itself computes on the processor, and needs one for itself.
            processes: that share this machine, each with a feed of its own.
        """
        self._make = make
        self._most = workers or max(1, usable_processors() // processes - processor)
        self.workers = workers or 1
        self.start()

    def start(self) -> None:
        """Begin to count."""
        self.waited, self._began = 0.0, time.monotonic()

    def idle(self) -> float:
        """Share of the time since `start` that the network waited, 0 to 1."""
        return min(1.0, self.waited / max(1e-9, time.monotonic() - self._began))

    def adapt(self, idle: float) -> None:
        """One more worker, where the network waited long and there may be more."""
        if idle > IDLE and self.workers < self._most:
            self.workers += 1

    def batches(
        self, parts: Sequence[Integers], epoch: int
    ) -> Generator[tuple[Integers, Examples], None, None]:
        """(indices, examples) of each part, in order, whichever thread is done first."""
        ahead = self.workers + 1
        with ThreadPoolExecutor(self.workers, "signet-batches") as pool:
            waiting: list[Future[Examples]] = []
            try:
                for place, indices in enumerate(parts):
                    for later in parts[place + len(waiting) : place + 1 + ahead]:
                        waiting.append(pool.submit(self._make, later, epoch))
                    asked = time.monotonic()
                    examples = waiting.pop(0).result()
                    self.waited += time.monotonic() - asked
                    yield indices, examples
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
