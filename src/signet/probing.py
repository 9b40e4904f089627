"""A linear probe on frozen features: a classifier whose strength is found by cross-validation.

The features are standardised on the images that each fit sees, and the standardisation is folded into the
result, so a probe is `logits = features @ weights.T + bias` and nothing else. Everything is decided by the
seed and the data; one thread is enough for seconds of work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from signet.arrays import Array, Floats, Integers, frozen
from signet.errors import BadDataset, BadInput, BadRequest, MissingExtra
from signet.linear_fits import FitPath, Fitted, Problem, logistic_path, ridge_path
from signet.metrics.calibration import fit_temperature, log_softmax
from signet.progress import OnProgress, Progress, silent
from signet.recipes import STRENGTHS
from signet.splitting import judgeable, stratified_group_folds

Method = Literal["logistic", "ridge"]

EVENNESS = (0.0, 0.5, 1.0)
"""How far features are brought to one scale: each is divided by its deviation to this power (and by what all
have in common to the rest). 1 is plain standardisation; 0.5 lets features that vary more count for more; 0
leaves them as they are, which few images do best with. The others are tried around the strength that the
first found best."""

PRIOR_STRENGTH, PRIOR_DECADES, PRIOR_EVENNESS = 1.0, 1.0, 2.0
"""What is likely before any image was seen: a normal density over the decades of the strength, and an
exponential one over the evenness. It weighs as one image does, so it decides where there are a handful and is
nothing where there are hundreds. The numbers are ours: of those that `benchmarks/probe_prior.py` finds about
as good, on training images alone, wide ones, so that fifty images a class decide for themselves."""

LONE_STRENGTH = 10.0
"""Of the regularisation where no image can be held out to judge by, as with one image of each class, or with
images that all belong together. It is ours, too, and measured by the same benchmark."""

_MOST_CELLS = 3_000_000_000  # images x features x classes: above it one logistic fit takes minutes
_MOST_FEATURES = (
    100_000_000  # images x features: above it the standardised copies of all folds take gigabytes
)
_PATIENCE = 2  # weaker regularisations that are worse before the search ends
_LEAST_SCORE = 1e-7
_LAST = np.float32(10)  # logits below all others: a score of next to nothing
_SOLVERS: dict[Method, FitPath] = {"logistic": logistic_path, "ridge": ridge_path}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """How a probe is fitted.

    Attributes:
        strengths: what is tried, from strong to weak; the search ends when it only gets worse.
        folds: of the cross-validation; fewer where there are fewer images.
        seed: of the folds.
        threads: of the linear algebra.
        method: "logistic", "ridge", or None to choose by size.
    """

    strengths: tuple[float, ...] = STRENGTHS
    folds: int = 5
    seed: int = 0
    threads: int = 1
    method: Method | None = None

    def __post_init__(self) -> None:
        if not self.strengths or min(self.strengths) <= 0:
            raise BadRequest(f"strengths: expected numbers above 0, got {self.strengths}.")
        if self.folds < 2:
            raise BadRequest(f"folds: expected at least 2, got {self.folds}.")


class Tried(NamedTuple):
    """One point of the search: the mean log loss, calibrated, of images that the fits did not see."""

    strength: float
    evenness: float
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A fitted probe.

    Attributes:
        weights: float32 (C, D).
        bias: float32 (C,).
        strength: of the regularisation, as cross-validation and the prior chose it.
        evenness: of the standardisation, likewise.
        curve: what was tried, in order.
        out_of_fold: float32 (N, C) logits, each image by the fit that did not see it, as chosen.
        folds: int64 (N,), the fold of each image.
        method: "logistic" or "ridge".
        scale: that all logits were multiplied by, found on images that the fits did not see.
        judged: bool (N,), the images whose `out_of_fold` says something: those of a class that lies in
            several folds. Where it has none, the strength is `LONE_STRENGTH`.
    """

    weights: Floats
    bias: Floats
    strength: float
    evenness: float
    curve: tuple[Tried, ...]
    out_of_fold: Floats
    folds: Integers
    method: Method
    judged: Array
    scale: float = 1.0

    def logits(self, features: Floats) -> Floats:
        """Float32 (N, C) of float32 (N, D)."""
        return np.asarray(features @ self.weights.T + self.bias, np.float32)


def fit_probe(
    features: Floats,
    targets: Integers,
    classes: int,
    *,
    folds: Integers | None = None,
    settings: ProbeSettings | None = None,
    on_progress: OnProgress = silent,
) -> Probe:
    """Fit a probe, its strength chosen by cross-validation.

    Args:
        features: float32 (N, D).
        targets: int (N,), 0 to classes - 1; every class has an image.
        classes: C, at least 2.
        folds: int (N,), the fold of each image, so that what belongs together stays together (see
            `folds_of`); dealt by class when None.
        settings: strengths, number of folds, seed, threads.
        on_progress: told after each strength.

    Raises:
        BadInput: shapes that do not fit, features that are not finite.
        BadDataset: fewer than 2 classes, a class without an image.
        MissingExtra: scipy is not installed (extra `fit`).

    Example:
        >>> generator = np.random.default_rng(0)
        >>> truth = generator.integers(0, 2, 60)
        >>> rows = generator.normal(size=(60, 3)).astype(np.float32) + truth[:, None].astype(np.float32) * 3
        >>> probe = fit_probe(rows, truth, 2)
        >>> float((probe.logits(rows).argmax(axis=1) == truth).mean()) > 0.9
        True
    """
    chosen = settings or ProbeSettings()
    problem = _checked(features, targets, classes)
    parts = folds_of(targets, chosen) if folds is None else frozen(folds, "folds", "int64", (len(targets),))
    method = chosen.method or _method_for(problem)
    judged = judgeable(problem.truth, parts)
    with limited_threads(chosen.threads):
        curve, best = (
            _search(problem, parts, chosen, method, on_progress)
            if judged.any()
            else ([], _unseen(problem, chosen.strengths))
        )
        final = next(_SOLVERS[method](problem, (best.strength,), best.evenness))
        scale = _scale(best.logits[judged], problem.truth[judged]) if judged.any() else 1.0
    return Probe(
        weights=np.ascontiguousarray(final.weights.T * scale, np.float32),
        bias=np.asarray(final.bias * scale, np.float32),
        strength=best.strength,
        evenness=best.evenness,
        curve=tuple(curve),
        out_of_fold=np.asarray(best.logits * scale, np.float32),
        folds=parts,
        method=method,
        judged=judged,
        scale=scale,
    )


def refit(
    probe: Probe, features: Floats, targets: Integers, classes: int, *, threads: int = 1
) -> tuple[Floats, Floats]:
    """Weights (C, D) and bias (C,), float32, of a probe with the same strength on other images or features.

    Args:
        probe: what was decided.
        features: float32 (N, D); D may be another.
        targets: int (N,), every class among them.
        classes: C.
        threads: of the linear algebra.

    Raises:
        BadInput: shapes that do not fit, features that are not finite.
        BadDataset: a class without an image.
    """
    problem = _checked(features, targets, classes)
    with limited_threads(threads):
        found = next(_SOLVERS[probe.method](problem, (probe.strength,), probe.evenness))
    # Not found anew: on the images that this fit saw, all answers look surer than they are.
    weights = np.ascontiguousarray(found.weights.T * probe.scale, np.float32)
    return weights, np.asarray(found.bias * probe.scale, np.float32)


def nested_logits(
    features: Floats,
    targets: Integers,
    classes: int,
    folds: Integers,
    *,
    settings: ProbeSettings | None = None,
    on_progress: OnProgress = silent,
) -> Floats:
    """Float32 (N, C) logits of each image by a probe fitted, chosen *and calibrated* without its fold.

    The estimate of nested cross-validation: no decision, not even that on the strength or the temperature,
    saw the image.

    Args:
        features: float32 (N, D).
        targets: int (N,).
        classes: C.
        folds: int (N,), the outer folds; the inner ones are the other folds.
        settings: as for `fit_probe`.
        on_progress: told after each outer fold.

    Source: S. Varma, R. Simon, "Bias in error estimation when using cross-validation for model selection",
        BMC Bioinformatics 7:91 (2006).
    """
    problem = _checked(features, targets, classes)
    names = np.unique(folds).tolist()
    table = np.zeros((len(targets), classes), np.float32)
    for done, part in enumerate(names, 1):
        inside, outside = np.flatnonzero(folds != part), np.flatnonzero(folds == part)
        known, local = np.unique(problem.truth[inside], return_inverse=True)
        # A class that the other folds do not hold cannot be answered: it comes last.
        if len(known) == 1:
            table[outside] = -_LAST
            table[outside, known[0]] = 0
        else:
            inner = np.unique(folds[inside], return_inverse=True)[1]
            several = len(np.unique(inner)) > 1
            probe = fit_probe(
                problem.rows[inside],
                local,
                len(known),
                folds=inner if several else None,
                settings=settings,
            )
            temperature = np.float32(fit_temperature(probe.out_of_fold, local))
            logits = probe.logits(problem.rows[outside]) / temperature
            table[outside] = logits.min(axis=1, keepdims=True) - _LAST
            table[np.ix_(outside, known)] = logits
        on_progress(Progress("estimating by nested folds", done, len(names), unit="folds"))
    return table


def folds_of(
    targets: Integers,
    settings: ProbeSettings,
    names: Sequence[str] | None = None,
    groups: Sequence[Any] | None = None,
) -> Integers:
    """Folds dealt by class, groups kept together; as many as the settings say, or as the images allow.

    Args:
        targets: int (N,).
        settings: number of folds and seed.
        names: N names that differ, by which the deal does not depend on the order; positions by default.
        groups: for each image what it belongs with.
    """
    unique = list(names) if names is not None else [f"{place:09d}" for place in range(len(targets))]
    units = len(targets) if groups is None else len(set(groups))
    return stratified_group_folds(
        [(int(target),) for target in targets],
        max(2, min(settings.folds, units)),
        names=unique,
        groups=groups,
        seed=settings.seed,
    )


class _Best(NamedTuple):
    strength: float
    evenness: float
    cost: float
    logits: Array


def _unseen(problem: Problem, strengths: Sequence[float]) -> _Best:
    """What is taken where nothing judges, and before anything was tried."""
    strength = min(strengths, key=lambda one: abs(np.log(one / LONE_STRENGTH)))
    return _Best(strength, EVENNESS[0], np.inf, np.zeros((len(problem.truth), problem.classes), np.float32))


def _search(
    problem: Problem, folds: Integers, settings: ProbeSettings, method: Method, on_progress: OnProgress
) -> tuple[list[Tried], _Best]:
    """Try strengths from strong to weak, all folds in step, and stop when it only gets worse."""
    strengths = sorted(set(settings.strengths), reverse=True)
    best = _unseen(problem, strengths)
    # An image of a class that no other fold holds is wrong at every strength.
    known = judgeable(problem.truth, folds)
    truth = problem.truth[known]
    curve: list[Tried] = []
    for evenness in EVENNESS:
        around = max(0, strengths.index(best.strength) - 1) if curve else 0
        paths = _paths(problem, folds, method, (strengths[around:], evenness))
        worse, lowest = 0, np.inf
        for strength in strengths[around:]:
            logits = np.zeros((len(problem.truth), problem.classes), np.float32)
            for outside, path in paths:
                logits[outside] = next(path).logits(problem.rows[outside])
            # As sure as it will be once sealed: strong regularisation gives flat answers, not wrong ones.
            loss = _loss(logits[known] * np.float32(_scale(logits[known], truth)), truth)
            curve.append(Tried(strength, evenness, loss))
            on_progress(Progress("fitting the probe", len(curve), None, unit="strengths"))
            cost = loss + _unlikeliness(strength, evenness) / len(truth)
            if cost < best.cost:
                best = _Best(strength, evenness, cost, logits)
            worse = 0 if cost < lowest else worse + 1
            lowest = min(lowest, cost)
            if worse >= _PATIENCE:
                break
    return curve, best


def _unlikeliness(strength: float, evenness: float) -> float:
    """Negative logarithm of the prior, but for a constant: in log loss of one image."""
    return 0.5 * float(np.log10(strength / PRIOR_STRENGTH) / PRIOR_DECADES) ** 2 + PRIOR_EVENNESS * evenness


def _paths(
    problem: Problem, folds: Integers, method: Method, tried: tuple[Sequence[float], float]
) -> list[tuple[Integers, Iterator[Fitted]]]:
    """For each fold its images, and the fits that do not see them."""
    found = []
    for part in np.unique(folds).tolist():
        outside = np.flatnonzero(folds == part)
        found.append((outside, _path(problem, folds != part, method, tried)))
    return found


def _path(
    problem: Problem, inside: Array, method: Method, tried: tuple[Sequence[float], float]
) -> Iterator[Fitted]:
    """The fits of some images, copied when the first is asked for: one fold's copy at a time for a ridge."""
    yield from _SOLVERS[method](problem.subset(inside), *tried)


def _scale(logits: Array, truth: Integers) -> float:
    """One factor for all logits that makes scores of them.

    Ridge aims at 0 and 1, not at log odds; strong regularisation makes a logistic fit less sure than it is
    right.
    """
    return 1 / fit_temperature(logits, truth)


def _loss(logits: Array, truth: Integers) -> float:
    own = log_softmax(logits)[np.arange(len(truth)), truth]
    return float(-np.maximum(own, np.log(_LEAST_SCORE)).mean())


def _checked(features: Floats, targets: Integers, classes: int) -> Problem:
    rows = frozen(features, "features", "float32", (None, None))
    truth = frozen(targets, "targets", "int64", (len(rows),))
    if not np.isfinite(rows).all():
        raise BadInput("features: expected finite numbers, got NaN or infinity.")
    if classes < 2:
        raise BadDataset(
            f"a probe tells classes apart: expected at least 2 classes with images, got {classes}. "
            "Give a dataset of several classes."
        )
    if not len(truth) or truth.min() < 0 or truth.max() >= classes:
        raise BadInput(f"targets: expected at least one image, with classes from 0 to {classes - 1}.")
    empty = np.flatnonzero(np.bincount(truth, minlength=classes) == 0).tolist()
    if empty:
        raise BadDataset(
            f"targets: expected an image of each of {classes} classes, got none of {len(empty)} of them "
            f"(class {', '.join(map(str, empty[:5]))}{' ...' if len(empty) > 5 else ''})."
        )
    return Problem(rows, truth, classes)


def _method_for(problem: Problem) -> Method:
    cells = problem.rows.size
    return "ridge" if cells > _MOST_FEATURES or cells * problem.classes > _MOST_CELLS else "logistic"


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let linear algebra use so many threads; what was set before is set again afterwards."""
    try:
        import scipy.optimize  # noqa: F401  (its own library of linear algebra must be there to be limited)
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("Fitting a probe", "fit", str(error.name)) from error
    with threadpool_limits(limits=threads):
        yield
