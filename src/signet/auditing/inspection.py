"""The audit of a dataset: every check, in order, and what could not be checked."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signet import machine
from signet.arrays import Floats
from signet.auditing.annotations import find_noted
from signet.auditing.balance import find_imbalance
from signet.auditing.copies import find_copies
from signet.auditing.drift import find_drift
from signet.auditing.files import find_broken, find_odd
from signet.auditing.groups import find_groups
from signet.auditing.kinds import KINDS
from signet.auditing.names import find_label_trouble
from signet.auditing.observing import Observed, observe
from signet.auditing.placement import find_misplaced
from signet.auditing.resolution import find_low_resolution
from signet.auditing.suspects import find_suspects, judged
from signet.datasets import Dataset
from signet.errors import BadDataset, BadRequest
from signet.features import extract, graph_with_features
from signet.features.extraction import default_cache
from signet.findings import SEVERITIES, Audit, Finding
from signet.models import Model, load, resolve
from signet.naming import shown
from signet.networks import Pretrained
from signet.progress import OnProgress, silent
from signet.running import EngineChoice, PrecisionChoice
from signet.streaming import settings_for

STARTER = "starter"
LEAST_JUDGED = 50
"""Labelled images below which label suspects are not looked for: their probabilities would be guesses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """How an audit is made.

    Attributes:
        seed: of folds and samples, 0 or more.
        threads: of decoding, the network and the probe; None for all that are usable (one for the probe).
        engine: what runs the network.
        precision: of the network.
        device: of the network.
        batch: images for each run of it.
    """

    seed: int = 0
    threads: int | None = None
    engine: EngineChoice = "auto"
    precision: PrecisionChoice = "auto"
    device: str = "cpu"
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise BadRequest(f"seed: expected 0 or more, got {self.seed}.")
        if self.threads is not None and self.threads < 1:
            raise BadRequest(f"threads: expected at least 1, got {self.threads}.")


def audit(
    dataset: Dataset[Any],
    *,
    model: str | Path | Pretrained | None = STARTER,
    settings: AuditSettings | None = None,
    on_progress: OnProgress = silent,
) -> Audit:
    """Find what is wrong in a dataset before anything is learned from it or measured on it.

    Every file is read once. Images are never changed, and nothing is written; `auditing.mended` makes a
    dataset of the rows that are sound.

    Args:
        dataset: of any task; labels of objects and pixels are checked for all but suspects.
        model: whose features judge labels and splits, and whose input the images are compared with; None
            for none, which takes no more than the reading.
        settings: seed, threads, engine; the defaults when None.
        on_progress: told of every few images.

    Raises:
        BadDataset: it has no row.
        UnknownName: no such model.
        WrongTask: the model neither classifies nor embeds.
        MissingExtra: the extra `fit` is not installed.

    Example:
        >>> audit(open_dataset("birds/")).ok  # doctest: +SKIP
        False
    """
    begin = time.monotonic()
    chosen = settings or AuditSettings()
    if not len(dataset):
        raise BadDataset(f"{shown(dataset.source)}: expected images to audit, got none.")
    found = None if model is None else _featured(model, on_progress)
    seen = observe(dataset, threads=chosen.threads, on_progress=on_progress)
    skipped: list[str] = []
    features = None
    if found is None:
        skipped.append("No model was given: labels were not judged, and splits not told apart by features.")
    elif len(seen.readable):
        features = _features(found, seen, chosen, on_progress)
    run = _Run(seen, found, features, chosen, on_progress)
    name = shlex.quote(shown(dataset.source))
    findings = [replace(one, fix=one.fix.replace("DATASET", name)) for one in _findings(run, skipped)]
    return Audit(
        dataset=dataset.source,
        images=len(dataset),
        findings=tuple(sorted(findings, key=_rank)),
        checks=tuple(KINDS),
        skipped=tuple(skipped),
        seconds=time.monotonic() - begin,
        provenance={
            "fingerprint": dataset.fingerprint_of(seen.prints.digests),
            "task": dataset.task,
            "model": None if found is None else found.card.name,
            "model digest": None if found is None else found.digest,
            "seed": chosen.seed,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            **{f"version {name}": version for name, version in machine.versions().items()},
        },
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One audit while its checks are made."""

    seen: Observed
    model: Pretrained | None
    features: Floats | None
    settings: AuditSettings
    on_progress: OnProgress


def _findings(run: _Run, skipped: list[str]) -> Iterator[Finding]:
    seen = run.seen
    yield from find_noted(seen.dataset)
    yield from find_broken(seen)
    yield from find_label_trouble(seen.dataset)
    yield from find_imbalance(seen)
    yield from find_odd(seen)
    yield from find_misplaced(seen)
    yield from find_copies(seen)
    if run.model is not None:
        yield from find_low_resolution(seen, run.model.card.name, run.model.card.input_size)
    yield from find_groups(seen, run.features)
    if run.features is not None:
        yield from _suspects(run, run.features, skipped)
    yield from find_drift(seen, run.features, seed=run.settings.seed, on_progress=run.on_progress)


def _suspects(run: _Run, features: Floats, skipped: list[str]) -> Iterator[Finding]:
    """Label suspects, or the reason why none are looked for."""
    dataset = run.seen.dataset
    if dataset.task != "classify" or not dataset.exclusive:
        skipped.append("Label suspects are looked for where each image has one label.")
        return
    places, classes = judged(run.seen)
    if len(classes) < 2 or len(places) < LEAST_JUDGED:
        skipped.append(
            f"Label suspects are looked for among at least {LEAST_JUDGED} images of 2 classes of 5 images "
            f"(of different groups) each; there are {len(places)} of {len(classes)}."
        )
        return
    if len(places) < len(run.seen.readable):
        left = len(run.seen.readable) - len(places)
        skipped.append(f"{left:,} images without a label, or of classes with fewer than 5, were not judged.")
    settings = run.settings
    yield from find_suspects(
        run.seen, features, seed=settings.seed, threads=settings.threads, on_progress=run.on_progress
    )


def _featured(model: str | Path | Pretrained, on_progress: OnProgress) -> Pretrained:
    found = model if isinstance(model, Pretrained) else resolve(model, on_progress=on_progress)
    return graph_with_features(found)


def _features(model: Pretrained, seen: Observed, settings: AuditSettings, on_progress: OnProgress) -> Floats:
    """Features of all files, from the cache where they are kept; zeros for those that cannot be read."""
    engine = settings_for(
        many=True,
        threads=settings.threads,
        batch=settings.batch,
        device=settings.device,
        engine=settings.engine,
    )
    opened: Model[Any] = load(model, engine=settings.engine, precision=settings.precision, settings=engine)
    with opened as loaded:
        return extract(
            loaded,
            seen.dataset.paths,
            cache=default_cache(),
            digests=seen.prints.digests,
            on_progress=on_progress,
        ).features


def _rank(found: Finding) -> tuple[int, int]:
    return SEVERITIES.index(found.severity), list(KINDS).index(found.kind)
