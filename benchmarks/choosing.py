"""`signet choose` against a full probe of every candidate: regret, intervals and cost.

    SIGNET_MIRROR=../shared/weights python benchmarks/choosing.py --shared ../shared --seeds 10

Every candidate's features of all pictures are extracted once, and a full probe is fitted on all training
pictures and scored on test pictures that no choice sees: the truth. Then choices are made on the training
pictures, each seed with another subset, as `choose` makes them: the same race, on the features that are kept.

Cost is images times milliseconds of each network, as measured here; seconds are processor seconds of this
process, since the machine is shared. The columns are explained in `results/choosing.md`.
`--tune` runs other seeds and other splits of two of the sets, on which the constants of
`choosing/posterior.py` were set.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from signet import machine
from signet.arrays import Array, Floats, Integers
from signet.choosing.candidates import Candidate, Limits, gather
from signet.choosing.costs import milliseconds_of
from signet.choosing.evidence import Rows, final_right
from signet.choosing.race import Entrant, Raced, Track, growing_order, race
from signet.choosing.regions import regions_of
from signet.datasets import open_dataset
from signet.features import extract
from signet.features.extraction import default_cache
from signet.models import load
from signet.probing import fit_probe
from signet.storage import cache_folder
from signet.streaming import settings_for

RESULTS = Path(__file__).resolve().parent / "results"
FILES = (
    "tf2_mobilenet_v2_1.0_224_ptq",
    "mobilenet_v1_0.5_160_quant",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v2_1.0_224_inat_bird_quant",
    "mobilenet_v2_1.0_224_inat_insect_quant",
)
NAMES = ("starter", "mobilenetv2_100.coral_in1k", "squeezenet1_0.dc_in1k")
LEAST_OF_A_CLASS = 20
SHARE, LEAST = 0.1, 100
COLUMNS = (
    *("case", "images", "classes", "candidates", "seed", "pick", "best", "baseline"),
    *("regret", "regret_error", "baseline_regret", "tau", "tau_prior", "covered", "covered_with_test_error"),
    *("share", "choose_cpu_seconds", "all_cpu_seconds", "date", "processor", "versions"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Pictures with all candidates' features.

    Attributes:
        name: of it.
        features: for each candidate float32 (N, D).
        targets: int64 (N,).
        groups: int64 (N,).
        test: bool (N,), the pictures that no choice sees.
        right: bool (K, T), which test pictures each candidate's full probe gets right.
        fit_seconds: processor seconds of all full probes.
    """

    name: str
    features: tuple[Floats, ...]
    targets: Integers
    groups: Integers
    test: Array
    right: Array
    fit_seconds: float

    @property
    def truth(self) -> Array:
        """Float64 (K,)."""
        return np.asarray(self.right.mean(axis=1))


def pictures_of(path: Path) -> tuple[list[Path], Integers, Integers, Array]:
    """(files, targets, groups, which are for testing) of a dataset; objects cut out, rare labels left out."""
    dataset = open_dataset(path)
    splits = [entry.split for entry in dataset.entries]
    sources = [str(path) for path in dataset.paths]
    if dataset.task != "classify":
        regions = regions_of(dataset)
        regions.write(range(len(regions.dataset)))
        dataset, sources = regions.dataset, [str(one) for one in regions.sources]
        splits = [entry.split for entry in dataset.entries]
    counts = np.bincount(dataset.targets, minlength=len(dataset.labels))
    kept = np.flatnonzero(counts[dataset.targets] >= LEAST_OF_A_CLASS)
    targets = np.unique(dataset.targets[kept], return_inverse=True)[1].astype(np.int64)
    groups = np.unique([sources[k] for k in kept], return_inverse=True)[1].astype(np.int64)
    held_out = "test" if "test" in splits else "val"
    test = np.array([splits[k] == held_out for k in kept])
    return [dataset.entries[k].path for k in kept], targets, groups, test


def case_of(name: str, path: Path, candidates: tuple[Candidate, ...], tune: bool) -> Case:
    """Extract, and fit the full probes; what was fitted before is read again."""
    files, targets, groups, test = pictures_of(path)
    if tune:
        units = np.random.default_rng(1).permutation(groups.max() + 1)
        test = np.isin(groups, units[: round(0.4 * len(units))])
    tables, right, seconds = [], [], 0.0
    for candidate in candidates:
        with load(candidate.pretrained, precision="fp32", settings=settings_for(many=True)) as model:
            tables.append(extract(model, files, cache=default_cache()).features)
        place = cache_folder() / "benchmarks" / "choosing" / f"{name}{'-tune' if tune else ''}"
        place.mkdir(parents=True, exist_ok=True)
        kept = place / f"{candidate.pretrained.digest[:24]}.npz"
        if not kept.is_file():
            begin = time.process_time()
            rows = Rows(targets[~test], groups[~test], tuple(f"{k:06d}" for k in np.flatnonzero(~test)))
            probe = fit_probe(tables[-1][~test], rows.targets, int(targets.max()) + 1, folds=rows.deals()[0])
            answers = probe.logits(tables[-1][test]).argmax(axis=1)
            np.savez(kept, right=answers == targets[test], seconds=time.process_time() - begin)
            print(name, candidate.name, round(float((answers == targets[test]).mean()), 4), flush=True)
        with np.load(kept, allow_pickle=False) as stored:
            right.append(stored["right"])
            seconds += float(stored["seconds"])
    return Case(name, tuple(tables), targets, groups, test, np.array(right), seconds)


def few(case: Case, each: int) -> Case:
    """The same with so many training pictures of each class; the truth is fitted anew."""
    training = np.flatnonzero(~case.test)
    order = np.random.default_rng(7).permutation(training)
    kept = np.concatenate([order[case.targets[order] == one][:each] for one in np.unique(case.targets)])
    places = np.sort(np.concatenate([kept, np.flatnonzero(case.test)]))
    test = case.test[places]
    begin, right = time.process_time(), []
    tables = tuple(table[places] for table in case.features)
    targets = case.targets[places]
    for table in tables:
        probe = fit_probe(table[~test], targets[~test], int(targets.max()) + 1)
        right.append(probe.logits(table[test]).argmax(axis=1) == targets[test])
    seconds = time.process_time() - begin
    return Case(
        f"{case.name}, {each} a class", tables, targets, case.groups[places], test, np.array(right), seconds
    )


def within(case: Case, kept: list[int], name: str) -> Case:
    """The same with some of the candidates."""
    tables = tuple(case.features[k] for k in kept)
    return Case(name, tables, case.targets, case.groups, case.test, case.right[kept], case.fit_seconds)


def raced(case: Case, entrants: list[Entrant], seed: int) -> tuple[Raced, float]:
    """One choice on the training pictures, and its processor seconds."""
    training = np.flatnonzero(~case.test)
    order = training[growing_order(case.targets[training], seed)]
    names = tuple(f"{place:06d}" for place in order.tolist())
    rows = Rows(case.targets[order], case.groups[order], names, seed)
    each, images = sum(entrant.milliseconds for entrant in entrants), len(order)
    allowed = max(SHARE * each * images, 2 * min(LEAST, images) * each)
    first = max(min(LEAST, images), min(images, int(allowed / 3 / each)))
    track = Track(images=images, first=first, allowed=allowed, seed=seed)
    begin = time.process_time()
    found = race(entrants, rows, lambda k, count: case.features[k][order[:count]], final_right, track)
    return found, time.process_time() - begin


def row_of(case: Case, entrants: list[Entrant], names: list[str], seed: int) -> dict[str, Any]:
    """One line of the table."""
    from scipy.stats import weightedtau

    found, seconds = raced(case, entrants, seed)
    truth, expected, (low, high) = case.truth, found.beliefs.expected, found.beliefs.interval()
    pick, best = found.pick(), int(truth.argmax())
    tops = np.array([entrant.prior.top1 or 0.0 for entrant in entrants])
    base = int(tops.argmax())
    error = np.sqrt(truth * (1 - truth) / case.right.shape[1])
    wide = (
        truth >= expected - np.hypot(expected - low, 1.645 * error),
        truth <= expected + np.hypot(high - expected, 1.645 * error),
    )
    apart = case.right[best].astype(float) - case.right[pick]
    images, each = int((~case.test).sum()), sum(entrant.milliseconds for entrant in entrants)
    return {
        "case": case.name,
        "images": images,
        "classes": int(case.targets.max()) + 1,
        "candidates": len(entrants),
        "seed": seed,
        "pick": names[pick],
        "best": names[best],
        "baseline": names[base],
        "regret": round(100 * float(truth[best] - truth[pick]), 3),
        "regret_error": round(100 * float(apart.std() / np.sqrt(len(apart))), 3),
        "baseline_regret": round(100 * float(truth[best] - truth[base]), 3),
        "tau": round(float(weightedtau(truth, expected).statistic), 3),
        "tau_prior": round(float(weightedtau(truth, tops).statistic), 3),
        "covered": round(float(((truth >= low) & (truth <= high)).mean()), 4),
        "covered_with_test_error": round(float((wide[0] & wide[1]).mean()), 4),
        "share": round(found.spent / (each * images), 4),
        "choose_cpu_seconds": round(seconds + found.spent / 1000, 1),
        "all_cpu_seconds": round(case.fit_seconds + each * images / 1000, 1),
    }


def cases(shared: Path, candidates: tuple[Candidate, ...], tune: bool) -> Iterator[tuple[Case, list[int]]]:
    """Each case with the positions of its candidates."""
    everybody = list(range(len(candidates)))
    for name in (*(() if tune else ("cifar10_small", "bccd")), "coco_tiny", "camvid_small"):
        case = case_of(name, shared / "data" / name, candidates, tune)
        yield case, everybody
        if name == "cifar10_small":
            yield few(case, 60), everybody
            sizes = [candidate.pretrained.card.input_size or (0, 0) for candidate in candidates]
            small = [k for k in everybody if sizes[k][0] <= 160]  # the fast ones: a tight limit leaves these
            yield within(case, small, f"{name}, tight limit"), small


PAGE = """# Choosing beside probing everything

`benchmarks/choosing.py`, {date}, {processor}; two cores shared with other work, so seconds are
processor seconds. Versions: {versions}. One row a case, the mean of {seeds} choices, each on
another subset of the training pictures; every choice is a row of `choosing.csv`.

{table}

- *regret*: points of accuracy lost against the best candidate by a full probe (logistic, all
  training pictures) on held-out pictures; after it the standard error of that difference on these
  pictures, the largest over the choices. *baseline*: the highest ImageNet top-1; of two weights
  with the same figure the first.
- *tau*: weighted rank correlation of expected and true accuracies (`scipy.stats.weightedtau`);
  *tau, ImageNet*: of the published top-1, where there is none 0, and the true ones.
- *held*: 90 % intervals with the true accuracy in them, over candidates and choices. The truth is
  itself measured on few pictures; *held, wide* allows for that.
- *cost*: images times milliseconds of each network, as a fraction of running all over all training
  pictures. At least 100 images for each candidate, and as much again for the best, are always
  allowed, which is more than a tenth on small sets.
- *choose*, *all*: network time (images times milliseconds of one image on one thread) and probes,
  in seconds.

Over all choices: mean regret {regret:.2f} points, of the baseline {baseline:.2f}; {held:.1%} of the
intervals hold, {wide:.1%} with the test's own error allowed for; worse than the baseline by more
than twice the error of the difference in {worse} of {count}.

The starter was trained on unlabelled pictures of COCO and BCCD, among others (its card says so): as a
candidate on `coco_tiny` and `bccd` it has an advantage that it would not have on images of one's own.

What was set on what: the constants of `choosing/posterior.py` on other splits and seeds of
`coco_tiny` and `camvid_small`. That growth is read from those that saw the most, and that the pick
is one of them, was decided after choices on `cifar10_small` with seeds 0 to 3 had shown that it was
needed; how few mistakes widen an interval, after one on `bccd` with seed 100. The seeds here were
used for nothing else.
"""


def write_page(source: Path) -> None:
    """The page of a table, from its rows alone."""
    with source.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))

    def mean(some: list[dict[str, str]], key: str) -> float:
        return float(np.mean([float(row[key]) for row in some]))

    lines = []
    for name in dict.fromkeys(row["case"] for row in rows):
        some = [row for row in rows if row["case"] == name]
        right = sum(row["pick"] == row["best"] for row in some)
        error = max(float(row["regret_error"]) for row in some)
        cells = (
            *(name, some[0]["images"], some[0]["classes"], some[0]["candidates"], f"{right} of {len(some)}"),
            f"{mean(some, 'regret'):.2f} (\u00b1 {error:.2f})",
            f"{mean(some, 'baseline_regret'):.2f}",
            *(f"{mean(some, key):.2f}" for key in ("tau", "tau_prior")),
            *(f"{mean(some, key):.1%}" for key in ("covered", "covered_with_test_error", "share")),
            *(f"{mean(some, key):.0f}" for key in ("choose_cpu_seconds", "all_cpu_seconds")),
        )
        lines.append(f"| {' | '.join(cells)} |")
    weights = [int(row["candidates"]) for row in rows]
    held, wide = (
        float(np.average([float(row[key]) for row in rows], weights=weights))
        for key in ("covered", "covered_with_test_error")
    )
    worse = sum(
        float(row["regret"]) - float(row["baseline_regret"]) > 2 * float(row["regret_error"]) for row in rows
    )
    titles = ("case", "images", "classes", "candidates", "right pick", "regret", "baseline", "tau")
    titles = (*titles, "tau, ImageNet", "held", "held, wide", "cost", "choose", "all")
    head = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    text = PAGE.format(
        table="\n".join([*head, *lines]),
        seeds=len({row["seed"] for row in rows}),
        regret=mean(rows, "regret"),
        baseline=mean(rows, "baseline_regret"),
        held=held,
        wide=wide,
        worse=worse,
        count=len(rows),
        **{key: rows[0][key] for key in ("date", "processor", "versions")},
    )
    source.with_suffix(".md").write_text(text, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="the folder with data/ and weights/")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tune", action="store_true", help="other splits and seeds, and no file is written")
    chosen = parser.parse_args()
    names = [*NAMES, *(str(chosen.shared / "weights" / "files" / f"{name}.tflite") for name in FILES)]
    candidates = gather(names, Limits(), offline=True).candidates
    sample = sorted((chosen.shared / "data" / "imagenet_sample_250").glob("*.JPEG"))[:5]
    costs = [milliseconds_of(candidate.pretrained, sample, 10, threads=1) for candidate in candidates]
    entrants = [Entrant.timed(c.stated.prior, cost) for c, cost in zip(candidates, costs, strict=True)]
    short = [Path(candidate.name).stem for candidate in candidates]
    made = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": machine.processor(),
        "versions": " ".join(f"{name} {version}" for name, version in machine.versions().items()),
    }
    first = 1000 if chosen.tune else 200
    place = cache_folder() / "tuning.csv" if chosen.tune else RESULTS / "choosing.csv"
    with place.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for case, kept in cases(chosen.shared, candidates, chosen.tune):
            for seed in range(first, first + chosen.seeds):
                row = row_of(case, [entrants[k] for k in kept], [short[k] for k in kept], seed)
                writer.writerow(row | made)
                stream.flush()
                print({key: row[key] for key in COLUMNS[4:-3]}, flush=True)
    write_page(place)


if __name__ == "__main__":
    main()
