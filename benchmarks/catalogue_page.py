"""`docs/catalogue.md` and its picture, from the newest results of `benchmarks/catalogue.py`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from signet.catalogue.facts import top1_of
from signet.catalogue.families import family_of

PICTURE = "catalogue.png"
COLUMNS = (("torch", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))
WIDTH, HEIGHT = 9.0, 6.0
"""Of the picture, in inches."""


def write(results: Path, docs: Path) -> Iterator[Path]:
    """Write the page, and the picture where times were measured; yields what was written."""
    counts, date = newest(results, "counts")
    speeds, measured = newest(results, "speed")
    times = {(row["name"], row["engine"], row["precision"]): row for row in speeds if not row["problem"]}
    if times and find_spec("matplotlib") is not None:
        yield draw(counts, times, docs / PICTURE)
    page = docs / "catalogue.md"
    text = "\n".join(lines((counts, date), (speeds, measured), docs))
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
    counted: tuple[list[dict[str, str]], str], timed: tuple[list[dict[str, str]], str], docs: Path
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
        if (docs / PICTURE).is_file():
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
    """Top-1 against milliseconds on OpenVINO fp32; the area of a dot grows with its parameters.

    Better networks are named first; a name that would lie over another is left to the table.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dots = []
    for row in counts:
        found, top1 = times.get((row["name"], "openvino", "fp32")), accuracy(row)
        if found is not None and top1 is not None:
            words = row["name"].partition("/")[2].partition(".")[0]
            dots.append((100 * top1, float(found["milliseconds"]), int(row["parameters"]) / 1e6, words))
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter(
        [dot[1] for dot in dots], [dot[0] for dot in dots], s=[4 + dot[2] for dot in dots], alpha=0.5
    )
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds for one image, OpenVINO fp32, network only")
    axes.set_ylabel("published top-1 on ImageNet-1k, %")
    axes.grid(visible=True, which="both", alpha=0.2)
    canvas.draw()
    taken: list[Any] = []
    for top1, milliseconds, _, words in sorted(dots, reverse=True):
        label = axes.annotate(
            words, (milliseconds, top1), xytext=(4, 3), textcoords="offset points", fontsize=7
        )
        box = label.get_window_extent(canvas.get_renderer())
        if any(box.overlaps(other) for other in taken):
            label.remove()
        else:
            taken.append(box)
    figure.savefig(file, dpi=130, metadata={"Software": None})
    return file
