"""Tables of one line a row, at any width."""

from __future__ import annotations

import pytest

from signet.cli.columns import Column, cells_of, draw, shortened

COLUMNS = (
    Column("name"),
    Column("top-1", right=True),
    Column("params", right=True, spare=2),
    Column("by", spare=1),
)
ROWS = [
    ("timm/resnet50.a1_in1k", "81.2 %", "25.6 M", "timm"),
    ("timm/vit_large_patch14_clip_quickgelu_336.openai", "", "304.5 M", "OpenAI"),
]


@pytest.mark.parametrize("width", [24, 40, 60, 80, 200])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    drawn = draw(COLUMNS, ROWS, width)
    assert len(drawn.lines) == len(ROWS) + 1
    assert all(cells_of(line) <= width for line in drawn.lines)
    assert "81.2 %" in drawn.lines[1]


def test_a_wide_one_has_everything() -> None:
    drawn = draw(COLUMNS, ROWS, 200)
    assert (drawn.lacking, drawn.shortened) == ((), 0)
    assert drawn.lines[0].split() == ["name", "top-1", "params", "by"]
    assert drawn.lines[2].endswith("304.5 M  OpenAI")


def test_the_spare_go_first_and_are_told() -> None:
    drawn = draw(COLUMNS, ROWS, 60)
    assert drawn.lacking == ("by",)
    assert draw(COLUMNS, ROWS, 40).lacking == ("by", "params")
    assert draw(COLUMNS, ROWS, 40).shortened == 1


def test_a_column_without_text_is_left_out() -> None:
    drawn = draw(COLUMNS, [("a", "1", "", "")], 80)
    assert drawn.lines == ("name  top-1", "a         1")
    assert drawn.lacking == ()


def test_wide_signs_take_two_columns() -> None:
    assert cells_of("\u6a21\u578b") == 4
    assert cells_of("e\u0301") == 1
    assert cells_of(shortened("\u6a21\u578b\u6a21\u578b\u6a21\u578b", 7)) <= 7
    drawn = draw(COLUMNS, [("\u6a21\u578b" * 20, "1", "2", "3")], 30)
    assert all(cells_of(line) <= 30 for line in drawn.lines)
