"""How well rules that never fine-tune rank ten networks on eight datasets, on a published table.

    python benchmarks/transfer_table.py

Each rule ranks the networks of one dataset; it is held to the published accuracy after fine-tuning. A rule
that uses transfer results sees those of the other seven datasets alone. The figures: the weighted tau of
Vigna, which counts the best networks most, and the accuracy lost by taking the rule's first network. They
go to `results/transfer-table.csv`, one row for each rule, with a bootstrap over datasets of how far each rule
is above plain ImageNet top-1. Nothing here is random but that bootstrap, and it has a seed.

Source: S. Vigna, "A weighted correlation index for rankings with ties", WWW 2015, section 4 (additive
hyperbolic weights, both orders averaged, as scipy's `weightedtau` has it by default).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy.stats import weightedtau

from signet.arrays import Array
from signet.choosing import published
from signet.statistics import Resampling, paired_difference

OUT = Path(__file__).resolve().parent / "results" / "transfer-table.csv"
BASELINE = "ImageNet top-1"
COLUMNS = ("rule", "weighted_tau", "accuracy_lost", "above_baseline", "low", "high", "datasets", "source")

Rule = Callable[[str], Array | None]
"""From a dataset's name to a figure for each of its networks, higher for better; None: not published."""


def accuracy(dataset: str) -> Array:
    return np.array([row.fine_tuned for row in published.on_dataset(dataset)])


def top1(dataset: str) -> Array:
    return np.array([row.imagenet_top1 for row in published.on_dataset(dataset)])


def score(name: str) -> Rule:
    def values(dataset: str) -> Array | None:
        rows = published.on_dataset(dataset)
        return np.array([row.scores[name] for row in rows]) if name in rows[0].scores else None

    return values


def elsewhere(dataset: str) -> Array:
    """How well each network did on the other datasets, each dataset brought to one scale first."""
    others = [other for other in published.datasets() if other != dataset]
    return np.asarray(np.mean([standardised(accuracy(other)) for other in others], axis=0))


def standardised(values: Array) -> Array:
    return np.asarray((values - values.mean()) / values.std())


def together(*rules: Rule) -> Rule:
    """The sum of rules, each brought to mean 0 and deviation 1 on the dataset: no weight is fitted."""

    def values(dataset: str) -> Array | None:
        parts = [rule(dataset) for rule in rules]
        known = [standardised(part) for part in parts if part is not None]
        return np.sum(known, axis=0) if len(known) == len(parts) else None

    return values


def weighted_top1_and_logme(dataset: str) -> Array:
    """ImageNet top-1 and LogME, their weights a least-squares fit on the other seven datasets."""
    logme = score("logme")
    parts = {name: (standardised(top1(name)), _standardised(logme(name))) for name in published.datasets()}
    others = [name for name in parts if name != dataset]
    table = np.concatenate([np.stack(parts[name], axis=1) for name in others])
    truth = np.concatenate([standardised(accuracy(name)) for name in others])
    weights, *_ = np.linalg.lstsq(table, truth, rcond=None)
    return np.stack(parts[dataset], axis=1) @ weights


def _standardised(values: Array | None) -> Array:
    assert values is not None
    return standardised(values)


RULES: Mapping[str, Rule] = {
    BASELINE: top1,
    "LEEP": score("leep"),
    "NCE": score("nce"),
    "H-score": score("h_score"),
    "LogME": score("logme"),
    "ImageNet top-1 + LogME, equal weights": together(top1, score("logme")),
    "ImageNet top-1 + LogME, weights fitted elsewhere": weighted_top1_and_logme,
    "prior: accuracy on the other datasets": elsewhere,
    "prior + LogME": together(elsewhere, score("logme")),
}


def taus(rule: Rule) -> dict[str, float]:
    """Dataset to weighted tau, for the datasets on which the rule has figures."""
    given = {name: rule(name) for name in published.datasets()}
    return {
        name: float(weightedtau(values, accuracy(name)).statistic)
        for name, values in given.items()
        if values is not None
    }


def lost(rule: Rule) -> float:
    """Mean accuracy, 0 to 1, that the rule's first network is below the best."""
    gaps = []
    for name in published.datasets():
        values, reached = rule(name), accuracy(name)
        if values is not None:
            gaps.append(reached.max() - reached[values.argmax()])
    return float(np.mean(gaps))


def rows() -> list[dict[str, object]]:
    """One row for each rule."""
    baseline, found = taus(RULES[BASELINE]), []
    for name, rule in RULES.items():
        own = taus(rule)
        pairs = np.array([(own[dataset], baseline[dataset]) for dataset in own])
        gap = paired_difference(pairs[:, 0], pairs[:, 1], Resampling(resamples=10_000))
        found.append(
            {
                "rule": name,
                "weighted_tau": round(float(np.mean(list(own.values()))), 3),
                "accuracy_lost": round(lost(rule), 4),
                "above_baseline": round(gap.value, 3) if name != BASELINE else "",
                "low": round(gap.low, 3) if name != BASELINE else "",
                "high": round(gap.high, 3) if name != BASELINE else "",
                "datasets": len(own),
                "source": published.SOURCE,
            }
        )
    return found


def main() -> None:
    table = rows()
    with OUT.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    for row in table:
        print(*(row[name] for name in COLUMNS[:-1]), sep="\t")


if __name__ == "__main__":
    main()
