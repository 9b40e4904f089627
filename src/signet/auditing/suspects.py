"""Labels that are probably wrong, by a probe that did not see the image.

A probe on frozen features, cross-validated, gives each image logits of each label. The labels that are there
are taken for a mixture: a share of them was dealt at random, the others as the probe's probabilities have it.
Share and temperature are fitted together, so that wrong labels do not make the probe look less sure than it
is. Where a share of nothing explains the labels as well, nothing is listed: a dataset of right labels lists
nothing, however hard its images are for the probe. Else an image is listed when its label is more probably
one of those dealt at random than not.

Source: labels dealt at random with one rate: D. Angluin, P. Laird, Machine Learning 2 (1988) 343-370. Whether
    a share at the edge of its range is nothing: S. Self, K.-Y. Liang, JASA 82 (1987) 605-610. That
    out-of-fold probabilities find wrong labels: C. Northcutt, L. Jiang, I. Chuang, "Confident Learning", JAIR
    70 (2021) 1373-1411 (arXiv:1911.00068), whose own rule `benchmarks/auditing.py` measures beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from signet.arrays import Array, Floats, Integers
from signet.auditing.kinds import finding
from signet.auditing.observing import Observed, caption
from signet.datasets.findings import named
from signet.errors import MissingExtra
from signet.findings import Exhibit, Finding
from signet.metrics.calibration import log_softmax
from signet.naming import shown
from signet.probing import ProbeSettings, fit_probe, folds_of
from signet.progress import OnProgress, silent

CHANCE = 1e-3
"""The probability below which the share of wrong labels is not nothing."""

MORE_PROBABLY = 0.5
"""The probability of being wrong above which a label is listed."""

LEAST_IMAGES = 5
"""Images of different copies and groups that a class needs: each fold of the probe must have learned it."""


_TEMPERATURES = (0.02, 50.0)
_MOST_SHARE = 0.9
_MOST_FITTED = 20_000
"""Images on which two numbers are fitted: more change nothing."""


class Noise(NamedTuple):
    """How the labels came about, as far as the logits can tell.

    Attributes:
        share: of the labels, dealt at random: 0 to 0.9. Of C labels dealt so, one in C is right by chance.
        temperature: of the logits, where the labels were not dealt at random.
        chance: the probability of labels that look so wrong, were none dealt at random.
    """

    share: float
    temperature: float
    chance: float


@dataclass(frozen=True, slots=True, eq=False)
class Suspects:
    """Images whose labels are probably wrong, the most probably wrong first.

    Attributes:
        places: int64 (K,), positions among the images that were judged.
        answers: int64 (K,), the label that the probe would give.
        wrong: float64 (K,), the probability that the label is wrong, above 0.5.
        own: float64 (K,), the probability of the label by the probe.
        other: float64 (K,), that of the probe's answer.
        noise: of all labels.
    """

    places: Integers
    answers: Integers
    wrong: Array
    own: Array
    other: Array
    noise: Noise

    def __len__(self) -> int:
        return len(self.places)


def find_suspects(
    seen: Observed,
    features: Floats,
    *,
    seed: int = 0,
    threads: int | None = None,
    on_progress: OnProgress = silent,
) -> Iterator[Finding]:
    """The finding of label suspects, if there are any.

    Args:
        seen: a classification of exclusive classes.
        features: float32 (N, D) of its files.
        seed: of the folds.
        threads: of the linear algebra; one when None.
        on_progress: told while the probe is fitted.
    """
    dataset = seen.dataset
    places, classes = judged(seen)
    if len(classes) < 2:
        return
    targets = np.searchsorted(classes, dataset.targets[places])
    settings = ProbeSettings(seed=seed, threads=threads or 1)
    names = dataset.names
    folds = folds_of(
        targets, settings, [names[place] for place in places.tolist()], seen.units[places].tolist()
    )
    probe = fit_probe(
        features[places], targets, len(classes), folds=folds, settings=settings, on_progress=on_progress
    )
    found = suspects_of(probe.out_of_fold, targets)
    if not len(found):
        return
    rows = places[found.places].tolist()
    told = list(zip(rows, found.answers, found.wrong, found.own, found.other, strict=True))
    exhibits = [
        Exhibit(
            (seen.source(row),),
            (caption(dataset.entries[row], dataset.labels),),
            f"wrong with {100 * wrong:.0f} %: called {shown(dataset.labels[int(classes[answer])])} with "
            f"{100 * other:.0f} %, its own label with {100 * own:.2g} %",
        )
        for row, answer, wrong, own, other in told
    ]
    accuracy = float((probe.out_of_fold.argmax(axis=1) == targets).mean())
    share = found.noise.share * (1 - 1 / len(classes))
    yield finding(
        "label suspects",
        f"{len(found):,} of {len(places):,} labels are more probably wrong than right "
        f"({len(found) - found.wrong.sum():.0f} of these are expected to be right), of about "
        f"{100 * share:.1f} % wrong ones in all: {named(names[row] for row in rows)}. The probe that judges "
        f"them agrees with {100 * accuracy:.0f} % of the labels.",
        seen.sources(rows),
        exhibits=exhibits,
        details={
            "share_wrong": round(share, 5),
            "expected_right": round(float(len(found) - found.wrong.sum()), 2),
            "judged": len(places),
            "probe_top1": round(accuracy, 4),
            "labels": {
                seen.source(row): {
                    "label": dataset.labels[int(dataset.targets[row])],
                    "suggested": dataset.labels[int(classes[answer])],
                    "wrong": round(float(wrong), 6),
                    "probability": round(float(own), 6),
                    "probability_of_suggested": round(float(other), 6),
                }
                for row, answer, wrong, own, other in told
            },
        },
    )


def judged(seen: Observed) -> tuple[Integers, Integers]:
    """(positions of the images that can be judged, their classes): those of 5 images that are apart."""
    targets = seen.dataset.targets
    usable = seen.readable[targets[seen.readable] >= 0]
    apart = np.unique(np.stack([targets[usable], seen.units[usable]]), axis=1)[0]
    classes = np.flatnonzero(np.bincount(apart, minlength=len(seen.dataset.labels)) >= LEAST_IMAGES)
    return usable[np.isin(targets[usable], classes)], classes


def suspects_of(logits: Array, labels: Integers) -> Suspects:
    """The images whose labels are more probably dealt at random than not; see the top of this file.

    Args:
        logits: float (N, C), each row by a probe that did not see it.
        labels: int64 (N,).

    Raises:
        MissingExtra: scipy is not installed (extra `fit`).
    """
    noise = fit_noise(logits, labels)
    probabilities = np.exp(log_softmax(logits, noise.temperature))
    own = probabilities[np.arange(len(labels)), labels]
    dealt = noise.share / logits.shape[1]
    wrong = dealt / (dealt + (1 - noise.share) * own).clip(1e-300)
    answers = probabilities.argmax(axis=1)
    # A label that the probe itself gives is not suspected, however many others are wrong.
    listed = (wrong > MORE_PROBABLY) & (answers != labels) & (noise.chance < CHANCE)
    places = np.flatnonzero(listed)
    places = places[np.argsort(-wrong[places], kind="stable")]
    return Suspects(
        places=places,
        answers=answers[places],
        wrong=wrong[places],
        own=own[places],
        other=probabilities[places, answers[places]],
        noise=noise,
    )


def fit_noise(logits: Array, labels: Integers) -> Noise:
    """The share of labels dealt at random and the temperature of the others, of the highest likelihood.

    Args:
        logits: float (N, C), each row by a probe that did not see it.
        labels: int64 (N,).

    Raises:
        MissingExtra: scipy is not installed (extra `fit`).
    """
    try:
        from scipy.optimize import minimize_scalar
        from scipy.stats import chi2
    except ImportError as error:
        raise MissingExtra("Finding wrong labels", "fit", "scipy") from error
    step = -(-len(labels) // _MOST_FITTED)
    table, truth = np.asarray(logits, np.float64)[::step], labels[::step]
    rows, classes = np.arange(len(truth)), table.shape[1]

    def of_temperature(log_temperature: float) -> Array:
        """Of each label its probability, were none dealt at random."""
        found: Array = np.exp(log_softmax(table, float(np.exp(log_temperature)))[rows, truth])
        return found

    def best_share(own: Array) -> tuple[float, float]:
        """(share, mean log loss) of the highest likelihood at one temperature."""

        def loss(share: float) -> float:
            return float(-np.log(((1 - share) * own + share / classes).clip(1e-300)).mean())

        found = minimize_scalar(loss, bounds=(0.0, _MOST_SHARE), method="bounded", options={"xatol": 1e-5})
        # The search never tries the ends of its range.
        return min((float(found.x), float(found.fun)), (0.0, loss(0.0)), key=lambda pair: pair[1])

    def minimised(loss: Callable[[float], float]) -> tuple[float, float]:
        ends = tuple(float(np.log(end)) for end in _TEMPERATURES)
        found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-3})
        return float(found.x), float(found.fun)

    at, with_noise = minimised(lambda value: best_share(of_temperature(value))[1])
    _, without = minimised(lambda value: float(-np.log(of_temperature(value).clip(1e-300)).mean()))
    ratio = max(2 * len(truth) * (without - with_noise), 0.0)
    # Half of the chi-squared distribution, as the share lies at the edge of its range where there is none.
    chance = float(chi2.sf(ratio, 1)) / 2 if ratio > 0 else 1.0
    return Noise(best_share(of_temperature(at))[0], float(np.exp(at)), chance)
