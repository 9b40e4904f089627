"""`choose`: from a dataset and candidates to the one to take, with intervals, costs and regret."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from signet import machine
from signet.arrays import Floats
from signet.choices import Choice, Contender, LeftOut
from signet.choosing import distance, telling
from signet.choosing.candidates import Candidate, Gathered, Given, Limits, gather
from signet.choosing.costs import milliseconds_of
from signet.choosing.evidence import MOST_IMAGES, final_right
from signet.choosing.posterior import Prior, Seen, believe
from signet.choosing.race import ENOUGH, Entrant, Raced, Track, race
from signet.choosing.scores import scores_of
from signet.choosing.subjects import Subject, subject_of
from signet.datasets import Dataset
from signet.errors import BadRequest, Refused, SignetError
from signet.features import extract
from signet.features.extraction import default_cache
from signet.models import Model, load
from signet.progress import OnProgress, Progress, silent
from signet.streaming import settings_for


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseSettings:
    """How a choice is made.

    Attributes:
        share: of the cost of running all candidates over all images that may be spent, above 0, at most 1.
        budget_seconds: wall time in place of the share; None for none.
        least: images that every candidate sees, whatever the share, 20 or more.
        seed: of the subset, folds and draws, 0 or more.
        threads: of decoding and networks; None for all that are usable.
        inspect: whether the dataset is audited first.
        offline: never ask the network.
    """

    share: float = 0.1
    budget_seconds: float | None = None
    least: int = 100
    seed: int = 0
    threads: int | None = None
    inspect: bool = True
    offline: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BadRequest(f"share: expected a fraction above 0 and at most 1, got {self.share}.")
        if self.budget_seconds is not None and not self.budget_seconds > 0:
            raise BadRequest(f"budget: expected seconds above 0, got {self.budget_seconds}.")
        if self.least < 20:
            raise BadRequest(f"least: expected at least 20 images, got {self.least}.")
        if self.seed < 0:
            raise BadRequest(f"seed: expected 0 or more, got {self.seed}.")
        if self.threads is not None and self.threads < 1:
            raise BadRequest(f"threads: expected at least 1, got {self.threads}.")


def choose(
    dataset: Dataset[Any],
    candidates: Iterable[Given] | None = None,
    *,
    max_milliseconds: float | None = None,
    limits: Limits | None = None,
    settings: ChooseSettings | None = None,
    on_progress: OnProgress = silent,
) -> Choice:
    """Find the pretrained model whose features suit these images best.

    Published ImageNet accuracies say where to begin; probes on a growing part of the images correct them.
    Features are kept as they are computed: a choice that was killed goes on where it was, and a fine-tuning
    of the pick finds them.

    Args:
        dataset: of classes; of boxes, masks or labelled pixels, whose regions are told apart by their label.
        candidates: names, paths, entries of `find`, or models; all that are on this machine when None.
        max_milliseconds: for one image here; in place of the one in `limits`.
        limits: hard filters.
        settings: budget, seed, threads; the defaults when None.
        on_progress: told of every few images.

    Raises:
        BadDataset: several labels an image, too few images, or fewer than 2 classes.
        UnknownName: a given name does not exist.
        Refused: no candidate keeps the limits.
        MissingExtra: the extra `fit` is not installed.

    Example:
        >>> choice = choose(open_dataset("birds/"), max_milliseconds=10)  # doctest: +SKIP
        >>> choice.pick, choice.regret  # doctest: +SKIP
        ('timm/resnet50.a1_in1k', 0.0021)
    """
    begin = time.monotonic()
    chosen = settings or ChooseSettings()
    kept = limits or Limits()
    if max_milliseconds is not None:
        kept = replace(kept, max_milliseconds=max_milliseconds)
    gathered = gather(candidates, kept, offline=chosen.offline, on_progress=on_progress)
    subject = subject_of(
        dataset, seed=chosen.seed, inspect=chosen.inspect, threads=chosen.threads, on_progress=on_progress
    )
    run = _Run(subject, chosen, kept, begin, on_progress)
    run.enter(gathered)
    raced = race(
        run.entrants(),
        subject.rows.head(MOST_IMAGES),
        run.supply,
        final_right,
        run.track(),
    )
    return _choice(dataset, run, gathered, raced)


@dataclass(slots=True, eq=False)
class _Run:
    """One choice while it is made."""

    subject: Subject
    settings: ChooseSettings
    limits: Limits
    begin: float
    on_progress: OnProgress
    candidates: list[Candidate] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    features: dict[int, Floats] = field(default_factory=dict)

    def enter(self, gathered: Gathered) -> None:
        """Measure what each candidate costs here; those that are too slow or cannot run stay out.

        Raises:
            Refused: none is left.
        """
        self.left_out.extend(gathered.left_out)
        sample = self.subject.paths(8)
        for done, candidate in enumerate(gathered.candidates, 1):
            try:
                cost = milliseconds_of(
                    candidate.pretrained,
                    sample,
                    self.subject.classes,
                    engine=self.limits.engine,
                    threads=self.settings.threads,
                )
            except SignetError as error:
                self.left_out.append(LeftOut(candidate.name, str(error)))
                continue
            most = self.limits.max_milliseconds
            if most is not None and cost > most:
                words = f"{cost:.1f} ms an image here, and at most {most:g} are allowed"
                self.left_out.append(LeftOut(candidate.name, words))
                continue
            self.candidates.append(candidate)
            self.costs.append(cost)
            self.on_progress(
                Progress("measuring cost", done, len(gathered.candidates), "models", candidate.name)
            )
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

    def track(self) -> Track:
        """How many images may be run: by the budget where there is one, else by the share."""
        images = len(self.subject.rows.targets)
        each = sum(entrant.milliseconds for entrant in self.entrants())
        least = min(self.settings.least, images)
        if self.deadline is None:
            # All see the least, and the best few see as many again and more, however small the share is.
            allowed = max(self.settings.share * each * images, 2 * least * each)
        else:
            allowed = max(0.0, 1000 * (self.deadline - time.monotonic()))
        first = max(least, min(images, int(allowed / 3 / each)))
        return Track(images=images, first=first, allowed=allowed, seed=self.settings.seed)

    def supply(self, place: int, count: int) -> Floats | None:
        """Features of the first images, kept on disk; None when the time is over."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            return None
        candidate = self.candidates[place]
        settings = settings_for(many=True, threads=self.settings.threads, engine=self.limits.engine)
        opened: Model[Any] = load(
            candidate.pretrained, engine=self.limits.engine, precision="fp32", settings=settings
        )
        tell = _named(self.on_progress, candidate.name)
        with opened as model:
            found = extract(model, self.subject.paths(count, tell), cache=default_cache(), on_progress=tell)
        if found.failures:
            sentence = f"{candidate.name}: {len(found.failures):,} of {count:,} images gave no features."
            if sentence not in self.notes:
                self.notes.append(sentence)
        self.features[place] = found.features
        return found.features

    def scores(self, place: int) -> dict[str, float | None]:
        """Transferability scores of what a candidate's probe saw; those of its own labels are left out."""
        features = self.features.get(place)
        if features is None:
            return {}
        rows = self.subject.rows.head(len(features))
        found = scores_of(features, None, rows.targets, rows.deals()[0])
        return {name: value for name, value in found.items() if value is not None}


def _named(on_progress: OnProgress, name: str) -> Callable[[Progress], None]:
    return lambda moment: on_progress(replace(moment, note=name))


def _choice(dataset: Dataset[Any], run: _Run, gathered: Gathered, raced: Raced) -> Choice:
    rows = _contenders(run, raced)
    best = rows[raced.pick()]
    # Of those that saw as much and lose no more than next to nothing, the fastest.
    equals = (row for row in rows if row.images == best.images and row.regret <= best.regret + ENOUGH)
    pick = min(equals, key=lambda row: row.milliseconds)
    known = [row for row in rows if row.top1 is not None]
    base = max(known, key=lambda row: row.top1 or 0.0, default=None)
    ranking = tuple(sorted(rows, key=lambda row: (-row.expected, row.milliseconds)))
    scratch = _far(run, raced, rows.index(pick))
    images = len(run.subject.rows.targets)
    total = sum(entrant.milliseconds for entrant in run.entrants()) * images
    notes = [*run.subject.notes, *run.notes, *telling.remarks(raced, ranking, gathered.downloadable)]
    return Choice(
        pick=pick.name,
        regret=pick.regret,
        ranking=ranking,
        baseline=base.name if base else "",
        runner_up=telling.runner_up(ranking, pick),
        scratch=scratch,
        left_out=tuple(run.left_out),
        notes=tuple(notes),
        dataset=dataset.source,
        images=images,
        classes=run.subject.classes,
        spent=raced.spent / total,
        seconds=time.monotonic() - run.begin,
        provenance={
            "fingerprint": dataset.fingerprint,
            "task": dataset.task,
            "seed": run.settings.seed,
            "budget seconds": run.settings.budget_seconds,
            "processor": machine.processor(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            **{f"version {name}": version for name, version in machine.versions().items()},
        },
    )


def _contenders(run: _Run, raced: Raced) -> list[Contender]:
    expected, (low, high), regrets = raced.beliefs.expected, raced.beliefs.interval(), raced.beliefs.regret()
    rows = []
    for k, candidate in enumerate(run.candidates):
        seen = raced.seen[k]
        right = seen.right
        rows.append(
            Contender(
                name=candidate.name,
                expected=float(expected[k]),
                low=float(low[k]),
                high=float(high[k]),
                regret=float(regrets[k]),
                milliseconds=run.costs[k],
                params=candidate.params,
                size_bytes=candidate.size_bytes,
                licence=candidate.licence.weights,
                top1=candidate.stated.prior.top1,
                images=raced.counts[k],
                measured=None if right is None else float(right.mean()),
                scores=run.scores(k),
                why=telling.why(candidate.stated, seen, raced.stopped.get(k, "")),
            )
        )
    return rows


def _far(run: _Run, raced: Raced, pick: int) -> Contender | None:
    """Say where the images are far from what the networks know, and measure a random network there."""
    best = raced.seen[pick].measured
    if best is None:
        return None
    count = raced.counts[pick]
    paths, rows = run.subject.paths(count), run.subject.rows.head(count)
    share = distance.taken_away(best, distance.measure_plain(paths, rows))
    if share >= distance.NEAR:
        return None
    run.notes.append(telling.far(share))
    candidate = run.candidates[pick]
    try:
        twin = distance.random_twin(candidate.pretrained, run.settings.seed)
        if twin is None:
            run.notes.append("No row from scratch: the pick is a graph, which cannot be built anew.")
            return None
        measured = distance.measure_random(twin, paths, rows, run.settings.threads)
    except SignetError as error:
        run.notes.append(f"No row from scratch: {error}")
        return None
    images = len(run.subject.rows.targets)
    beliefs = believe([Prior(None)], [Seen(measured)], images, run.settings.seed)
    low, high = beliefs.interval()
    return Contender(
        name="from scratch (random features)",
        expected=float(beliefs.expected[0]),
        low=float(low[0]),
        high=float(high[0]),
        regret=0.0,
        milliseconds=run.costs[pick],
        params=candidate.params,
        size_bytes=candidate.size_bytes,
        licence="none: nothing of the weights is used",
        images=count,
        measured=float(measured.right.mean()),
        why=f"the network of {candidate.name} with random weights: what its architecture alone is worth, "
        "which training from scratch would raise",
    )
