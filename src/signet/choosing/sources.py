"""Where a choice takes each candidate's time and features from: the networks themselves, run on the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from signet.arrays import Floats
from signet.choosing.candidates import Candidate
from signet.choosing.costs import milliseconds_of
from signet.features import extract
from signet.features.extraction import default_cache
from signet.models import Model, load
from signet.progress import OnProgress
from signet.running import EngineChoice
from signet.streaming import settings_for


class Taken(NamedTuple):
    """What one candidate's network gave for N files.

    Attributes:
        features: float32 (N, D); zeros for a file that gave none.
        scores: float32 (N, C) of its own labels; None where it has none that exclude each other.
        failures: files that gave none.
    """

    features: Floats
    scores: Floats | None = None
    failures: int = 0


Take = Callable[[Sequence[Path]], Taken]


class Source(Protocol):
    """The networks, or what stands in for them where their features are known already."""

    def milliseconds(self, candidate: Candidate, paths: Sequence[Path], classes: int) -> float:
        """Of one image, with a head of so many classes."""

    def opened(self, candidate: Candidate, on_progress: OnProgress) -> AbstractContextManager[Take]:
        """A candidate that is ready to be shown files."""


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks on this machine; their features are kept on disk.

    Attributes:
        engine: what runs them.
        threads: of decoding and networks; None for all that are usable.
    """

    engine: EngineChoice = "auto"
    threads: int | None = None

    def milliseconds(self, candidate: Candidate, paths: Sequence[Path], classes: int) -> float:
        """As measured here, on these files."""
        return milliseconds_of(candidate.pretrained, paths, classes, engine=self.engine, threads=self.threads)

    @contextmanager
    def opened(self, candidate: Candidate, on_progress: OnProgress) -> Iterator[Take]:
        """Opened for many images at once."""
        settings = settings_for(many=True, threads=self.threads, engine=self.engine)
        network: Model[Any] = load(
            candidate.pretrained, engine=self.engine, precision="fp32", settings=settings
        )
        scores = not why_unscored(candidate)

        def take(paths: Sequence[Path]) -> Taken:
            found = extract(model, paths, cache=default_cache(), scores=scores, on_progress=on_progress)
            return Taken(found.features, found.scores, len(found.failures))

        with network as model:
            yield take


def why_unscored(candidate: Candidate) -> str:
    """Why LEEP and NCE cannot be said of a candidate, in words; "" where they can.

    Both compare the labels of a dataset with the network's own, of which each image has one.
    """
    match candidate.pretrained.card.output.head:
        case "softmax":
            return ""
        case "sigmoid":
            return "its own labels do not exclude each other"
        case _:
            return "it gives vectors, and has no labels of its own"
