"""One choice while it is made: who has entered, what each one's network has given, and what time is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from signet.arrays import Floats
from signet.choices import LeftOut
from signet.choosing.candidates import Candidate, Gathered, Limits
from signet.choosing.race import Entrant, Track
from signet.choosing.scores import scores_of
from signet.choosing.settings import ChooseSettings
from signet.choosing.sources import Source, Taken
from signet.choosing.subjects import Subject
from signet.errors import Refused, SignetError
from signet.progress import OnProgress, Progress

_SLICE_MILLISECONDS = 2000.0
"""Of a network's work between two looks at the clock, where there is a budget."""


@dataclass(slots=True, eq=False)
class Run:
    """One choice while it is made.

    Attributes:
        subject: the pictures.
        settings: budget and seed.
        limits: that candidates must keep.
        source: of times and features.
        begin: on the monotonic clock.
        on_progress: told of every few images.
        candidates: who has entered.
        costs: milliseconds of an image, of each.
        left_out: who has not, and why.
        notes: in sentences.
    """

    subject: Subject
    settings: ChooseSettings
    limits: Limits
    source: Source
    begin: float
    on_progress: OnProgress
    candidates: list[Candidate] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _taken: dict[int, Taken] = field(default_factory=dict)

    def enter(self, gathered: Gathered) -> None:
        """Measure what each candidate costs here; those that are too slow or cannot run stay out.

        The most promising ones come first, so that a budget that ends meanwhile leaves them.

        Raises:
            Refused: none is left.
        """
        self.left_out.extend(gathered.left_out)
        sample = self.subject.paths(8)
        by_promise = sorted(gathered.candidates, key=lambda one: -(one.stated.prior.top1 or 0.0))
        costs: dict[int, float] = {}
        for done, candidate in enumerate(by_promise, 1):
            if costs and self.over():  # something must be answered: one is always timed
                why = "the budget ended before its time was measured"
                self.left_out.append(LeftOut(candidate.name, why))
                continue
            try:
                cost = self.source.milliseconds(candidate, sample, self.subject.classes)
            except SignetError as error:
                self.left_out.append(LeftOut(candidate.name, str(error)))
                continue
            most = self.limits.max_milliseconds
            if most is not None and cost > most:
                words = f"{cost:.1f} ms an image here, and at most {most:g} are allowed"
                self.left_out.append(LeftOut(candidate.name, words))
                continue
            costs[id(candidate)] = cost
            self.on_progress(Progress("measuring cost", done, len(by_promise), "models", candidate.name))
        self.candidates = [one for one in gathered.candidates if id(one) in costs]
        self.costs = [costs[id(one)] for one in self.candidates]
        if not self.candidates:
            reasons = "; ".join(f"{one.name}: {one.why}" for one in self.left_out)
            raise Refused(f"No candidate keeps the limits. {reasons or 'There is none on this machine.'}")

    def entrants(self) -> list[Entrant]:
        """The candidates as the race takes them."""
        return [
            Entrant.timed(candidate.stated.prior, cost)
            for candidate, cost in zip(self.candidates, self.costs, strict=True)
        ]

    @property
    def deadline(self) -> float | None:
        """When the time is over, on the monotonic clock."""
        budget = self.settings.budget_seconds
        return None if budget is None else self.begin + budget

    def over(self, milliseconds: float = 0.0) -> bool:
        """Whether the time is over, or would be after so much more work."""
        return self.deadline is not None and time.monotonic() + milliseconds / 1000 > self.deadline

    def track(self) -> Track:
        """How many images may be run: by the budget where there is one, else by the share."""
        images = len(self.subject.rows.targets)
        each = sum(entrant.milliseconds for entrant in self.entrants())
        least = min(self.settings.least, images)
        if self.deadline is None:
            # What tells two networks apart is a number of images, whatever share of the set they are.
            allowed = each * max(self.settings.share * images, min(self.settings.small, images), least)
        else:
            allowed = max(0.0, 1000 * (self.deadline - time.monotonic()))
        first = max(least, min(images, int(allowed / 3 / each)))
        return Track(images=images, first=first, allowed=allowed, seed=self.settings.seed)

    def supply(self, place: int, count: int) -> Floats | None:
        """Features of the first images; None when the time is over, and what was run until then is kept."""
        if self.over():
            return None
        candidate = self.candidates[place]
        had = self._taken.get(place)
        if had is not None and len(had.features) >= count:
            return had.features[:count]
        done = 0 if had is None else len(had.features)
        tell = _named(self.on_progress, candidate.name)
        paths = self.subject.paths(count, tell)
        step = count if self.deadline is None else max(16, int(_SLICE_MILLISECONDS / self.costs[place]))
        with self.source.opened(candidate, tell) as take:
            while done < count:
                if self.over():
                    return None
                had = _joined(had, take(paths[done : min(done + step, count)]))
                self._taken[place] = had
                done = len(had.features)
        return None if had is None else had.features

    def failures(self) -> list[str]:
        """Who could not read some of the images, in sentences."""
        return [
            f"{self.candidates[place].name}: {taken.failures:,} of {len(taken.features):,} images gave no "
            "features."
            for place, taken in sorted(self._taken.items())
            if taken.failures
        ]

    def scores(self, place: int, count: int) -> dict[str, float | None]:
        """Transferability scores of the images that a candidate's probe saw; none where it saw none.

        LEEP and NCE are None for a candidate that has no labels that exclude each other.
        """
        if not count:
            return {}
        taken, rows = self._taken[place], self.subject.rows.head(count)
        answers = None if taken.scores is None else taken.scores[:count]
        return scores_of(taken.features[:count], answers, rows.targets, rows.deals()[0])


def _joined(had: Taken | None, new: Taken) -> Taken:
    """The rows of both, one after the other."""
    if had is None:
        return new
    scores = None
    if had.scores is not None and new.scores is not None:
        scores = _stacked(had.scores, new.scores)
    return Taken(_stacked(had.features, new.features), scores, had.failures + new.failures)


def _stacked(first: Floats, second: Floats) -> Floats:
    """Float32 rows of both; files that all failed have rows of no width until another one gives it."""
    width = max(first.shape[1], second.shape[1])
    whole = [part if part.shape[1] else np.zeros((len(part), width), np.float32) for part in (first, second)]
    return np.concatenate(whole)


def _named(on_progress: OnProgress, name: str) -> Callable[[Progress], None]:
    return lambda moment: on_progress(replace(moment, note=name))
