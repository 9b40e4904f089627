"""The page on cards of detectors and segmenters names each field of each head, and its example is a card."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from signet.answers import head_of
from signet.cards import Card
from signet.heads import HEADS, Suppression

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "graph-cards.md").read_text("utf-8")
WORDS = {"box", "score"}
"""Fields of YOLOX that say in words what it is anyway."""


def test_every_field_is_named() -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    fields = {field for row in HEADS.values() for field in row.fields} - WORDS
    assert fields <= named
    assert {field.name for field in dataclasses.fields(Suppression)} <= named


def test_every_head_is_in_the_table() -> None:
    table = (ROOT / "docs" / "decisions" / "0023-three-more-tasks.md").read_text("utf-8")
    for name, row in HEADS.items():
        for task in row.tasks:
            assert f"| {task} | `{name}` |" in table


def test_the_example_is_a_card() -> None:
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    card = Card.from_dict(json.loads(text))
    assert head_of(card).name == "yolov8"
