"""The page of `choosing.py`, from its table alone.

python benchmarks/choosing_page.py benchmarks/results/choosing.csv
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

CASES = (
    "coco_tiny",
    "camvid_small",
    "cifar10_small, 60 a class",
    "cifar10_small",
    "cifar10_small, tight limit",
    "bccd",
)
"""All that `choosing.py` has; those without a row are named on the page."""

PAGE = """# Choosing beside probing everything

`benchmarks/choosing.py`, {date}, {processor}; two cores shared with other work, so seconds are
processor seconds. Versions: {versions}. Where there are several, cases were measured apart, and
every row of `choosing.csv` has its own. One row a case, the mean of its choices, each on
another subset of the training pictures; every choice is a row of `choosing.csv`. The choices are made by
the product's own code, on features that are kept and times that were measured once.

{table}

- *regret*: points of accuracy lost against the best candidate by a full probe (logistic, all
  training pictures) on held-out pictures. *baseline*: the same of the highest ImageNet top-1; of two
  with the same figure the first.
- *behind*: points that the pick is behind the baseline, and the standard error of that difference on
  these pictures, the largest over the choices; below 0 the pick is better.
- *tau*: weighted rank correlation of expected and true accuracies (`scipy.stats.weightedtau`);
  *tau, ImageNet*: of the published top-1, where there is none 0, and the true ones.
- *held*: 90 % intervals with the true accuracy in them, over candidates and choices. The truth is
  itself measured on few pictures; *held, wide* allows for that.
- *cost*: images times processor milliseconds of each network, as a fraction of running all over all training
  pictures. 200 images for each candidate, on average, are allowed whatever the share, until it is
  settled who wins; of a small set that is much.
- *choose*, *all*: images times processor milliseconds of one image on one thread, and probes, in seconds.

Over all choices: mean regret {regret:.2f} points, of the baseline {baseline:.2f}; {held:.1%} of the
intervals hold, {wide:.1%} with the test's own error allowed for; worse than the baseline by more
than twice the error of the difference in {worse} of {count}. {missing}

The candidates: the starter, MobileNetV2 at 224 and at 160 pixels, SqueezeNet, two MobileNetV1, and the
two MobileNetV2 of birds and insects. The starter was trained on unlabelled pictures of COCO and BCCD,
among others (its card says so): on `coco_tiny` and `bccd` it has an advantage that it would not have on
images of one's own.
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
        error = max(float(row["apart_error"]) for row in some)
        cells = (
            *(name, some[0]["images"], some[0]["classes"], some[0]["candidates"], f"{right} of {len(some)}"),
            *(f"{mean(some, key):.2f}" for key in ("regret", "baseline_regret")),
            f"{mean(some, 'apart'):.2f} (\u00b1 {error:.2f})",
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
    missing = [name for name in CASES if all(row["case"] != name for row in rows)]
    worse = sum(float(row["apart"]) > 2 * float(row["apart_error"]) for row in rows)
    first = ("case", "images", "classes", "candidates", "right pick", "regret", "baseline", "behind")
    titles = (*first, "tau", "tau, ImageNet", "held", "held, wide", "cost", "choose", "all")
    head = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    text = PAGE.format(
        table="\n".join([*head, *lines]),
        regret=mean(rows, "regret"),
        baseline=mean(rows, "baseline_regret"),
        held=held,
        wide=wide,
        worse=worse,
        missing=f"Not measured with the race as it is: {'; '.join(missing)}." if missing else "",
        count=len(rows),
        **{
            key: "; ".join(dict.fromkeys(row[key] for row in rows))
            for key in ("date", "processor", "versions")
        },
    )
    source.with_suffix(".md").write_text(text, "utf-8")


if __name__ == "__main__":
    write_page(Path(sys.argv[1]))
