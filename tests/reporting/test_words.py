import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.records import Interval
from signet.reporting.words import counted, duration, facts, percent, points, quoted, span, visible, whole


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.832, "83.2 %"), (1, "100.0 %"), (0.99999, "over 99.9 %"), (0, "0.0 %"), (math.nan, "unknown")],
)
def test_a_fraction_in_words(value, words):
    assert percent(value).replace("\u00a0", " ") == words


def test_an_interval_in_words():
    assert span(Interval(0.83, 0.808, 0.855)) == "80.8 to 85.5\u00a0%"
    assert span(Interval(math.nan, math.nan, math.nan)) == "unknown"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.42, "0.4 s"), (38, "38 s"), (119.7, "2 min"), (725, "12 min 5 s"), (7630, "2 h 7 min")],
)
def test_a_time_in_words(seconds, words):
    assert duration(seconds).replace("\u00a0", " ") == words


def test_counts():
    assert whole(12345) == "12,345"
    assert counted(1, "image", "images") == "1\u00a0image"
    assert counted(0, "image", "images") == "0\u00a0images"


def test_what_acts_on_text_is_written_out():
    assert visible("a\u202egpj.exe\n\x1b[31m\ud800") == "a\\u202egpj.exe\\n\\x1b[31m\\ud800"
    assert visible("naïve 日本 👩‍🔬 می‌خواهم") == "naïve 日本 👩‍🔬 می‌خواهم"


def test_a_quoted_name_cannot_leave_its_quotes():
    assert quoted("a\u2069\u202eb") == "“\u2068a\\u202eb\u2069”"


@given(st.text(st.characters()))
def test_visible_text_can_always_be_written_and_says_itself_again(text):
    shown = visible(text)
    shown.encode("utf-8")
    assert visible(shown) == shown
    assert "\n" not in shown


def test_facts_of_a_nested_mapping():
    values = {
        "name": "x",
        "nothing": None,
        "empty": {},
        "none": [],
        "zero": 0,
        "ok": True,
        "learning_rate": 3e-4,
        "parameters": 2236682,
        "versions": {"numpy": "2.4"},
        "many": list(range(14)),
    }
    assert facts(values) == (
        ("name", "x"),
        ("zero", "0"),
        ("ok", "yes"),
        ("learning rate", "0.0003"),
        ("parameters", "2,236,682"),
        ("versions, numpy", "2.4"),
        ("many", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"),
    )


def test_what_is_more_than_nothing_is_never_shown_as_nothing():
    assert percent(0.0004) == "under 0.1\u00a0%"
    assert percent(0.0) == "0.0\u00a0%"
    assert percent(0.0005) == "0.1\u00a0%"


def test_a_difference_is_told_in_points():
    assert [points(value) for value in (0.0231, -0.012, 0.009, 0.0036, 0.0)] == [
        "2\u00a0points",
        "1\u00a0point",
        "0.9\u00a0points",
        "0.4\u00a0points",
        "0.0\u00a0points",
    ]
