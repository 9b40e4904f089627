"""Training images seen once more, as validation sees its own: for statistics, and for the gap of losses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import nn

from signet.arrays import Integers
from signet.training.batch_statistics import re_estimate
from signet.training.ranks import ALONE, Ranks
from signet.training.tasks import LearningTask

STATISTICS_IMAGES = 4096
"""Images that BatchNorm statistics are computed from: all of a small set, evenly many of a larger one. The
figures of Wu and Johnson (2021), section 3, no longer change beyond about a thousand."""

SAMPLE_IMAGES = 256
"""Training images whose loss is compared with that of validation, always the same ones."""


def sample_of(count: int) -> Integers:
    """int64, rising: the positions of the training images whose loss is compared, among `count`."""
    return _evenly(count, SAMPLE_IMAGES)


def sample_loss(task: LearningTask, module: nn.Module, batch: int, ranks: Ranks = ALONE) -> float | None:
    """The loss of a fixed sample of the training images, without augmentation.

    Args:
        task: whose images these are.
        module: in evaluation mode; no gradient is recorded by the caller.
        batch: images at a time.
        ranks: the processes that look at a share each.

    Returns:
        The same loss as that of validation, the mean over the same things (images, or labelled pixels); None
        where the task has none.
    """
    indices = sample_of(task.count)
    total, number, known = 0.0, 0, True
    for part in _parts(indices, batch)[ranks.rank :: ranks.size]:
        seen = task.look_back(module, part)
        if seen is None:
            known = False
            break
        total, number = total + seen.total, number + seen.number
    total, images, lacking = ranks.summed([total, number, float(not known)])
    return None if lacking else total / max(1, images)


def re_estimated(task: LearningTask, module: nn.Module, names: Iterable[str], batch: int) -> tuple[str, ...]:
    """Compute the statistics of some BatchNorm layers anew; see `re_estimate`.

    Args:
        task: whose training images are seen.
        module: changed in place; in evaluation mode afterwards.
        names: of the layers.
        batch: images at a time, as while learning: a layer normalises by the batch on the way.
    """

    def passes() -> None:
        for part in _parts(_evenly(task.count, STATISTICS_IMAGES), batch):
            task.look_back(module, part)

    return re_estimate(module, names, passes)


def _evenly(count: int, most: int) -> Integers:
    taken = min(count, most)
    return np.arange(taken, dtype=np.int64) * count // taken


def _parts(indices: Integers, batch: int) -> list[Integers]:
    """Equal parts, none smaller than a batch where there are images for one: one image has no variance."""
    return np.array_split(indices, max(1, len(indices) // batch))
