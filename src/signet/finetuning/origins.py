"""Where a run's figures come from: model, data, machine; and test images that were learned from."""

from __future__ import annotations

from typing import Any

import numpy as np

from signet import machine
from signet.datasets import Dataset
from signet.duplicates import duplicate_groups
from signet.finetuning.jobs import Job
from signet.fingerprints import Fingerprints


def copies_among(known: Fingerprints, test: Fingerprints) -> tuple[str, ...]:
    """A sentence when test images are copies of images that were learned from."""
    groups = duplicate_groups(
        (*known.digests, *test.digests),
        np.concatenate([known.hashes, test.hashes]),
        np.concatenate([known.thumbnails, test.thumbnails]),
    )
    learned = set(groups[: len(known)].tolist())
    copies = sum(group in learned for group in groups[len(known) :].tolist())
    if not copies:
        return ()
    return (f"{copies} of the {len(test)} test images are copies of images that were learned from.",)


def provenance_of(job: Job, dataset: Dataset[Any], count: int) -> dict[str, Any]:
    """What a report says of its figures' origin: plain values by name."""
    return {
        "model": job.start.card.name,
        "model_digest": job.start.digest,
        "dataset": dataset.source,
        "data_format": dataset.format,
        "data_fingerprint": dataset.fingerprint,
        "images": count,
        "measured_on": job.plan.measured_on,
        "engine": job.plan.engine,
        "precision": job.plan.precision,
        "processor": machine.processor(),
        "seed": job.recipe.seed,
        **{f"version {name}": version for name, version in machine.versions().items()},
    }
