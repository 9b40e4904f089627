"""What makes a run repeatable and leaves nothing behind: random states and threads, lent and given back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from signet.arrays import Integers
from signet.training.augmentation import generator_of

DRAWN_BY_NETWORK = 3
"""Role of the random numbers of `seed_step`; order has 1, augmentation 2, mosaics 4."""
_ORDER = 1


def order_of(seed: int, epoch: int, count: int) -> Integers:
    """int64 (count,): the order in which an epoch takes its examples."""
    return generator_of(seed, _ORDER, epoch).permutation(count)


@contextmanager
def own_random_states(device: torch.device) -> Iterator[None]:
    """Lend the global random states of torch, numpy and Python; on leaving they are what they were."""
    devices = [device] if device.type == "cuda" else []
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 - lent, not used
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)  # noqa: NPY002


def seed_step(device: torch.device, *keys: int) -> None:
    """Make what the network draws in one step (dropout, dropped paths) a function of some keys.

    Seeding each step, instead of keeping the states of three generators in every checkpoint, makes a run that
    was resumed within an epoch draw what the uninterrupted one draws. Only within `own_random_states`.
    """
    seed = int(generator_of(*keys).integers(2**32))
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - a network's own code may draw from it


@contextmanager
def bounded_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads; on leaving, as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
