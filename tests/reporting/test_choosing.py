"""The page of a choice: the pick, its regret, every candidate, and names that do not act."""

import re

from signet.choices import Choice, Contender, LeftOut
from signet.records import Interval
from signet.reporting import choice_page, render
from signet.reporting.figures import tradeoff_chart
from signet.reporting.page import Mark

from .sample import HOSTILE


def choice(names=("fast", "slow")) -> Choice:
    rows = tuple(
        Contender(
            name=name,
            expected=0.8 - 0.05 * place,
            low=0.75 - 0.05 * place,
            high=0.85 - 0.05 * place,
            regret=0.002 + 0.05 * place,
            milliseconds=5.0 + 20 * place,
            size_bytes=None if place else 4_000_000,
            top1=0.7,
            images=300,
            measured=0.78,
            scores={"knn": 0.7, "logme": 0.412, "leep": None if place else -1.234},
            why="probe: 78.0 % of 300 images",
        )
        for place, name in enumerate(names)
    )
    return Choice(
        pick=names[0],
        regret=0.002,
        ranking=rows,
        baseline=names[-1],
        runner_up=f"{names[-1]}: 5.0 points less expected",
        left_out=(LeftOut(names[-1], "too slow"),),
        notes=("audit: something severe",),
        dataset="birds",
        images=3000,
        classes=4,
        spent=0.09,
        seconds=12.0,
    )


def test_the_page_says_the_pick_its_regret_and_the_baseline():
    text = render(choice_page(choice()))
    for words in (
        "suits these images best",
        "80.0",
        "0.2\u00a0points",
        "too slow",
        "audit: something severe",
    ):
        assert words in text
    assert "slow, which loses 5\u00a0points" in text
    assert "9.0\u00a0%" in text


def test_the_page_has_a_column_for_each_score_and_leaves_it_empty_where_there_is_none():
    text = render(choice_page(choice()))
    for title in ("LogME", "H-score", "LEEP", "NCE"):
        assert title in text
    assert text.count("0.412") == 2
    assert text.count("-1.234") == 1
    assert "None" not in text


def test_no_name_acts():
    text = render(choice_page(choice(HOSTILE)))
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "\u202e" not in text


def test_the_chart_has_a_circle_and_an_interval_for_each_and_a_front_of_the_unbeaten():
    marks = [
        Mark(1, "best", Interval(0.9, 0.8, 0.95), 20.0, 4_000_000, chosen=True),
        Mark(2, "fast", Interval(0.8, 0.7, 0.9), 2.0, 1_000_000),
        Mark(3, "beaten", Interval(0.7, 0.6, 0.8), 10.0, None),
    ]
    text = tradeoff_chart(marks)
    assert len(re.findall("<circle", text)) == 3
    assert len(re.findall('class="range"', text)) == 3
    front = re.search(r'class="front" points="([^"]*)"', text) or re.search(r'points="([^"]*)"', text)
    assert len(front[1].split()) == 2  # what a faster one beats is not on the line
    radii = [float(one) for one in re.findall(r' r="([0-9.]+)"', text)]
    assert max(radii) == 2 * sorted(radii)[1]  # four times the bytes, four times the area


def test_one_candidate_can_be_drawn():
    assert "<circle" in tradeoff_chart([Mark(1, "only", Interval(0.5, 0.5, 0.5), 3.0)])
