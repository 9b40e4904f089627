"""One label an image, or several: what images show as arrays, and what is done alike with both.

One label is int64 (N,), several are bool (N, C); which it is tells the number of axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from signet.arrays import Array, Floats, Integers
from signet.datasets import Dataset
from signet.label_probing import fit_label_probe, nested_label_logits, refit_labels
from signet.metrics.calibration import fit_label_temperature, fit_temperature
from signet.naming import shown
from signet.probing import Probe, ProbeSettings, fit_probe, nested_logits, refit
from signet.progress import OnProgress
from signet.splitting import stratified_group_folds

_LISTED = 5


def targets_of(rows: Dataset[Any], used: Integers) -> Array:
    """What images show, in the labels of a run.

    Args:
        rows: each with a label.
        used: positions of the run's labels in those of the dataset, rising.

    Returns:
        int64 (N,), or where several labels can be right bool (N, C).
    """
    if rows.exclusive:
        return np.searchsorted(used, rows.targets)
    table = np.zeros((len(rows), len(rows.labels)), bool)
    for place, entry in enumerate(rows.entries):
        table[place, list(entry.classes)] = True
    return table[:, used]


def seen(targets: Array, count: int) -> Array:
    """Bool (C,): whether some image has each label."""
    if targets.ndim == 2:
        return np.asarray(targets.any(axis=0))
    return np.bincount(targets, minlength=count) > 0


def words_of(targets: Array, place: int, labels: Sequence[str]) -> str:
    """The labels of one image, for a message."""
    if targets.ndim == 1:
        return labels[int(targets[place])]
    return ", ".join(labels[index] for index in np.flatnonzero(targets[place]).tolist())


def everywhere(rows: Dataset[Any]) -> tuple[str, ...]:
    """For the notes: labels that every image has, which nothing tells apart."""
    if rows.exclusive:
        return ()
    names = [rows.labels[place] for place in np.flatnonzero(rows.class_counts == len(rows)).tolist()]
    if not names:
        return ()
    listed = ", ".join(repr(shown(name)) for name in names[:_LISTED])
    return (f"every image has {listed}: what is never absent is answered always.",)


def folds_of(
    targets: Array, settings: ProbeSettings, names: Sequence[str], groups: Sequence[Any]
) -> Integers:
    """Folds dealt by label, groups kept together; as many as the settings say, or as the images allow."""
    classes = (
        [tuple(np.flatnonzero(row).tolist()) for row in targets]
        if targets.ndim == 2
        else [(int(target),) for target in targets]
    )
    count = max(2, min(settings.folds, len(set(groups))))
    return stratified_group_folds(classes, count, names=names, groups=groups, seed=settings.seed)


def fitted(
    features: Floats,
    targets: Array,
    classes: int,
    folds: Integers | None,
    settings: ProbeSettings,
    on_progress: OnProgress,
) -> Probe:
    """A probe, its strength chosen over folds; dealt anew where None are given."""
    if targets.ndim == 1:
        return fit_probe(features, targets, classes, folds=folds, settings=settings, on_progress=on_progress)
    if folds is None:
        names = [f"{place:09d}" for place in range(len(targets))]
        folds = folds_of(targets, settings, names, names)
    return fit_label_probe(features, targets, folds, settings=settings, on_progress=on_progress)


def refitted(probe: Probe, features: Floats, targets: Array, classes: int) -> tuple[Floats, Floats]:
    """Weights and bias of a probe with the same strength on other images or features."""
    if targets.ndim == 1:
        return refit(probe, features, targets, classes)
    return refit_labels(probe, features, targets)


def nested(
    features: Floats,
    targets: Array,
    classes: int,
    folds: Integers,
    settings: ProbeSettings,
    on_progress: OnProgress,
) -> Floats:
    """Logits of each image by a probe that was fitted, chosen and calibrated without its fold."""
    if targets.ndim == 1:
        return nested_logits(features, targets, classes, folds, settings=settings, on_progress=on_progress)
    return nested_label_logits(features, targets, folds, settings=settings, on_progress=on_progress)


def temperature_of(logits: Array, targets: Array) -> float:
    """The temperature of the highest likelihood."""
    return float((fit_temperature if targets.ndim == 1 else fit_label_temperature)(logits, targets))
