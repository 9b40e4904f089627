"""k-fold training: as many networks as folds, each judged by images that it never saw, sealed as one."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from signet import tracing
from signet.arrays import Floats
from signet.errors import BadDataset, CheckFailed
from signet.finetuning import label_sets, scoring
from signet.finetuning.jobs import Job
from signet.finetuning.partition import Parts
from signet.finetuning.proofs import FrozenProof
from signet.finetuning.trained import TrainedNetwork, train_further
from signet.graphs.opening import open_graph
from signet.naming import shown
from signet.networks import ModuleSource
from signet.probing import Probe
from signet.progress import Progress, inside
from signet.recipes import Recipe


def reasons(recipe: Recipe) -> tuple[str, ...]:
    """For the plan."""
    count = recipe.kfold
    if count is None:
        return ()
    return (
        f"{count} networks, each learned from {count - 1} of {count} folds and judged by the last; sealed is "
        f"the mean of their logits as one graph, so a prediction costs {count} times that of one network",
    )


def passes(recipe: Recipe) -> float:
    """How often an epoch of the run goes over all images, over how often one network's does.

    Each fold is learned from by all networks but one, which is judged by it, at about a third of the cost.
    """
    return 1.0 if recipe.kfold is None else recipe.kfold - 1 + 1 / 3


def learned_from(parts: Parts, recipe: Recipe) -> int:
    """Images that one network learns from; with folds in the mean, as each is left out once."""
    count = len(parts.training)
    return count if recipe.kfold is None else round(count * (1 - 1 / len(np.unique(parts.folds))))


def check_folds(parts: Parts, source: str) -> None:
    """Refuse folds of which one holds all images of a class.

    Raises:
        BadDataset: with the class.
    """
    for part in np.unique(parts.folds).tolist():
        rest = parts.development.targets[parts.folds != part]
        lacking = np.flatnonzero(~label_sets.seen(rest, len(parts.labels))).tolist()
        if lacking:
            names = ", ".join(repr(shown(parts.labels[place])) for place in lacking[:5])
            raise BadDataset(
                f"{shown(source)}: kfold: expected images of every class in at least two folds, got all of "
                f"{names} in one: copies and groups stay together. Add images, or leave kfold out."
            )


def train_folds(job: Job, probe: Probe) -> TrainedNetwork:
    """Train one network for each fold, and join them.

    Each fold has a folder of its own within the run's, by which it resumes.

    Args:
        job: the run; its folds are those of the probe.
        probe: whose strength and weights each network begins with.

    Returns:
        The mean of all as one network. `validation_logits` are (N, C), of all development images, each by the
        network that did not see it; `history` is the mean over the folds, as long as all of them went on.
    """
    parts, folds = job.parts, folds_of(job)
    logits = np.zeros((len(parts.development), len(parts.labels)), np.float32)
    members = []
    for done, fold in enumerate(folds):
        job.on_progress(Progress("training folds", done, len(folds), unit="folds"))
        members.append(_trained(fold, probe, done + 1, len(folds)))
        logits[fold.parts.validation] = members[-1].validation_logits
    joined = _joined(job, members, logits)
    # The run's own history, of which those of the networks are parts.
    job.on_progress(Progress("training folds", len(folds), len(folds), unit="folds", history=joined.history))
    return joined


def folds_of(job: Job) -> list[Job]:
    """The training of each fold, which judges it, in its folder and its part of the time."""
    parts = job.parts
    names = np.unique(parts.folds).tolist()
    budget = job.recipe.budget_seconds
    recipe = job.recipe.changed(budget_seconds=max(1.0, budget / len(names))) if budget else job.recipe
    return [
        dataclasses.replace(
            job,
            parts=dataclasses.replace(parts, validation=np.flatnonzero(parts.folds == part)),
            recipe=recipe,
            work=job.work.inner(f"fold-{part}"),
            on_progress=inside(job.on_progress, f"network {done + 1} of {len(names)}"),
        )
        for done, part in enumerate(names)
    ]


def _trained(fold: Job, probe: Probe, number: int, count: int) -> TrainedNetwork:
    try:
        return train_further(fold, probe)
    except CheckFailed as error:
        raise CheckFailed(f"network {number} of {count}: {error}") from error


def _joined(job: Job, members: Sequence[TrainedNetwork], logits: Floats) -> TrainedNetwork:
    from signet.training import Ensemble

    first = members[0]
    digest = hashlib.sha256("".join(member.source.digest for member in members).encode()).hexdigest()
    source = ModuleSource(
        lambda: Ensemble([member.source.build() for member in members]).eval(),
        digest,
        first.source.input_shape,
        classifier=f"members.0.{first.source.classifier}",
    )
    graph = job.work.folder / "tuned.onnx"
    tracing.export(source, graph)
    return dataclasses.replace(
        first,
        rebuilt=None,
        adapter=None,
        seconds=sum(member.seconds for member in members),
        notes=tuple(dict.fromkeys(note for member in members for note in member.notes)),
        idle=float(np.mean([member.idle for member in members])),
        source=source,
        graph=open_graph(graph),
        validation_logits=logits,
        history=mean_history([member.history for member in members]),
        best_epoch=min(member.best_epoch for member in members),
        kept_epochs=tuple(member.best_epoch for member in members),
        proof=FrozenProof.of_folds([member.proof for member in members if member.proof is not None]),
    )


def mean_history(histories: Sequence[Sequence[Mapping[str, float]]]) -> tuple[dict[str, float], ...]:
    """The mean over the folds of what each epoch says, for the epochs that all of them have."""
    rows = []
    for epoch in zip(*histories, strict=False):
        names = [name for name in epoch[0] if all(name in row for row in epoch)]
        rows.append({name: float(np.mean([row[name] for row in epoch])) for name in names})
    return tuple(rows)


def record(tuned: TrainedNetwork | None, parts: Parts, seed: int) -> dict[str, Any] | None:
    """For the seal's record and the result's JSON; None without folds.

    Args:
        tuned: what `train_folds` gave.
        parts: of the run.
        seed: of the intervals.

    Returns:
        `count`, `kept_epochs` of each fold, and `metrics`: of all development images, each by the network
        that did not learn from it. Its best epoch was chosen by the fold, so they favour it a little; the
        figures of the result are from the test images.
    """
    if tuned is None or not tuned.kept_epochs:
        return None
    measured = scoring.Measured(tuned.validation_logits, 1.0, parts.exclusive)
    figures = scoring.metrics_of(measured, parts.development.targets, parts.labels, seed)
    return {
        "count": len(tuned.kept_epochs),
        "kept_epochs": list(tuned.kept_epochs),
        "metrics": {name: figure.to_dict() for name, figure in figures.items()},
    }
