"""The audit before a fine-tuning: what is severe is said with the plan, and how it is mended."""

from __future__ import annotations

from typing import Any

from signet.auditing import AuditSettings, audit
from signet.datasets import Dataset
from signet.findings import Audit
from signet.progress import OnProgress
from signet.recipes import Recipe


def looked_over(dataset: Dataset[Any], on_progress: OnProgress, recipe: Recipe) -> tuple[str, ...]:
    """What is severe in a dataset, one sentence or more each.

    No features are extracted, so labels are not judged: reading the files takes a fraction of what follows.

    Args:
        dataset: with all of its splits, since leaks are between them.
        on_progress: told while files are read.
        recipe: threads and seed.
    """
    settings = AuditSettings(seed=recipe.seed, threads=recipe.threads)
    return sentences(audit(dataset, model=None, settings=settings, on_progress=on_progress))


def sentences(found: Audit) -> tuple[str, ...]:
    """The severe findings of an audit, each with what mends it."""
    return tuple(
        f"{one.message} {one.fix}".strip() if one.fix else one.message
        for one in found.findings
        if one.severity == "severe"
    )
