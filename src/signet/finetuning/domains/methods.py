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

    @property
    def held_out(self) -> tuple[Path, ...]:
        """Images of the source that the network did not learn from, as it did not from the target.

        Features of images that were learned from can be told from those of any others, of the same kind
        just as well. The network under a probe learned from none.
        """
        parts = self.job.parts
        known = parts.development if self.tuned is None else parts.development.subset(parts.validation)
        return known.paths


def with_coral(candidate: Candidate, source: Floats, target: Floats) -> Network:
    """The network under a head that was fitted on features of the source with the target's covariance.

    Args:
        candidate: with a linear head.
        source: float32 (N, D), features of images of the source that the network did not learn from.
        target: float32 (M, D).
    """
    parts, network = candidate.job.parts, candidate.network
    if network.with_head is None:
        raise TypeError("expected a network under a linear head")
    learned = source if candidate.tuned is None else network.features(parts.development.paths)
    rows = aligned(learned, target, like_KD=source)
    return network.with_head(*refitted(candidate.probe, rows, parts.development.targets, len(parts.labels)))


def with_statistics(candidate: Candidate) -> tuple[Network, Buildable]:
    """The network with BatchNorm statistics of the target (AdaBN): on disk, and as a module."""
    built = _built(candidate)
    with _lent(candidate.job):
        _settling(candidate, built)()
    return of_module(candidate.job, built, candidate.tuned), built


def _settling(candidate: Candidate, built: Buildable) -> Callable[[], None]:
    """Write the module in terms of the source's statistics; what comes back gives it those of the target.

    These are mixed with the same ones of the source each time, so that an answer before and one after what
    was learned meanwhile differ by that alone.
    """
    from signet.training.domain_statistics import adapt_statistics, adaptable, recentre

    module, names = built.module, adaptable(built.module)
    known = _some(candidate.job.parts.development.paths)
    source = recentre(module, names, _passing(candidate, built, known, "statistics of the source"))
    target = _some(candidate.target)

    def settle() -> None:
        passes = _passing(candidate, built, target, "statistics of the target")
        adapt_statistics(module, source, passes, len(target))

    return settle


def with_entropy(candidate: Candidate) -> tuple[Network, Buildable, Descended]:
    """The network after a descent of its answers' entropy (TENT), as a module too, and how that went.

    Its BatchNorm has the statistics of the target first; a network without any begins as it is.
    """
    from signet.training.domain_statistics import adaptable
    from signet.training.entropy_descent import Descent, descend

    job, built = candidate.job, _built(candidate)
    names, target = adaptable(built.module), _some(candidate.target)
    with _lent(job):
        settle = _settling(candidate, built)
        settle()
        done = descend(
            built.module,
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
