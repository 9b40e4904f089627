"""What a probe of few images should expect beforehand: regret of priors over its strength and evenness.

    python benchmarks/probe_prior.py --data DIR... [--models MODEL...] [--counts 2 5 10 30] [--seeds 3]

Each DIR has `train` with a folder of images for each class; other parts are never read. Half of it is drawn
from, so many images of each class, and the other half judges. For each draw every strength and evenness is
fitted and cross-validated, as `signet.probing` does; a prior then chooses, and its regret is what the best
choice would have got right beyond its own, in points. A prior is (strength, decades, evenness), as
`PRIOR_STRENGTH` and the two beside it state it; "none" is cross-validation alone. Beside them stands
scikit-learn's logistic regression, untouched. One image of each class judges nothing: there each strength is
compared with scikit-learn's fit, draw by draw.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from signet import load, machine, resolve
from signet.arrays import Floats, Integers
from signet.datasets import open_dataset
from signet.features import extract, graph_with_features
from signet.features.extraction import default_cache
from signet.linear_fits import Problem, logistic_path
from signet.metrics.calibration import fit_temperature, log_softmax
from signet.probing import (
    EVENNESS,
    LONE_STRENGTH,
    PRIOR_DECADES,
    PRIOR_EVENNESS,
    PRIOR_STRENGTH,
    ProbeSettings,
    folds_of,
)
from signet.recipes import STRENGTHS
from signet.streaming import settings_for

RESULTS = Path(__file__).resolve().parent / "results"
Point = tuple[float, float]
Prior = tuple[float, float, float]
LEAST_SCORE = 1e-7
LONE_STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
LONE_DRAWS = 20
PRIORS: tuple[Prior, ...] = tuple(itertools.product((10.0, 3.0, 1.0, 0.3), (0.5, 1.0, 2.0), (1.0, 2.0, 4.0)))


class Draw(NamedTuple):
    """What each strength and evenness comes to on one draw.

    Attributes:
        data: name of the data.
        count: images of each class.
        images: that were drawn.
        losses: mean log loss, calibrated, of images by the fits that did not see them.
        right: fraction of the judging images.
        untouched: that of scikit-learn's fit.
    """

    data: str
    count: int
    images: int
    losses: dict[Point, float]
    right: dict[Point, float]
    untouched: float


def features_of(model: str, data: Path) -> tuple[Floats, Integers]:
    """Features and classes of the training images that can be read."""
    part = open_dataset(data).select("train")
    with load(graph_with_features(resolve(model)), settings=settings_for(many=True)) as opened:
        found = extract(opened, part.paths, cache=default_cache())
    return found.features[found.readable], np.asarray(part.targets)[found.readable]


def drawn(targets: Integers, count: int, seed: int) -> tuple[Integers, Integers]:
    """Positions that are learned from, and those that judge; of the classes that have enough of both."""
    random = np.random.default_rng(seed)
    learn, judge = [], []
    for name in np.unique(targets).tolist():
        places = random.permutation(np.flatnonzero(targets == name))
        half = len(places) // 2
        if half >= count:
            learn += places[:count].tolist()
            judge += places[half:].tolist()
    return np.array(learn, np.int64), np.array(judge, np.int64)


def tried(data: str, found: tuple[Floats, Integers], count: int, seed: int) -> Draw | None:
    """One draw; None where fewer than two classes have enough images."""
    rows, targets = found
    learn, judge = drawn(targets, count, seed)
    names, own = np.unique(targets[learn], return_inverse=True)
    if len(names) < 2:
        return None
    truth = np.searchsorted(names, targets[judge])
    problem = Problem(rows[learn], own, len(names))
    folds = folds_of(own, ProbeSettings())
    losses, right = {}, {}
    for evenness in EVENNESS:
        whole = logistic_path(problem, STRENGTHS, evenness)
        parts = [
            (folds == part, logistic_path(problem.subset(folds != part), STRENGTHS, evenness))
            for part in np.unique(folds).tolist()
        ]
        for strength in STRENGTHS:
            answers = np.zeros((len(own), len(names)), np.float32)
            for outside, path in parts:
                answers[outside] = next(path).logits(problem.rows[outside])
            scores = log_softmax(answers / np.float32(fit_temperature(answers, own)))[
                np.arange(len(own)), own
            ]
            losses[strength, evenness] = float(-np.maximum(scores, np.log(LEAST_SCORE)).mean())
            guesses = next(whole).logits(rows[judge]).argmax(axis=1)
            right[strength, evenness] = float((guesses == truth).mean())
    plain = LogisticRegression(max_iter=1000).fit(problem.rows, own)
    return Draw(data, count, len(own), losses, right, float(plain.score(rows[judge], truth)))


def lone(found: tuple[Floats, Integers], seed: int) -> list[float]:
    """Points that each strength is ahead of scikit-learn's fit, with one image of each class."""
    rows, targets = found
    learn, judge = drawn(targets, 1, seed)
    names, own = np.unique(targets[learn], return_inverse=True)
    truth = np.searchsorted(names, targets[judge])
    plain = LogisticRegression(max_iter=1000).fit(rows[learn], own).score(rows[judge], truth)
    fits = logistic_path(Problem(rows[learn], own, len(names)), LONE_STRENGTHS, 0.0)
    return [100 * float((fit.logits(rows[judge]).argmax(axis=1) == truth).mean() - plain) for fit in fits]


def chosen(draw: Draw, prior: Prior | None) -> float:
    """What the choice of a prior and the folds gets right."""

    def cost(point: Point) -> float:
        if prior is None:
            return draw.losses[point]
        (strength, evenness), (middle, decades, steepness) = point, prior
        unlikely = 0.5 * (np.log10(strength / middle) / decades) ** 2 + steepness * evenness
        return float(draw.losses[point] + unlikely / draw.images)

    return draw.right[min(draw.losses, key=cost)]


def regrets(draws: Sequence[Draw], answer: Callable[[Draw], float]) -> list[float]:
    """Mean regret in points, in each cell of the table."""
    cells: dict[tuple[str, int], list[float]] = {}
    for draw in draws:
        gap = 100 * (max(draw.right.values()) - answer(draw))
        cells.setdefault((draw.data, draw.count), []).append(gap)
    return [float(np.mean(found)) for _, found in sorted(cells.items())]


def report(
    draws: Sequence[Draw], alone: Mapping[str, Sequence[Sequence[float]]], models: Sequence[str]
) -> str:
    """Both tables, the priors by their mean."""
    rows = {f"{prior}": regrets(draws, partial(chosen, prior=prior)) for prior in PRIORS}
    rows["none"] = regrets(draws, partial(chosen, prior=None))
    rows["scikit-learn"] = regrets(draws, lambda draw: draw.untouched)
    cells = sorted({(draw.data, draw.count) for draw in draws})
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions().items()))
    lines = [
        "# What a probe of few images should expect beforehand",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}. {versions}. {len(draws)} draws from training "
        f"images, features of {', '.join(Path(model).name for model in models)}. Points behind the best "
        "strength and evenness of each draw. In use: "
        f"{(PRIOR_STRENGTH, PRIOR_DECADES, PRIOR_EVENNESS)}.",
        "",
        f"| prior | mean | {' | '.join(f'{data}, {count}' for data, count in cells)} |",
        f"|---|--:|{'--:|' * len(cells)}",
    ]
    for name, found in sorted(rows.items(), key=lambda row: float(np.mean(row[1]))):
        lines.append(f"| {name} | {np.mean(found):.2f} | {' | '.join(f'{gap:.2f}' for gap in found)} |")
    lines += [
        "",
        "One image of each class: points ahead of scikit-learn's fit, with the standard error over "
        f"{LONE_DRAWS} draws of each network's features. In use: {LONE_STRENGTH}.",
        "",
        f"| strength | {' | '.join(alone)} |",
        f"|--:|{'--:|' * len(alone)}",
    ]
    for place, strength in enumerate(LONE_STRENGTHS):
        ahead = [np.array(found)[:, place] for found in alone.values()]
        words = (f"{one.mean():+.2f} ± {one.std(ddof=1) / len(one) ** 0.5:.2f}" for one in ahead)
        lines.append(f"| {strength:g} | {' | '.join(words)} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="folders with `train`")
    parser.add_argument("--models", nargs="+", default=["starter"])
    parser.add_argument("--counts", nargs="+", type=int, default=[2, 5, 10, 30])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    draws: list[Draw] = []
    alone: dict[str, list[list[float]]] = {data.name: [] for data in asked.data}
    for data, model in itertools.product(asked.data, asked.models):
        found = features_of(model, data)
        alone[data.name] += [lone(found, 1000 + seed) for seed in range(LONE_DRAWS)]
        for count, seed in itertools.product(asked.counts, range(asked.seeds)):
            draws += [draw for draw in [tried(data.name, found, count, seed)] if draw is not None]
        print(f"{data.name}, {Path(model).name}: {len(draws)} draws", file=sys.stderr, flush=True)
    text = report(draws, alone, asked.models)
    asked.out.mkdir(exist_ok=True)
    (asked.out / f"probe_prior-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
