"""The page of the audit holds every kind of finding with its rule, word for word."""

from __future__ import annotations

from pathlib import Path

from signet.auditing import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "auditing.md").read_text("utf-8")


def test_every_kind_is_on_the_page_and_no_other():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    wanted = [
        f"| {name} | {' or '.join(kind.severity)} | {kind.rule} | {kind.fix} |"
        for name, kind in KINDS.items()
    ]
    assert rows[1:] == wanted
