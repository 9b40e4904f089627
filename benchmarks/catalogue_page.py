"""`docs/catalogue.md` and its picture, from the newest results of `benchmarks/catalogue.py`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from signet import charts
from signet.catalogue.facts import claims_of, top1_of
from signet.catalogue.families import family_of

PICTURE = "catalogue.png"
COLUMNS = (("torch", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))


def write(results: Path, docs: Path) -> Iterator[Path]:
    """Write the page, and the picture where times were measured; yields what was written."""
    counts, date = newest(results, "counts")
    speeds, measured = newest(results, "speed")
    times = {(row["name"], row["engine"], row["precision"]): row for row in speeds if not row["problem"]}
    if times:
        yield draw(counts, times, docs / PICTURE)
    page = docs / "catalogue.md"
    text = "\n".join(lines((counts, date), (speeds, measured)))
    page.write_text(f"{text}\n", encoding="utf-8")
    yield page


def newest(results: Path, kind: str) -> tuple[list[dict[str, str]], str]:
    """(rows, date) of the newest file of a kind; the last row of each key counts."""
    files = sorted(results.glob(f"catalogue-{kind}-*.csv"))
    if not files:
        return [], ""
    with files[-1].open(newline="", encoding="utf-8") as opened:
        rows = {
            (row["name"], row.get("engine", ""), row.get("precision", "")): row
            for row in csv.DictReader(opened)
        }
    return list(rows.values()), files[-1].stem.removeprefix(f"catalogue-{kind}-")


def accuracy(row: Mapping[str, str]) -> float | None:
    """The published top-1 on ImageNet-1k, a fraction, of the weights that a row's name means."""
    return top1_of(row["name"], (int(row["height"]), int(row["width"])))


def lines(
    counted: tuple[list[dict[str, str]], str], timed: tuple[list[dict[str, str]], str]
) -> Iterator[str]:
    """The page, line by line, from (rows, date) of counts and of times."""
    (counts, date), (speeds, measured) = counted, timed
    yield "# Architectures side by side"
    yield ""
    yield (
        "Written by `python benchmarks/catalogue.py`, whose head says how each figure is counted; not by "
        "hand. Times are of random weights, accuracies those that were published of the weights named "
        "(`signet show NAME` has their sources). Of a CLIP or CoCa it is the image tower."
    )
    yield ""
    yield f"Counts: {date or 'none yet'}."
    if measured:
        processor = speeds[0]["processor"]
        threads = sorted({row["threads"] for row in speeds if row["threads"]})
        yield (
            f"Times: {measured}, {processor}, {' or '.join(threads)} threads, one image at a time, "
            "network only, median; memory is that of the whole process."
        )
        yield ""
        yield f"![Accuracy against milliseconds]({PICTURE})"
    else:
        yield (
            "Times are not measured yet: they need a machine that does nothing else. "
            "`python benchmarks/catalogue.py` measures them in about an hour on two cores."
        )
    yield ""
    yield (
        "| model | family | input | top-1 % | parameters | GMACs | file, MB | torch, ms | OpenVINO, ms | "
        "OpenVINO bf16, ms | memory torch, MB | memory OpenVINO, MB |"
    )
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    times = {(row["name"], row["engine"], row["precision"]): row for row in speeds}
    for row in sorted(counts, key=lambda row: (_family(row["name"]), int(row["parameters"]))):
        top1 = accuracy(row)
        cells = [
            f"`{row['name']}`",
            _family(row["name"]),
            row["height"] if row["height"] == row["width"] else f"{row['height']}x{row['width']}",
            "not published" if top1 is None else f"{100 * top1:.1f}",
            f"{int(row['parameters']):,}",
            f"{float(row['gmacs']):.3g}",
            f"{int(row['file_bytes']) / 1e6:,.1f}",
            *(_cell(times.get((row["name"], *column)), "milliseconds", 1.0) for column in COLUMNS),
            *(_cell(times.get((row["name"], *column)), "peak_bytes", 1e6) for column in COLUMNS[:2]),
        ]
        yield f"| {' | '.join(cells)} |"


def _cell(row: Mapping[str, str] | None, column: str, unit: float) -> str:
    if row is None:
        return "not measured"
    if row["problem"]:
        return row["problem"].replace("|", "/")
    value = float(row[column]) / unit
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _family(name: str) -> str:
    library, _, rest = name.partition("/")
    return str(family_of(rest.partition(".")[0], library).name) or "other"


def draw(counts: list[dict[str, str]], times: Mapping[tuple[str, str, str], Any], file: Path) -> Path:
    """Top-1 against milliseconds on OpenVINO fp32."""
    points, sources = [], set()
    for row in counts:
        found, top1 = times.get((row["name"], "openvino", "fp32")), accuracy(row)
        if found is None or top1 is None:
            continue
        words = row["name"].partition("/")[2].partition(".")[0]
        points.append(charts.Point(words, _family(row["name"]), float(found["milliseconds"]), top1))
        claims = claims_of(row["name"], (int(row["height"]), int(row["width"])))
        sources |= {claim.source.partition(";")[0] for claim in claims if claim.value == top1}
    processor = next(iter(times.values()))["processor"]
    listed = "; ".join([f"milliseconds: OpenVINO fp32, network only, {processor}", *sorted(sources)])
    charts.accuracy_against_time(points, listed).save(file, "PNG", optimize=True)
    return file
