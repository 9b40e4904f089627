"""The ways in which a network is adapted to images without labels.

Torch is imported inside the functions: CORAL needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from signet.arrays import Floats
from signet.decoding import read
from signet.domain_shift import aligned
from signet.finetuning.domains.networks import Buildable, Network, of_module
from signet.finetuning.jobs import Job
from signet.finetuning.label_sets import refitted
from signet.finetuning.trained import TrainedNetwork
from signet.preprocessing import finish, prepare
from signet.probing import Probe
from signet.progress import Progress

if TYPE_CHECKING:
    from signet.training.entropy_descent import Descended

Method = Literal["none", "adabn", "coral", "tent"]

IMAGES, BATCH = 2000, 64
"""Images of source and of target that statistics and entropies are taken from, evenly from all; and how many
go through the network at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What is adapted, and with what.

    Attributes:
        job: the run.
        network: as it was decided.
        probe: whose strength a head is fitted with again.
        tuned: what came of training, where that is the candidate.
        target: N files.
        temperature: that is sealed.
    """

    job: Job
    network: Network
    probe: Probe
    tuned: TrainedNetwork | None
    target: tuple[Path, ...]
    temperature: float


def with_coral(candidate: Candidate, source: Floats, target: Floats) -> Network:
    """The network under a head that was fitted on features of the source with the target's covariance.

    Args:
        candidate: with a linear head.
        source: float32 (N, D), features of the development images.
        target: float32 (M, D).
    """
    parts, network = candidate.job.parts, candidate.network
    if network.with_head is None:
        raise TypeError("expected a network under a linear head")
    fitted = refitted(candidate.probe, aligned(source, target), parts.development.targets, len(parts.labels))
    return network.with_head(*fitted)


def with_statistics(candidate: Candidate) -> tuple[Network, Buildable]:
    """The network with BatchNorm statistics of the target (AdaBN): on disk, and as a module."""
    built = _with_statistics(candidate)
    return of_module(candidate.job, built, candidate.tuned), built


def _with_statistics(candidate: Candidate) -> Buildable:
    from signet.training.domain_statistics import adapt_statistics, adaptable, recentre

    job, built = candidate.job, _built(candidate)
    names = adaptable(built.module)
    with _lent(job):
        source = _some(job.parts.development.paths)
        recentre(built.module, names, _passing(candidate, built, source, "statistics of the source"))
        target = _some(candidate.target)
        passes = _passing(candidate, built, target, "statistics of the target")
        adapt_statistics(built.module, names, passes, len(target))
    return built


def with_entropy(candidate: Candidate) -> tuple[Network, Buildable, Descended]:
    """The network after a descent of its answers' entropy (TENT), as a module too, and how that went.

    Its BatchNorm has the statistics of the target first; a network without any begins as it is.
    """
    from signet.training.batch_statistics import re_estimate
    from signet.training.domain_statistics import adaptable
    from signet.training.entropy_descent import Descent, descend

    job, built = candidate.job, _built(candidate)
    if adaptable(built.module):
        built = _with_statistics(candidate)
    module, names = built.module, adaptable(built.module)
    target = _some(candidate.target)

    def settle() -> None:
        re_estimate(module, names, _passing(candidate, built, target, "statistics of the target"))

    with _lent(job):
        done = descend(
            module,
            lambda turn: _batches(candidate, built, target, f"entropy, pass {turn}", turn),
            Descent(temperature=candidate.temperature),
            live=names,
            settle=settle,
        )
    return of_module(job, built, candidate.tuned), built, done


def _built(candidate: Candidate) -> Buildable:
    if candidate.network.build is None:
        raise TypeError("expected a network that torch can build")
    return candidate.network.build()


def _lent(job: Job) -> Any:
    from signet.training.exactness import bounded_threads

    return bounded_threads(job.plan.threads)


def _passing(candidate: Candidate, built: Buildable, paths: Sequence[Path], what: str) -> Callable[[], None]:
    def passes() -> None:
        for images in _batches(candidate, built, paths, what):
            built.module(images)

    return passes


def _batches(
    candidate: Candidate, built: Buildable, paths: Sequence[Path], what: str, turn: int = 0
) -> Iterator[Any]:
    """Batches of about one size, mixed, so that each looks like all: float32 tensors as the network sees."""
    import torch

    job = candidate.job
    order = np.random.default_rng([job.recipe.seed, turn]).permutation(len(paths))
    parts = np.array_split(order, max(1, round(len(paths) / BATCH)))
    done = 0
    for part in parts:
        pictures = [read(paths[place]) for place in part.tolist()]
        arrays = finish(prepare(pictures, built.sized.card.program, fuse=False)).arrays
        yield torch.from_numpy(np.ascontiguousarray(np.stack(list(arrays)), np.float32))
        done += len(part)
        job.on_progress(Progress(f"adapting to the target: {what}", done, len(paths)))


def _some(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Evenly from all, at most `IMAGES`."""
    count = min(IMAGES, len(paths))
    return tuple(paths[place * len(paths) // count] for place in range(count))
