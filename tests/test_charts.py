"""The picture of accuracy against size: everything is in it, and no text lies on another."""

from __future__ import annotations

import numpy as np

from signet import charts
from signet.charts import Point

POINTS = [
    Point(f"{family.lower()}_{number}", family, 10**6 * 2**number, 0.6 + 0.04 * number + 0.01 * place)
    for place, family in enumerate(("ResNet", "ViT", "EfficientNet"))
    for number in range(6)
]


def test_it_has_its_size_and_is_not_empty() -> None:
    picture = charts.accuracy_against_size(POINTS, "made by the tests")
    assert (picture.mode, picture.size) == ("RGB", (charts.WIDTH, charts.HEIGHT))
    pixels = np.asarray(picture).reshape(-1, 3)
    for colour in charts._PALETTE[:3]:
        assert (np.abs(pixels.astype(int) - colour).max(1) < 12).sum() > 200


def test_time_has_its_own_words_and_goes_below_one() -> None:
    fast = [Point(point.name, point.family, point.cost / 10**7, point.top1) for point in POINTS]
    picture = charts.accuracy_against_time(fast, "made by the tests")
    assert picture.tobytes() != charts.accuracy_against_size(fast, "made by the tests").tobytes()
    assert [charts._short(size) for size in charts._Axes.around(fast).sizes()] == [
        "0.1",
        "0.2",
        "0.5",
        "1",
        "2",
    ]


def test_what_the_figures_are_stands_above_them() -> None:
    first = charts.accuracy_against_size(POINTS, "s")
    named = charts.accuracy_against_size(POINTS, "s", "AP, COCO val2017")
    rows = np.flatnonzero((np.asarray(first) != np.asarray(named)).any(axis=(1, 2)))
    assert len(rows)
    assert rows.max() < charts._TOP
    assert first.tobytes() == charts.accuracy_against_size(POINTS, "s", charts.TOP1).tobytes()


def test_the_same_points_give_the_same_picture() -> None:
    first, second = (charts.accuracy_against_size(rows, "s").tobytes() for rows in (POINTS, POINTS[::-1]))
    assert first == second


def test_one_point_and_many_families_can_be_drawn() -> None:
    charts.accuracy_against_size(POINTS[:1], "s")
    charts.accuracy_against_size([Point("a", "A", 5, 0.0), Point("b", "A", 5, 1.0)], "a source " * 60)
    many = [Point(f"m{n}", f"family {n}", 1000 * (n + 1), n / 100) for n in range(60)]
    assert charts._ranked(many)[0] == "family 0"
    charts.accuracy_against_size(many, "s")


def test_labels_keep_off_each_other(monkeypatch) -> None:
    boxes = []
    monkeypatch.setattr(charts, "_written", lambda pen, box, *rest: boxes.append(box))
    charts.accuracy_against_size(POINTS, "s")
    assert len(boxes) > 3
    for place, box in enumerate(boxes):
        assert not any(charts._overlap(box, other) for other in boxes[:place])
        assert charts._within(box)


def test_a_front_goes_up_from_small_to_large() -> None:
    front = charts._front(POINTS)
    assert [p.cost for p in front] == sorted({p.cost for p in front})
    assert [p.top1 for p in front] == sorted(p.top1 for p in front)
    assert {p.family for p in front} == {"EfficientNet"}
    assert charts._ranked(POINTS) == ["EfficientNet", "ViT", "ResNet"]
