"""The table of rules in the page on comparing is that of the results."""

from __future__ import annotations

import csv
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "comparing.md").read_text("utf-8")
ROWS = {
    "LEEP": "LEEP",
    "H-score": "H-score",
    "LogME": "LogME",
    "ImageNet top-1": "ImageNet top-1, no look at the data",
    "prior: accuracy on the other datasets": "accuracy on the other seven datasets",
    "prior + LogME": "that and LogME, equal weights",
}


def test_the_table_of_rules_is_that_of_the_results():
    with (ROOT / "benchmarks" / "results" / "transfer-table.csv").open(encoding="utf-8") as stream:
        measured = {row["rule"]: row for row in csv.DictReader(stream)}
    for rule, words in ROWS.items():
        row = measured[rule]
        assert (
            f"| {words} | {float(row['weighted_tau']):.2f} | {100 * float(row['accuracy_lost']):.2f} |"
            in PAGE
        )
    last = measured["prior + LogME"]
    assert f"{float(last['low']):.2f} to +{float(last['high']):.2f}" in PAGE
