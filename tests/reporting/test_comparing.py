"""The page of a comparison says which figures were measured, and which are others' on other data."""

import math

import numpy as np

from signet.boxes import Boxes
from signet.cards import Claim
from signet.comparisons import Comparison, Contestant, Difference, Disagreement, Reply
from signet.images import Image
from signet.records import Interval
from signet.reporting import comparison_page, render
from signet.reporting.page import Differences, Pictures, Scenes, Table
from signet.reporting.words import signed, signed_span
from signet.segments import SegmentMap

from .sample import HOSTILE


def plain(text):
    return text.replace("\u00a0", " ").replace("\u2212", "-")


def grey(source):
    return Image(np.full((40, 60, 3), 99, np.uint8), source=source)


def contestant(name, top1, **changes):
    claim = Claim("top1", 0.719, "ImageNet-1k validation", "a paper", evaluation_size=224)
    fields = {"milliseconds": 12.34, "params": 3_500_000, "size_bytes": 14_000_000, "claims": (claim,)}
    return Contestant(name, {"top1": Interval(top1, top1 - 0.05, top1 + 0.05)}, **{**fields, **changes})


def gap(name, value, half, p=0.03, p_holm=0.06, metric="top1"):
    return Difference(name, "base", metric, Interval(value, value - half, value + half), p, p_holm)


def compared(*gaps, **changes):
    models = (contestant("base", 0.8), *(contestant(one.first, 0.8 + one.figure.value) for one in gaps))
    replies = (Reply("base", 1.0, "Robin", 0.9), *(Reply(one.first, 0.0, "wren", 0.5) for one in gaps))
    fields = {
        "task": "classify",
        "models": models,
        "baseline": "base",
        "pairs": gaps,
        "count": 200,
        "disagreements": (Disagreement("a/robin.jpg", "robin", replies),),
        "disagreeing": 31,
        "provenance": {"dataset": "/home/ada/birds", "version signet": "0.1.0", "date": "2026-11-21"},
    }
    return Comparison(**{**fields, **changes})


def section(page, kind, title=""):
    return next(one for one in page.sections if isinstance(one, kind) and title in one.title)


def test_two_models_are_told_apart_in_the_headline_or_said_not_to_be():
    better = comparison_page(compared(gap("mine", 0.04, 0.02)), read=grey)
    assert plain(better.title) == "+4.0 points on 200 images"
    assert "is 4.0 points better than" in plain(better.summary)
    assert "interval of the difference +2.0 to +6.0 points" in plain(better.summary)
    unsure = comparison_page(compared(gap("mine", -0.01, 0.02)), read=grey)
    assert plain(unsure.title) == "Not told apart on 200 images"
    assert "1.0 points worse than" in plain(unsure.summary)
    level = comparison_page(compared(gap("mine", 0.0, 0.0)), read=grey)
    assert "is level with" in level.summary
    assert "/home/ada" not in level.title + level.summary + level.kicker


def test_several_models_are_said_to_need_holm():
    page = comparison_page(
        compared(gap("a", 0.1, 0.02), gap("b", -0.2, 0.02), gap("c", 0.01, 0.05)), read=grey
    )
    assert plain(page.title) == "2 of 3 models told apart from the baseline on 200 images"
    assert "Holm" in section(page, Table, "Every difference").lead
    assert (
        "Holm"
        not in section(
            comparison_page(compared(gap("a", 0.1, 0.02)), read=grey), Table, "Every difference"
        ).lead
    )
    rows = section(page, Differences).rows
    assert [row.note for row in rows] == ["p 0.0600, adjusted"] * 3
    html = render(page)
    assert html.count('class="whisker chosen"') == 3  # the baseline, and the two that are apart from 0
    assert 'class="grid zero"' in html


def test_published_figures_keep_their_data_beside_those_measured_here():
    table = section(comparison_page(compared(gap("mine", 0.04, 0.02)), read=grey), Table, "Published")
    assert "not to be compared with figures on other data" in table.lead
    assert table.columns[2] == "published on"
    assert plain(" | ".join(table.rows[1])) == (
        "mine | Right answers 71.9 % at 224 pixels | ImageNet-1k validation | a paper | 84.0 %"
    )
    none = compared(gap("mine", 0.04, 0.02), models=(contestant("base", 0.8, claims=()),))
    assert not any(one.title.startswith("Published") for one in comparison_page(none, read=grey).sections)


def test_a_right_answer_in_a_model_s_own_spelling_is_shown_as_right():
    pictures = section(comparison_page(compared(gap("mine", -0.04, 0.02)), read=grey), Pictures)
    assert pictures.title.startswith("Where they disagree: 31 of 200")
    (one,) = pictures.pictures
    assert one.answers == (("robin", 0.9), ("wren", 0.5))
    assert one.names == ("base", "mine")
    assert one.data.startswith("data:image/")


def test_objects_and_pixels_are_drawn_for_each_model():
    box = Boxes(np.array([[5.0, 5, 20, 20]]), np.array([0.9]), np.array([0]), ("ant",), (40, 60))
    none = box[np.zeros(1, bool)]
    replies = (Reply("base", 1.0, answer=box), Reply("mine", 0.0, answer=none))
    found = compared(
        gap("mine", -0.5, 0.2, None, None, "ap"),
        task="detect",
        models=tuple(
            Contestant(name, {"ap": Interval(0.5, math.nan, math.nan)}, None, None, None)
            for name in ("base", "mine")
        ),
        disagreements=(Disagreement("0.png", "", replies, box),),
    )
    page = comparison_page(found, read=grey)
    (scene,) = section(page, Scenes).scenes
    assert [plain(caption) for caption, _ in scene.pictures] == ["base: 100.0 %", "mine: 0.0 %"]
    assert len({data for _, data in scene.pictures}) == 2
    assert section(page, Table, "Every difference").columns[-1] == "95\u00a0% interval"  # no p: no column
    assert "unknown" in render(page)
    there = SegmentMap(np.zeros((40, 60), np.int32), ("ant", "bee"))
    other = SegmentMap(np.ones((40, 60), np.int32), ("ant", "bee"))
    replies = (Reply("base", 1.0, answer=there), Reply("mine", 0.0, answer=other))
    found = compared(
        gap("mine", -0.5, 0.2), task="segment", disagreements=(Disagreement("0.png", "", replies, there),)
    )
    (scene,) = section(comparison_page(found, read=grey), Scenes).scenes
    assert scene.pictures[0][0] == "truth"
    assert len({data for _, data in scene.pictures}) == 2  # the first model's answer is the truth


def test_hostile_names_stay_text():
    name = HOSTILE[0]
    found = compared(gap(name, 0.04, 0.02), notes=(name,))
    html = render(comparison_page(found, read=grey))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


def test_signed_figures():
    assert [plain(signed(value)) for value in (0.024, -0.005, 0.0, -0.0001, math.nan)] == [
        "+2.4", "-0.5", "0.0", "0.0", "unknown"
    ]  # fmt: skip
    assert plain(signed_span(Interval(0.1, -0.01, 0.2))) == "-1.0 to +20.0"
    assert signed_span(Interval(0.1, math.nan, math.nan)) == "unknown"
