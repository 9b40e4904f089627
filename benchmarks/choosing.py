"""`signet choose` against a full probe of every candidate: regret, intervals and cost.

    SIGNET_MIRROR=../shared/weights python benchmarks/choosing.py --shared ../shared --seeds 10

Every candidate's features of all pictures are extracted once, and a full probe is fitted on all training
pictures and scored on test pictures that no choice sees: the truth. Then choices are made on the training
pictures, each seed with another subset, by the product's own code: only its source of times and features is
replaced, by times that were measured once and features that are kept (`choosing.sources`).

Cost is images times processor milliseconds of each network, as measured here; seconds are processor seconds
too, since the machine is shared. The columns are explained in `results/choosing.md`. `--case` takes some
of the cases, whose rows replace those of the same name; `--tune` runs other seeds on other splits of the
training pictures alone, and writes nothing into the repository; `--small` another number of images that are
always allowed.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from choosing_page import write_page
from signet import linear_fits, machine, probing
from signet.arrays import Array, Floats, Integers
from signet.choices import Choice
from signet.choosing.candidates import Candidate, Gathered, Limits, gather
from signet.choosing.choosing import decide
from signet.choosing.evidence import Rows
from signet.choosing.regions import regions_of
from signet.choosing.running import Run
from signet.choosing.settings import ChooseSettings
from signet.choosing.sources import Take, Taken
from signet.choosing.subjects import subject_of
from signet.datasets import Dataset, open_dataset
from signet.features import extract
from signet.features.extraction import default_cache
from signet.models import Model, load
from signet.probing import fit_probe
from signet.progress import OnProgress, silent
from signet.storage import cache_folder
from signet.streaming import settings_for

RESULTS = Path(__file__).resolve().parent / "results"
FILES = (
    "mobilenet_v1_0.5_160_quant",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v2_1.0_224_inat_bird_quant",
    "mobilenet_v2_1.0_224_inat_insect_quant",
)
LARGE = "mobilenetv2_100.coral_in1k"
NAMES = ("starter", LARGE, "squeezenet1_0.dc_in1k")
SMALLER = 160
"""Input size of a second copy of `LARGE`: the same network counts once unless its input size differs, so its
quantised twin is not a candidate."""

LEAST_OF_A_CLASS = 20
EVERYBODY = Limits()
COLUMNS = (
    *("case", "images", "classes", "candidates", "seed", "pick", "best", "baseline"),
    *("regret", "baseline_regret", "apart", "apart_error", "tau", "tau_prior"),
    *("covered", "covered_with_test_error", "share", "choose_cpu_seconds", "all_cpu_seconds"),
    *("date", "processor", "versions"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Pictures with all candidates' features.

    Attributes:
        name: of it.
        dataset: of one label a picture; those of the training are chosen on.
        features: for each candidate float32 (N, D).
        targets: int64 (N,).
        groups: int64 (N,).
        test: bool (N,), the pictures that no choice sees.
        right: bool (K, T), which test pictures each candidate's full probe gets right.
        fit_seconds: processor seconds of all full probes.
        limits: that a choice is given.
    """

    name: str
    dataset: Dataset[Any]
    features: tuple[Floats, ...]
    targets: Integers
    groups: Integers
    test: Array
    right: Array
    fit_seconds: float
    limits: Limits = EVERYBODY

    @property
    def truth(self) -> Array:
        """Float64 (K,)."""
        return np.asarray(self.right.mean(axis=1))


@dataclass(frozen=True, slots=True)
class Kept:
    """A source of times and features that were measured before.

    Attributes:
        times: milliseconds by the name of the candidate.
        tables: its features of every picture.
        places: row of each file.
    """

    times: Mapping[str, float]
    tables: Mapping[str, Floats]
    places: Mapping[Path, int]

    def milliseconds(self, candidate: Candidate, paths: Sequence[Path], classes: int) -> float:  # noqa: ARG002
        """As measured once."""
        return self.times[candidate.name]

    @contextmanager
    def opened(self, candidate: Candidate, on_progress: OnProgress) -> Iterator[Take]:  # noqa: ARG002
        """Rows in place of runs."""
        table = self.tables[candidate.name]
        yield lambda paths: Taken(table[[self.places[path] for path in paths]])


def pictures_of(path: Path) -> tuple[Dataset[Any], Integers, Integers, Array]:
    """(pictures, targets, groups, which are for testing); objects cut out, rare labels left out."""
    dataset = open_dataset(path)
    sources = [str(one) for one in dataset.paths]
    if dataset.task != "classify":
        regions = regions_of(dataset)
        regions.write(range(len(regions.dataset)))
        dataset, sources = regions.dataset, [str(one) for one in regions.sources]
    counts = np.bincount(dataset.targets, minlength=len(dataset.labels))
    kept = np.flatnonzero(counts[dataset.targets] >= LEAST_OF_A_CLASS)
    targets = np.unique(dataset.targets[kept], return_inverse=True)[1].astype(np.int64)
    groups = np.unique([sources[k] for k in kept], return_inverse=True)[1].astype(np.int64)
    splits = [dataset.entries[k].split for k in kept]
    held_out = "test" if "test" in splits else "val"
    return dataset.subset(kept.tolist()), targets, groups, np.array([split == held_out for split in splits])


def full_probe(features: Floats, targets: Integers, groups: Integers, test: Array) -> tuple[Array, float]:
    """(which test pictures the full probe gets right, processor seconds); kept by all that it depends on."""
    digest = hashlib.sha256()
    for module in (probing, linear_fits):
        digest.update(Path(str(module.__file__)).read_bytes())
    for one in (features, targets, groups, test):
        digest.update(np.ascontiguousarray(one).tobytes())
    place = cache_folder() / "benchmarks" / "choosing" / f"{digest.hexdigest()[:24]}.npz"
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        begin = time.process_time()
        names = tuple(f"{k:06d}" for k in np.flatnonzero(~test))
        rows = Rows(targets[~test], groups[~test], names)
        probe = fit_probe(features[~test], rows.targets, int(targets.max()) + 1, folds=rows.deals()[0])
        right = probe.logits(features[test]).argmax(axis=1) == targets[test]
        np.savez(place, right=right, seconds=time.process_time() - begin)
    with np.load(place, allow_pickle=False) as stored:
        return stored["right"], float(stored["seconds"])


def probed(case: Case) -> Case:
    """With the truth."""
    found = [full_probe(table, case.targets, case.groups, case.test) for table in case.features]
    right, seconds = np.array([one for one, _ in found]), sum(one for _, one in found)
    print(case.name, [round(100 * float(one.mean()), 1) for one in right], flush=True)
    return replace(case, right=right, fit_seconds=seconds)


def case_of(name: str, path: Path, candidates: Sequence[Candidate], tune: bool) -> Case:
    """Extract; what was extracted before is read again."""
    dataset, targets, groups, test = pictures_of(path)
    tables = []
    for candidate in candidates:
        opened: Model[Any] = load(candidate.pretrained, precision="fp32", settings=settings_for(many=True))
        with opened as model:
            tables.append(extract(model, list(dataset.paths), cache=default_cache()).features)
    case = Case(name, dataset, tuple(tables), targets, groups, test, np.zeros((0, 0)), 0.0)
    if not tune:
        return case
    case = part(case, np.flatnonzero(~test), name)
    units = np.random.default_rng(1).permutation(case.groups.max() + 1)
    return replace(case, test=np.isin(case.groups, units[: round(0.4 * len(units))]))


def part(case: Case, places: Integers, name: str) -> Case:
    """Some of the pictures; the truth is another one."""
    tables = tuple(table[places] for table in case.features)
    return replace(
        case,
        name=name,
        dataset=case.dataset.subset(places.tolist()),
        features=tables,
        targets=np.unique(case.targets[places], return_inverse=True)[1].astype(np.int64),
        groups=case.groups[places],
        test=case.test[places],
    )


def few(case: Case, each: int) -> Case:
    """The same with so many training pictures of each class."""
    training = np.flatnonzero(~case.test)
    order = np.random.default_rng(7).permutation(training)
    kept = np.concatenate([order[case.targets[order] == one][:each] for one in np.unique(case.targets)])
    places = np.sort(np.concatenate([kept, np.flatnonzero(case.test)]))
    return part(case, places, f"{case.name}, {each} a class")


def chosen(
    case: Case, candidates: Sequence[Candidate], times: Mapping[str, float], settings: ChooseSettings
) -> tuple[Choice, float]:
    """One choice on the training pictures, as `signet choose` makes it, and its processor seconds."""
    begin, clock = time.process_time(), time.monotonic()
    training = case.dataset.subset(np.flatnonzero(~case.test).tolist())
    subject = subject_of(training, seed=settings.seed, inspect=False, threads=1)
    names = [candidate.name for candidate in candidates]
    places = {path: place for place, path in enumerate(case.dataset.paths)}
    source = Kept(times, dict(zip(names, case.features, strict=True)), places)
    run = Run(subject, settings, case.limits, source, clock, silent)
    found = decide(training, run, Gathered(tuple(candidates), ()))
    return found, time.process_time() - begin


def row_of(
    case: Case, candidates: Sequence[Candidate], times: Mapping[str, float], settings: ChooseSettings
) -> dict[str, Any]:
    """One line of the table."""
    from scipy.stats import weightedtau

    found, seconds = chosen(case, candidates, times, settings)
    rows = list(found.ranking)
    place = {candidate.name: k for k, candidate in enumerate(candidates)}
    right = case.right[[place[row.name] for row in rows]].astype(float)
    truth = right.mean(axis=1)
    names = [row.name for row in rows]
    pick, base = names.index(found.pick), names.index(found.baseline)
    expected, low, high = (
        np.array([getattr(row, key) for row in rows]) for key in ("expected", "low", "high")
    )
    error = 1.645 * np.sqrt(truth * (1 - truth) / right.shape[1])
    held = (truth >= low) & (truth <= high)
    wide = np.abs(truth - expected) <= np.hypot(
        np.where(truth < expected, expected - low, high - expected), error
    )
    apart = right[base] - right[pick]
    each = sum(times[name] for name in names)
    return {
        "case": case.name,
        "images": found.images,
        "classes": found.classes,
        "candidates": len(rows),
        "seed": settings.seed,
        "pick": short(found.pick),
        "best": short(names[int(truth.argmax())]),
        "baseline": short(found.baseline),
        "regret": round(100 * float(truth.max() - truth[pick]), 3),
        "baseline_regret": round(100 * float(truth.max() - truth[base]), 3),
        "apart": round(100 * float(apart.mean()), 3),
        "apart_error": round(100 * float(apart.std() / np.sqrt(len(apart))), 3),
        "tau": round(float(weightedtau(truth, expected).statistic), 3),
        "tau_prior": round(float(weightedtau(truth, [row.top1 or 0.0 for row in rows]).statistic), 3),
        "covered": round(float(held.mean()), 4),
        "covered_with_test_error": round(float(wide.mean()), 4),
        "share": round(found.spent, 4),
        "choose_cpu_seconds": round(seconds + found.spent * found.images * each / 1000, 1),
        "all_cpu_seconds": round(case.fit_seconds + found.images * each / 1000, 1),
    }


def short(name: str) -> str:
    """A candidate's name without its folder and endings."""
    return Path(name).name.removesuffix(".tflite")


def cases(
    data: Path, candidates: Sequence[Candidate], times: Mapping[str, float], only: Sequence[str], tune: bool
) -> Iterator[Case]:
    """Each case that is asked for, with its truth."""
    for name in ("coco_tiny", "camvid_small", "cifar10_small", "bccd"):
        if only and not any(one.startswith(name) for one in only):
            continue
        case = case_of(name, data / name, candidates, tune)
        found = [case]
        if name == "cifar10_small" and not tune:
            third = sorted(times.values())[2]
            tight = Limits(max_milliseconds=1.001 * third)  # three candidates keep it
            found = [few(case, 60), case, replace(case, name=f"{name}, tight limit", limits=tight)]
        yield from (probed(one) for one in found if not only or one.name in only)


def processor_milliseconds(candidate: Candidate, sample: Sequence[Path]) -> float:
    """The least processor time of one image of a few: read, prepare and network, on one thread.

    `costs.milliseconds_of` goes by the clock on the wall, which other work on the machine would spoil here.
    """
    settings = settings_for(many=False, threads=1)
    opened: Model[Any] = load(candidate.pretrained, precision="fp32", settings=settings)
    times = []
    with opened as model:
        for path in [sample[0], *sample]:
            begin = time.process_time()
            model.run(model.prepare([model.read(path)]))
            times.append(1000 * (time.process_time() - begin))
    return min(times[1:])


def smaller_copy(source: Path) -> Path:
    """A folder of the same weights with another input size, written into the cache."""
    place = cache_folder() / "benchmarks" / f"{source.name}_{SMALLER}"
    place.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text("utf-8"))
    config["pretrained_cfg"]["input_size"] = [3, SMALLER, SMALLER]
    (place / "config.json").write_text(json.dumps(config), "utf-8")
    if not (place / "model.safetensors").is_file():
        shutil.copyfile(source / "model.safetensors", place / "model.safetensors")
    return place


def contestants(shared: Path) -> tuple[tuple[Candidate, ...], dict[str, float]]:
    """The eight candidates, and processor milliseconds of each by its name."""
    weights = shared / "weights"
    given = [*NAMES, *(str(weights / "files" / f"{name}.tflite") for name in FILES)]
    given.insert(2, str(smaller_copy(weights / LARGE)))
    candidates = gather(given, Limits(), offline=True).candidates
    sample = sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))[:8]
    return candidates, {one.name: processor_milliseconds(one, sample) for one in candidates}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="the folder with data/ and weights/")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=300, help="the first seed")
    parser.add_argument("--case", action="append", default=[], help="only this one")
    parser.add_argument("--small", type=int, default=ChooseSettings().small, help="images always allowed")
    parser.add_argument("--out", type=Path, default=RESULTS / "choosing.csv")
    parser.add_argument("--tune", action="store_true", help="splits of the training pictures alone")
    asked = parser.parse_args()
    candidates, times = contestants(asked.shared)
    print({short(name): round(value, 1) for name, value in times.items()}, flush=True)
    made = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": machine.processor(),
        "versions": " ".join(f"{name} {version}" for name, version in machine.versions().items()),
    }
    place = cache_folder() / "tuning.csv" if asked.tune else asked.out
    known = []
    if asked.case and place.is_file():
        with place.open(encoding="utf-8") as stream:
            known = [row for row in csv.DictReader(stream) if row["case"] not in asked.case]
    part = place.with_suffix(".part")  # what was measured before stays whole until all is measured
    with part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(known)
        for case in cases(asked.shared / "data", candidates, times, asked.case, asked.tune):
            first = 1000 if asked.tune else asked.first
            for seed in range(first, first + asked.seeds):
                settings = ChooseSettings(seed=seed, small=asked.small, inspect=False, threads=1)
                row = row_of(case, candidates, times, settings)
                writer.writerow(row | made)
                stream.flush()
                print({key: row[key] for key in COLUMNS[4:-3]}, flush=True)
    part.replace(place)
    write_page(place)


if __name__ == "__main__":
    main()
