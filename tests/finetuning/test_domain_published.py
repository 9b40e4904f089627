"""The page of measured adaptations holds the figures of its table, and their means."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
METHODS = ("adabn", "coral", "tent", "auto")
CLEAN = "none"

PAGE = (RESULTS / "domain-2026-11-21.md").read_text("utf-8")
with (RESULTS / "domain-2026-11-21.csv").open(encoding="utf-8") as stream:
    ROWS = list(csv.DictReader(stream))


def of(model: str) -> dict[str, dict[str, dict[str, str]]]:
    """Kind of images to method to row."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in ROWS:
        if row["model"] == model:
            found.setdefault(row["images"], {})[row["method"]] = row
    return found


def points(row: dict[str, str], key: str) -> float:
    return 100 * float(row[f"difference_{key}"])


MODELS = sorted({row["model"] for row in ROWS})


@pytest.mark.parametrize("model", MODELS)
def test_each_line_of_the_page_is_in_the_table(model):
    for kind, methods in of(model).items():
        auto = methods["auto"]
        cells = [
            f"{points(row, 'value'):+.1f} ({points(row, 'low'):+.1f} to {points(row, 'high'):+.1f})"
            if (row := methods.get(method))
            else "-"
            for method in METHODS
        ]
        area, right = float(auto["told_apart_value"]), 100 * float(auto["right_not_adapted"])
        line = f"| {kind} | {area:.2f} | {right:.1f} % | "
        assert f"{line}{' | '.join(cells)} | {auto['took']} |" in PAGE


@pytest.mark.parametrize("model", MODELS)
def test_the_means_are_those_of_the_lines_and_no_choice_did_harm_beyond_its_interval(model):
    shifted = [methods for kind, methods in of(model).items() if kind != CLEAN]
    means = []
    for method in METHODS:
        gains = [points(one[method], "value") for one in shifted if method in one]
        means.append(f"{sum(gains) / len(gains):+.1f}" if len(gains) == len(shifted) else "-")
    base = sum(100 * float(one["auto"]["right_not_adapted"]) for one in shifted) / len(shifted)
    assert f"| | {base:.1f} % | {' | '.join(means)} | |" in PAGE
    assert all(points(one["auto"], "high") >= 0 for one in of(model).values())
