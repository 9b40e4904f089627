"""The page of the audit holds every kind of finding with its rule, word for word."""

from __future__ import annotations

import csv
from pathlib import Path

from signet.auditing import KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "auditing.md").read_text("utf-8")


def test_every_kind_is_on_the_page_and_no_other():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    wanted = [
        f"| {name} | {' or '.join(kind.severity)} | {kind.rule} | {kind.fix} |"
        for name, kind in KINDS.items()
    ]
    first = rows.index("| kind | severity | rule | what to do |") + 1
    assert rows[first : first + len(wanted)] == wanted
    assert rows[first + len(wanted)].startswith("| planted |")


def test_the_table_of_planted_labels_is_that_of_the_results():
    with (ROOT / "benchmarks" / "results" / "auditing.csv").open(encoding="utf-8") as stream:
        measured = list(csv.DictReader(stream))
    for share in ("0.02", "0.05", "0.1"):
        figures = []
        for rule in ("signet audit", "confident learning"):
            rows = [row for row in measured if (row["planted"], row["rule"]) == (share, rule)]
            listed, *others = (
                sum(float(row[key]) for row in rows) / len(rows) for key in ("listed", "precision", "recall")
            )
            figures.append((f"{listed:.0f}", *(f"{figure:.2f}" for figure in others)))
        assert f"| {100 * float(share):.0f} % | {' | '.join(figures[0])} | " in PAGE
        assert f" | {', '.join(figures[1])} |" in PAGE
