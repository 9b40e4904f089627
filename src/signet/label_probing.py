"""A linear probe where several labels of an image can be right: one logistic regression for each label.

All share the strength and the standardisation, which cross-validation chooses by the mean log loss; all else
is as in `probing`, whose `Probe` this gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signet.arrays import Array, Floats, Integers, frozen
from signet.errors import BadDataset, BadInput
from signet.linear_fits import Problem, label_path
from signet.metrics.calibration import fit_label_temperature, label_log_loss
from signet.probing import EVENNESS, Probe, ProbeSettings, Tried, limited_threads
from signet.progress import OnProgress, Progress, silent

_PATIENCE = 2  # weaker regularisations that are worse before the search ends
_ABSENT = np.float32(-10)  # the logit of a label that was never seen


def fit_label_probe(
    features: Floats,
    truth: Array,
    folds: Integers,
    *,
    settings: ProbeSettings | None = None,
    on_progress: OnProgress = silent,
) -> Probe:
    """Fit a probe of several labels, its strength chosen by cross-validation.

    Args:
        features: float32 (N, D).
        truth: bool (N, C), which labels each image has; every label has an image.
        folds: int (N,), the fold of each image; at least two.
        settings: strengths and threads.
        on_progress: told after each strength.

    Raises:
        BadInput: shapes that do not fit, features that are not finite, a single fold.
        BadDataset: a label without an image.
        MissingExtra: scipy is not installed (extra `fit`).
    """
    chosen = settings or ProbeSettings()
    problem = _checked(features, truth)
    parts = frozen(folds, "folds", "int64", (len(features),))
    names = np.unique(parts).tolist()
    if len(names) < 2:
        raise BadInput(f"folds: expected at least 2, got {len(names)}.")
    strengths = sorted(set(chosen.strengths), reverse=True)
    curve: list[Tried] = []
    best, kept = Tried(strengths[0], EVENNESS[0], np.inf), np.zeros(problem.truth.shape, np.float32)
    with limited_threads(chosen.threads):
        for evenness in EVENNESS:
            around = max(0, strengths.index(best.strength) - 1) if curve else 0
            found = _tried(problem, parts, (strengths[around:], evenness), curve, on_progress)
            for tried, logits in found:
                if tried.loss < best.loss:
                    best, kept = tried, logits
        final = next(label_path(problem, (best.strength,), best.evenness))
    return Probe(
        weights=np.ascontiguousarray(final.weights.T, np.float32),
        bias=np.asarray(final.bias, np.float32),
        strength=best.strength,
        evenness=best.evenness,
        curve=tuple(curve),
        out_of_fold=kept,
        folds=parts,
        method="logistic",
        judged=np.ones(len(features), np.bool_),
    )


def refit_labels(probe: Probe, features: Floats, truth: Array, *, threads: int = 1) -> tuple[Floats, Floats]:
    """Weights (C, D) and bias (C,), float32, of a probe with the same strength on other images or features.

    Args:
        probe: what was decided.
        features: float32 (N, D); D may be another.
        truth: bool (N, C).
        threads: of the linear algebra.

    Raises:
        BadInput: shapes that do not fit, features that are not finite.
        BadDataset: a label without an image.
    """
    problem = _checked(features, truth)
    with limited_threads(threads):
        found = next(label_path(problem, (probe.strength,), probe.evenness))
    return np.ascontiguousarray(found.weights.T, np.float32), np.asarray(found.bias, np.float32)


def nested_label_logits(
    features: Floats,
    truth: Array,
    folds: Integers,
    *,
    settings: ProbeSettings | None = None,
    on_progress: OnProgress = silent,
) -> Floats:
    """Float32 (N, C) logits of each image by a probe fitted, chosen *and calibrated* without its fold.

    A label that the other folds do not hold is answered with next to nothing.

    Args:
        features: float32 (N, D).
        truth: bool (N, C).
        folds: int (N,), the outer folds; the inner ones are the other folds.
        settings: as for `fit_label_probe`.
        on_progress: told after each outer fold.

    Source: as `probing.nested_logits`.
    """
    problem = _checked(features, truth)
    names = np.unique(folds).tolist()
    table = np.full(problem.truth.shape, _ABSENT, np.float32)
    for done, part in enumerate(names, 1):
        inside, outside = np.flatnonzero(folds != part), np.flatnonzero(folds == part)
        held = np.flatnonzero(problem.truth[inside].any(axis=0))
        inner = np.unique(folds[inside], return_inverse=True)[1]
        if len(np.unique(inner)) < 2:
            inner = np.arange(len(inside)) % 2
        known = problem.truth[inside][:, held]
        probe = fit_label_probe(problem.rows[inside], known, inner, settings=settings)
        temperature = np.float32(fit_label_temperature(probe.out_of_fold, known))
        table[np.ix_(outside, held)] = probe.logits(problem.rows[outside]) / temperature
        on_progress(Progress("estimating by nested folds", done, len(names), unit="folds"))
    return table


def _tried(
    problem: Problem,
    folds: Integers,
    tried: tuple[Sequence[float], float],
    curve: list[Tried],
    on_progress: OnProgress,
) -> list[tuple[Tried, Floats]]:
    """Each strength with the logits of all images by fits that did not see them, until it only gets worse."""
    strengths, evenness = tried
    outsides = [np.flatnonzero(folds == part) for part in np.unique(folds).tolist()]
    paths = [
        label_path(problem.subset(np.setdiff1d(np.arange(len(folds)), outside)), strengths, evenness)
        for outside in outsides
    ]
    found: list[tuple[Tried, Floats]] = []
    worse, lowest = 0, np.inf
    for strength in strengths:
        logits = np.zeros(problem.truth.shape, np.float32)
        for outside, path in zip(outsides, paths, strict=True):
            logits[outside] = next(path).logits(problem.rows[outside])
        loss = label_log_loss(logits, problem.truth)
        found.append((Tried(strength, evenness, loss), logits))
        curve.append(found[-1][0])
        on_progress(Progress("fitting the probe", len(curve), None, unit="strengths"))
        worse = 0 if loss < lowest else worse + 1
        lowest = min(lowest, loss)
        if worse >= _PATIENCE:
            break
    return found


def _checked(features: Floats, truth: Array) -> Problem:
    rows = frozen(features, "features", "float32", (None, None))
    table = np.asarray(truth)
    if table.ndim != 2 or len(table) != len(rows) or not len(table) or not np.isin(table, (0, 1)).all():
        raise BadInput(
            f"labels of images: expected 0 and 1 in the shape ({len(rows)}, labels), got {table.dtype} "
            f"{table.shape}."
        )
    if not np.isfinite(rows).all():
        raise BadInput("features: expected finite numbers, got NaN or infinity.")
    empty = np.flatnonzero(~table.any(axis=0)).tolist()
    if empty:
        raise BadDataset(
            f"labels of images: expected an image of each of {table.shape[1]} labels, got none of "
            f"{len(empty)} of them (label {', '.join(map(str, empty[:5]))})."
        )
    return Problem(rows, table.astype(np.int64), table.shape[1])
