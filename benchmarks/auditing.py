"""Label suspects of `signet audit`: precision and recall on labels that were planted wrong.

    python benchmarks/auditing.py --data ../shared/data/cifar10_small --models starter

Labels of a random share of the training pictures are replaced by another class, all other classes alike; the
audit's own rule and the one of confident learning see the same out-of-fold logits of the same probe. The rows
go to `results/auditing.csv`, which is written anew.

Confident learning: of the classes that have at least the mean probability that images of that class have for
it, the most probable one is not the image's own. Source: C. Northcutt, L. Jiang, I. Chuang, JAIR 70 (2021)
1373-1411, section 3.1, written from the paper.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from signet import machine
from signet.arrays import Array, Integers
from signet.auditing.observing import Observed, observe
from signet.auditing.suspects import suspects_of
from signet.datasets import open_dataset
from signet.features import extract, graph_with_features
from signet.features.extraction import default_cache
from signet.metrics.calibration import fit_temperature, log_softmax
from signet.models import load, resolve
from signet.probing import ProbeSettings, fit_probe, folds_of
from signet.streaming import settings_for

OUT = Path(__file__).resolve().parent / "results" / "auditing.csv"
SHARES = (0.0, 0.02, 0.05, 0.1)
COLUMNS = (
    *("dataset", "images", "model", "planted", "seed", "rule", "listed", "wrong", "precision", "recall"),
    *("share_estimated", "probe_top1", "date", "versions"),
)


def spoilt(targets: Integers, share: float, classes: int, seed: int) -> Integers:
    """The targets, of which a share has another class."""
    generator = np.random.default_rng(seed)
    count = round(share * len(targets))
    wrong = generator.choice(len(targets), count, replace=False)
    told = targets.copy()
    told[wrong] = (targets[wrong] + generator.integers(1, classes, count)) % classes
    return told


def confident_learning(logits: Array, labels: Integers) -> Integers:
    """Positions that confident learning lists; see the top of this file."""
    classes = logits.shape[1]
    probabilities = np.exp(log_softmax(logits, fit_temperature(logits, labels)))
    usual = np.array([probabilities[labels == one, one].mean() for one in range(classes)])
    sure = np.where(probabilities >= usual, probabilities, -1.0)
    return np.flatnonzero((sure.max(axis=1) >= 0) & (sure.argmax(axis=1) != labels))


def out_of_fold(features: Array, labels: Integers, seen: Observed, classes: int, seed: int) -> Array:
    """The logits that the audit's probe would have, copies in one fold."""
    settings = ProbeSettings(seed=seed)
    folds = folds_of(labels, settings, list(seen.dataset.names), seen.units.tolist())
    return fit_probe(features, labels, classes, folds=folds, settings=settings).out_of_fold


def rows_of(seen: Observed, features: Array, seeds: int) -> Iterator[dict[str, object]]:
    """One row for each share, seed and rule."""
    targets, classes = seen.dataset.targets, len(seen.dataset.labels)
    for share, seed in [(one, seed) for one in SHARES for seed in range(seeds if one else 1)]:
        told = spoilt(targets, share, classes, seed)
        wrong = told != targets
        logits = out_of_fold(features, told, seen, classes, seed)
        found = suspects_of(logits, told)
        for rule, places in (
            ("signet audit", found.places),
            ("confident learning", confident_learning(logits, told)),
        ):
            hits, planted = int(wrong[places].sum()), int(wrong.sum())
            own = round(found.noise.share * (1 - 1 / classes), 4)
            yield {
                "images": len(targets),
                "planted": share,
                "seed": seed,
                "rule": rule,
                "listed": len(places),
                "wrong": hits,
                "precision": round(hits / len(places), 4) if len(places) else "",
                "recall": round(hits / planted, 4) if planted else "",
                "share_estimated": own if rule == "signet audit" else "",
                "probe_top1": round(float((logits.argmax(axis=1) == told).mean()), 4),
            }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a dataset of classes with a train split")
    parser.add_argument("--models", default="starter", help="names, joined by commas")
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    dataset = open_dataset(chosen.data).select("train")
    seen = observe(dataset)
    made = {
        "dataset": chosen.data.name,
        "date": datetime.now(UTC).date().isoformat(),
        "versions": " ".join(f"{name} {version}" for name, version in machine.versions().items()),
    }
    with OUT.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for name in chosen.models.split(","):
            with load(graph_with_features(resolve(name)), settings=settings_for(many=True)) as model:
                digests = seen.prints.digests
                features = extract(model, dataset.paths, cache=default_cache(), digests=digests).features
            for row in rows_of(seen, features, chosen.seeds):
                writer.writerow({**row, **made, "model": name})
                stream.flush()
                print(name, row, flush=True)


if __name__ == "__main__":
    main()
