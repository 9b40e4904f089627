"""`choose`: from a dataset and candidates to the one to take, with intervals, costs and regret."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from signet import machine
from signet.choices import Choice, Contender
from signet.choosing import distance, telling
from signet.choosing.candidates import Gathered, Given, Limits, gather
from signet.choosing.evidence import MOST_IMAGES, final_right
from signet.choosing.posterior import Prior, Seen, believe
from signet.choosing.race import ENOUGH, Raced, race
from signet.choosing.running import Run
from signet.choosing.settings import ChooseSettings
from signet.choosing.sources import Networks, why_unscored
from signet.choosing.subjects import subject_of
from signet.datasets import Dataset
from signet.errors import SignetError
from signet.progress import OnProgress, silent


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
    source = Networks(kept.engine, chosen.threads)
    return decide(dataset, Run(subject, chosen, kept, source, begin, on_progress), gathered)


def decide(dataset: Dataset[Any], run: Run, gathered: Gathered) -> Choice:
    """All of a choice that comes after its pictures and candidates are known.

    Args:
        dataset: that was asked about.
        run: with the pictures, settings, limits and the source of features.
        gathered: who may take part.

    Raises:
        Refused: no candidate keeps the limits.
    """
    run.enter(gathered)
    rows = run.subject.rows.head(MOST_IMAGES)
    raced = race(run.entrants(), rows, run.supply, final_right, run.track())
    return _choice(dataset, run, gathered, raced)


def _choice(dataset: Dataset[Any], run: Run, gathered: Gathered, raced: Raced) -> Choice:
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
    # By the times as they were measured: the race's own account is in times that are rounded.
    spent = sum(count * cost for count, cost in zip(raced.counts, run.costs, strict=True))
    remarks = telling.remarks(raced, ranking, pick, gathered.downloadable)
    notes = [*run.subject.notes, *run.failures(), *run.notes, *_unscored(run), *remarks]
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
        spent=spent / (sum(run.costs) * images),
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


def _contenders(run: Run, raced: Raced) -> list[Contender]:
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
                scores=run.scores(k, raced.counts[k]),
                trainable=candidate.pretrained.module is not None,
                why=telling.why(candidate.stated, seen, raced.stopped.get(k, "")),
            )
        )
    return rows


def _unscored(run: Run) -> list[str]:
    """Who has no LEEP and NCE, and why, in a sentence."""
    why: dict[str, list[str]] = {}
    for candidate in run.candidates:
        if reason := why_unscored(candidate):
            why.setdefault(reason, []).append(candidate.name)
    return [f"No LEEP and NCE for {', '.join(names)}: {reason}." for reason, names in why.items()]


def _far(run: Run, raced: Raced, pick: int) -> Contender | None:
    """Say where the images are far from what the networks know, and measure a random network there."""
    best = raced.seen[pick].measured
    if best is None:
        return None
    count = raced.counts[pick]
    if run.over():
        run.notes.append("Whether the domain is far was not looked at: the budget was spent.")
        return None
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
        if run.over(count * run.costs[pick]):
            run.notes.append("No row from scratch: what is left of the budget does not allow it.")
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
