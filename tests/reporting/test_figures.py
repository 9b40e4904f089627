import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.metrics.calibration import reliability
from signet.records import Interval
from signet.reporting.figures import (
    bar,
    heat_map,
    line_chart,
    reliability_diagram,
    scale_of,
    score,
    swatch,
    ticks,
    whisker,
)
from signet.reporting.page import Line, Panel


def parsed(drawing):
    return ElementTree.fromstring(drawing)


def of_class(drawing, kind):
    return [one for one in parsed(drawing).iter() if kind in one.get("class", "").split()]


def test_ticks_are_round_and_hold_the_range():
    assert ticks(0, 1, 6) == (0, 0.2, 0.4, 0.6, 0.8, 1)
    assert ticks(0.62, 0.9, 6) == (0.6, 0.7, 0.8, 0.9)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_any_range_lies_within_its_ticks(least, reach):
    found = ticks(least, least + reach)
    slack = 1e-6 * max(reach, abs(least), 1)
    assert found[0] <= least + slack
    assert found[-1] >= least + reach - slack
    assert 2 <= len(found) <= 12


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_the_axis_of_a_comparison_holds_every_interval_and_stays_within_0_and_1(rows):
    figures = [Interval(sorted(row)[1], sorted(row)[0], sorted(row)[2]) for row in rows]
    axis = scale_of(figures)
    assert axis[0] >= 0
    assert axis[-1] <= 1
    assert axis[0] <= min(figure.low for figure in figures) + 1e-9
    assert axis[-1] >= max(figure.high for figure in figures) - 1e-9


def test_a_whisker_lies_where_its_figures_are():
    drawing = whisker(Interval(0.7, 0.6, 0.9), (0.5, 0.75, 1.0))
    (line,), (dot,) = of_class(drawing, "range"), of_class(drawing, "dot")
    assert (line.get("x1"), line.get("x2"), dot.get("cx")) == ("20.00%", "80.00%", "40.00%")
    assert of_class(whisker(Interval(math.nan, math.nan, math.nan), (0, 1)), "dot") == []


def test_a_bar_is_as_long_as_its_figure():
    assert of_class(bar(Interval(0.25, 0.1, 0.5)), "fill")[0].get("width") == "25.00%"
    assert of_class(score(1.5, True), "fill")[0].get("width") == "100.00%"
    assert parsed(swatch(0)).tag == "svg"


def test_a_heat_map_draws_what_occurs_with_right_and_wrong_apart():
    counts = np.array([[8, 2, 0], [0, 0, 0], [0, 0, 5]])
    drawing = heat_map(counts, ("cat", "<b>", "dog"))
    assert len(of_class(drawing, "hit")) == 2
    (wrong,) = of_class(drawing, "miss")
    assert wrong.find("title").text == "cat called <b>: 2 of 10 (20.0\u00a0%)"
    assert "&lt;b&gt;" in drawing
    assert [number.text for number in parsed(drawing).iter("text")] == ["8", "2", "5"]
    strong = float(of_class(drawing, "hit")[1].find("rect").get("fill-opacity"))
    assert strong == 1


def test_numbers_are_left_out_where_they_could_not_be_read():
    assert "<text" not in heat_map(np.eye(17, dtype=np.int64), tuple("abcdefghijklmnopq"))


def test_a_reliability_diagram_has_a_dot_for_each_bin_with_images():
    confidence = np.array([0.15, 0.95, 0.96, 0.5])
    drawing = reliability_diagram(reliability(confidence, np.array([False, True, True, True])))
    assert len(of_class(drawing, "dot")) == 3
    assert "right 100.0\u00a0% of 2" in parsed(drawing).get("aria-label")


def test_curves_leave_gaps_and_mark_the_kept_step():
    panel = Panel("Loss", (Line("training", (2.0, 1.0, 0.5)), Line("validation", (None, 1.5, 1.2))))
    drawing = line_chart(panel, (1, 2, 3), "epoch", 3)
    first, second = of_class(drawing, "line")
    assert len(first.get("points").split()) == 3
    assert len(second.get("points").split()) == 2
    assert len([one for one in parsed(drawing).iter("line") if one.get("class") == "kept"]) == 1
    assert "validation ends at 1.2" in parsed(drawing).get("aria-label")
    assert [one.text for one in of_class(drawing, "tick")][-4:] == ["1", "2", "3", "kept"]


@pytest.mark.parametrize("steps", [(1.0,), (1.0, 2.0), (0.5, 1.0, 1.5), tuple(map(float, range(1, 400)))])
def test_any_number_of_steps_can_be_drawn(steps):
    panel = Panel("Right", (Line("a", tuple(0.5 for _ in steps)),), True)
    drawing = parsed(line_chart(panel, steps, "epoch"))
    numbers = [float(one.get("x")) for one in drawing.iter("text")]
    assert all(-1 <= number <= 361 for number in numbers)
    assert 4 <= len(numbers) <= 24


@pytest.mark.parametrize(
    ("value", "fraction", "first", "last"),
    [
        (1.0, True, "98.0", "100.0"),
        (0.0, True, "0.0", "2.0"),
        (0.5, True, "49.0", "51.0"),
        (0.0, False, "0.00000", "0.00100"),
    ],
)
def test_a_constant_curve_has_an_axis_that_can_be_read(value, fraction, first, last):
    drawing = line_chart(Panel("Right", (Line("a", (value, value)),), fraction), (1, 2), "epoch")
    words = [one.text for one in of_class(drawing, "tick") if one.get("text-anchor") == "end"]
    assert (words[0], words[-1]) == (first, last)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.booleans())
def test_no_two_marks_of_an_axis_are_called_the_same(values, fraction):
    drawing = line_chart(
        Panel("Loss", (Line("a", tuple(values)),), fraction), range(1, 1 + len(values)), "epoch"
    )
    words = [one.text for one in of_class(drawing, "tick") if one.get("text-anchor") == "end"]
    assert len(set(words)) == len(words) >= 2
    (line,) = of_class(drawing, "line")
    heights = [float(point.partition(",")[2]) for point in line.get("points").split()]
    assert all(13.9 <= height <= 194.1 for height in heights)


def test_a_curve_of_nothing_is_an_empty_chart():
    assert parsed(line_chart(Panel("Loss", (Line("a", (None, None)),)), (1, 2), "epoch")).tag == "svg"


def test_shares_of_a_part_of_a_matrix_are_of_all_images():
    drawing = heat_map(np.array([[4, 1]] * 2), ("a", "b"), np.array([10, 5]))
    assert "a called b: 1 of 10 (10.0\u00a0%)" in drawing


def test_the_columns_of_a_reliability_diagram_have_a_scale():
    drawing = reliability_diagram(reliability(np.full(1200, 0.9), np.ones(1200, bool)))
    words = [one.text for one in parsed(drawing).iter("text")]
    assert "1,200" in words
    assert "answers" in words


def test_an_unknown_interval_is_not_drawn():
    unknown = Interval(0.5, math.nan, math.nan)
    for drawn in (whisker(unknown, (0, 1)), bar(unknown)):
        assert "range" not in drawn
    assert "dot" in whisker(unknown, (0, 1))
