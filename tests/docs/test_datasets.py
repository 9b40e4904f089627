"""The page of datasets holds every format and every rule, word for word."""

from __future__ import annotations

from pathlib import Path

from signet.datasets.boundary import MOST_JSON_BYTES
from signet.datasets.findings import RULES
from signet.datasets.recognise import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text("utf-8")


def test_every_format_is_on_the_page():
    assert [name for name in FORMATS if f"| `{name}` |" not in PAGE] == []


def test_every_rule_is_on_the_page():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert [kind for kind, rule in RULES.items() if f"| {kind} | {rule} |" not in rows] == []


def test_the_limit_is_that_of_the_code():
    assert f"JSON of at most {MOST_JSON_BYTES >> 30} GiB" in PAGE
