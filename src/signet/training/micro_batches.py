"""A step in parts: for gradients that are added up, and for memory that is not enough for a whole batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from signet.training.tasks import Examples


class Part(NamedTuple):
    """Some of the examples of a step.

    Attributes:
        examples: of this part.
        share: of the step's images.
    """

    examples: Examples
    share: float


def parts_of(examples: Examples, count: int, parts: int) -> Iterator[Part]:
    """Examples cut into parts of nearly equal numbers of images, in order.

    Args:
        examples: of a step.
        count: its images.
        parts: 1 to `count`.
    """
    for places in np.array_split(np.arange(count), parts):
        first, last = int(places[0]), int(places[-1]) + 1
        yield Part(
            Examples(examples.images[first:last], examples.targets[first:last]), (last - first) / count
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a processor or on an accelerator."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error).lower()
    # torch's allocator of the processor raises a plain RuntimeError: "can't allocate memory".
    return isinstance(error, RuntimeError) and any(
        sign in words for sign in ("out of memory", "can't allocate memory", "not enough memory")
    )


@contextmanager
def statistics_kept_on_error(module: nn.Module) -> Iterator[None]:
    """When the body fails, the running statistics that it has moved are what they were before."""
    kept: list[tuple[Tensor, Tensor]] = [
        (buffer, buffer.clone())
        for layer in module.modules()
        if layer.training
        for buffer in layer.buffers(recurse=False)
    ]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)
        raise
