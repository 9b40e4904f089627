"""The audit before a fine-tuning: what is severe is said with the plan, and how it is mended."""

from __future__ import annotations

import dataclasses
from typing import Any

from signet.auditing import AuditSettings, audit
from signet.datasets import Dataset
from signet.findings import Audit
from signet.finetuning.jobs import RunSettings
from signet.finetuning.plans import Plan
from signet.recipes import Recipe


def with_findings(plan: Plan, dataset: Dataset[Any], recipe: Recipe, ways: RunSettings) -> Plan:
    """A plan with what is severe in its dataset among its notes; as it is where no audit is wanted.

    No features are extracted, so labels are not judged: reading the files takes a fraction of what follows.

    Args:
        plan: what is going to be done.
        dataset: with all of its splits, since leaks are between them.
        recipe: threads and seed.
        ways: whether an audit is wanted; told while files are read.
    """
    if not ways.audit:
        return plan
    settings = AuditSettings(seed=recipe.seed, threads=recipe.threads)
    found = audit(dataset, model=None, settings=settings, on_progress=ways.on_progress)
    return dataclasses.replace(plan, notes=(*plan.notes, *sentences(found)))


def sentences(found: Audit) -> tuple[str, ...]:
    """The severe findings of an audit, each with what mends it."""
    return tuple(f"{one.message} {one.fix}".strip() for one in found.findings if one.severity == "severe")
