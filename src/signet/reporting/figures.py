"""Small charts as inline SVG: pure functions from figures to text.

Built as trees of elements, so that every text in them is escaped, and marks that act on text are
written out. Colours are classes of the page's style sheet, which knows light, dark and paper. Charts
that stand in a row (`whisker`, `bar`) use percentages for the level axis and have no scale of their own:
they fill whatever width they get, and nothing in them grows or shrinks with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from signet.arrays import Integers
from signet.records import Calibration, Interval
from signet.reporting.page import Mark, Panel
from signet.reporting.words import percent, span, visible, whole
from signet.statistics import wilson

Element = ElementTree.Element

MIDDLE, HIGH = 0.65, 0.81
"""Strengths of a cell from which its number changes its ink, by night and by day."""

_CELL = 40
_FLAT = 0.02
_MOST_DIGITS = 7
_WHOLE = tuple(factor * 10**power for power in range(7) for factor in (1, 2, 5))


def ticks(least: float, greatest: float, about: int = 5) -> tuple[float, ...]:
    """Round numbers, about as many as asked, from at most `least` to at least `greatest`."""
    reach = max(greatest - least, 1e-9)
    rough = reach / max(about - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(least / step + 1e-9), math.ceil(greatest / step - 1e-9)
    return tuple(round(place * step, 10) for place in range(first, last + 1))


def scale_of(figures: Sequence[Interval]) -> tuple[float, ...]:
    """Ticks of a fraction's axis that holds every interval, within 0 to 1."""
    ends = [
        end for figure in figures for end in (figure.low, figure.high, figure.value) if not math.isnan(end)
    ]
    least, greatest = (min(ends), max(ends)) if ends else (0.0, 1.0)
    margin = max(0.04 * (greatest - least), 0.01)
    found = ticks(max(least - margin, 0), min(greatest + margin, 1), 6)
    return tuple(tick for tick in found if -1e-9 <= tick <= 1 + 1e-9)


def scale_around_zero(figures: Sequence[Interval]) -> tuple[float, ...]:
    """Ticks of a difference's axis: it holds every interval, and 0."""
    ends = [0.0, *(end for one in figures for end in (one.low, one.high, one.value) if not math.isnan(end))]
    margin = max(0.04 * (max(ends) - min(ends)), 0.005)
    return ticks(min(ends) - margin, max(ends) + margin, 6)


def whisker(figure: Interval, axis: Sequence[float], chosen: bool = False) -> str:
    """A dot with its interval on an axis whose ticks are drawn as faint upright lines."""
    drawing = _row_drawing("whisker chosen" if chosen else "whisker")
    for tick in axis:
        place = _along(tick, axis)
        kind = "grid zero" if tick == 0 and axis[0] < 0 else "grid"
        _add(drawing, "line", kind, x1=place, x2=place, y1="0", y2="100%")
    if not math.isnan(figure.value):
        low, high, value = (_along(part, axis) for part in (figure.low, figure.high, figure.value))
        if not math.isnan(figure.low):
            _add(drawing, "line", "range", x1=low, x2=high, y1="50%", y2="50%")
        _add(drawing, "circle", "dot", cx=value, cy="50%", r="7" if chosen else "5.5")
    return _text_of(drawing)


def bar(figure: Interval) -> str:
    """A bar from 0 to 1 with its interval as a thin line."""
    drawing = _row_drawing("bar")
    _add(drawing, "rect", "track", x="0", y="0", width="100%", height="100%", rx="2")
    _add(drawing, "rect", "fill", x="0", y="0", width=_along(figure.value, (0, 1)), height="100%", rx="2")
    if not math.isnan(figure.low):
        low, high = _along(figure.low, (0, 1)), _along(figure.high, (0, 1))
        _add(drawing, "line", "range", x1=low, x2=high, y1="50%", y2="50%")
    return _text_of(drawing)


def score(value: float, right: bool) -> str:
    """A thin bar from 0 to 1, of the colour of right or wrong answers."""
    drawing = _row_drawing("score right" if right else "score")
    _add(drawing, "rect", "track", x="0", y="0", width="100%", height="100%", rx="2")
    _add(drawing, "rect", "fill", x="0", y="0", width=_along(value, (0, 1)), height="100%", rx="2")
    return _text_of(drawing)


def heat_map(
    counts: Integers, labels: Sequence[str], images: Integers | None = None, parts: bool = False
) -> str:
    """A confusion matrix: rows truth, columns answer; darker is a greater part of the row.

    Right answers are blue, wrong ones orange, so that a pale mistake is not lost beside strong hits:
    each colour has its own scale (right: 0 to 1; wrong: 0 to the greatest mistake).

    Args:
        counts: int (C, C).
        labels: C names, for the words that come up under a pointer.
        images: int (C,), images of each class; the sums of the rows when None. A part of a greater matrix
            needs them, as its rows do not hold all answers.
        parts: the cells show per cent of their row instead of counts.
    """
    classes = len(labels)
    sums = counts.sum(axis=1) if images is None else images
    totals = np.maximum(sums, 1).reshape(classes, 1)
    shares = counts / totals
    wrong = shares * (1 - np.eye(classes))
    worst = max(float(wrong.max(initial=0)), 1e-9)
    side = _CELL * classes
    words = f"Confusion matrix of {classes} classes; the table of confused pairs says the same in words."
    drawing = _drawing(side, side, words, "heat")
    for row, column in np.argwhere(counts > 0).tolist():
        right = row == column
        share = float(shares[row, column])
        strength = 0.12 + 0.88 * share if right else 0.14 + 0.72 * share / worst
        zone = "high" if strength >= HIGH else "middle" if strength >= MIDDLE else "low"
        group = _add(drawing, "g", f"{'hit' if right else 'miss'} {zone}")
        title = ElementTree.SubElement(group, "title")
        title.text = (
            f"{labels[row]} called {labels[column]}: "
            f"{whole(int(counts[row, column]))} of {whole(int(totals[row, 0]))} ({percent(share)})"
        )
        x, y = column * _CELL, row * _CELL
        _add(
            group,
            "rect",
            x=f"{x + 1}",
            y=f"{y + 1}",
            width=f"{_CELL - 2}",
            height=f"{_CELL - 2}",
            rx="3",
            fill_opacity=f"{strength:.2f}",
        )
        if classes <= 16:
            number = _add(group, "text", x=f"{x + _CELL / 2}", y=f"{y + _CELL / 2}", text_anchor="middle")
            number.set("dominant-baseline", "central")
            number.text = f"{100 * share:.0f}" if parts else whole(int(counts[row, column]))
    return _text_of(drawing)


def reliability_diagram(calibration: Calibration) -> str:
    """Fraction right against score, a dot for each bin with its interval; below, how many images."""
    left, top, side, foot = 44, 12, 300, 52
    base = top + side + 34 + foot
    height = base + 40
    words = "Reliability: " + "; ".join(
        f"score {percent(confidence)}, right {percent(accuracy)} of {whole(int(count))}"
        for confidence, accuracy, count in zip(
            calibration.confidence.tolist(),
            calibration.accuracy.tolist(),
            calibration.counts.tolist(),
            strict=True,
        )
        if count
    )
    drawing = _drawing(left + side + 16, height, words, "reliability")
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = left + side * tick, top + side * (1 - tick)
        _add(drawing, "line", "grid", x1=f"{x}", x2=f"{x}", y1=f"{top}", y2=f"{top + side}")
        _add(drawing, "line", "grid", x1=f"{left}", x2=f"{left + side}", y1=f"{y}", y2=f"{y}")
        _label(drawing, (left - 8, y + 4), f"{100 * tick:.0f}", "end")
        _label(drawing, (x, height - 22), f"{100 * tick:.0f}", "middle")
    _label(drawing, (left + side / 2, height - 4), "score, %", "middle", "axis")
    ideal = {"x1": f"{left}", "x2": f"{left + side}", "y1": f"{top + side}", "y2": f"{top}"}
    _add(drawing, "line", "ideal", **ideal)
    _label(drawing, (left + 8, top + 16), "right, %", "start", "axis")
    most = max(int(calibration.counts.max(initial=0)), 1)
    _label(drawing, (left - 8, base - foot + 10), whole(most), "end")
    _label(drawing, (left - 8, base), "0", "end")
    _add(drawing, "line", "grid", x1=f"{left}", x2=f"{left + side}", y1=f"{base}", y2=f"{base}")
    _label(drawing, (left, base - foot - 8), "answers", "start", "axis")
    middles = (calibration.edges[:-1] + calibration.edges[1:]) / 2
    for number in np.flatnonzero(calibration.counts).tolist():
        count = int(calibration.counts[number])
        x = left + side * float(calibration.confidence[number])
        sure = wilson(float(calibration.accuracy[number]) * count, count)
        reach = {"y1": f"{top + side * (1 - sure.low):.1f}", "y2": f"{top + side * (1 - sure.high):.1f}"}
        _add(drawing, "line", "range", x1=f"{x:.1f}", x2=f"{x:.1f}", **reach)
        radius = 3 + 5 * math.sqrt(count / most)
        dot = {"cx": f"{x:.1f}", "cy": f"{top + side * (1 - sure.value):.1f}", "r": f"{radius:.1f}"}
        title = ElementTree.SubElement(_add(drawing, "circle", "dot", **dot), "title")
        title.text = f"{whole(count)} images: right {percent(sure.value)} ({span(sure)})"
        column = max(1.0, foot * count / most)
        wide = side / len(middles) - 2
        _add(
            drawing,
            "rect",
            "column",
            x=f"{left + side * middles[number] - wide / 2:.1f}",
            y=f"{base - column:.1f}",
            width=f"{wide:.1f}",
            height=f"{column:.1f}",
        )
    return _text_of(drawing)


def line_chart(panel: Panel, steps: Sequence[float], step: str, kept: float | None = None) -> str:
    """Curves over steps; the first solid, the next dashed and dotted, so that colour is not needed."""
    left, top, wide, tall = 48, 14, 300, 180
    values = [value for line in panel.lines for value in line.values if value is not None]
    upright = ticks(0, 1, 5) if panel.whole else ticks(*_reach(values, panel.fraction), 5)
    level = _level_ticks(steps)
    last = ", ".join(
        f"{line.name} ends at {_amount(line.values[-1], panel.fraction)}"
        for line in panel.lines
        if line.values and line.values[-1] is not None
    )
    drawing = _drawing(left + wide + 12, top + tall + 42, f"{panel.title}: {last}", "curves")

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - steps[0]) / max(steps[-1] - steps[0], 1e-9)
        up = (y - upright[0]) / max(upright[-1] - upright[0], 1e-9)
        return left + wide * across, top + tall * (1 - up)

    for tick, words in zip(upright, _tick_words(upright, 100 if panel.fraction else 1), strict=True):
        _, y = place(steps[0], tick)
        _add(drawing, "line", "grid", x1=f"{left}", x2=f"{left + wide}", y1=f"{y:.1f}", y2=f"{y:.1f}")
        _label(drawing, (left - 8, y + 4), words, "end")
    for tick in level:
        _label(drawing, (place(tick, 0)[0], top + tall + 20), f"{tick:g}", "middle")
    _label(drawing, (left + wide / 2, top + tall + 38), step, "middle", "axis")
    if kept is not None:
        x, _ = place(kept, 0)
        _add(drawing, "line", "kept", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=f"{top}", y2=f"{top + tall}")
        _label(
            drawing,
            (x - 5 if x > left + wide / 2 else x + 5, top + 11),
            "kept",
            "end" if x > left + wide / 2 else "start",
        )
    for number, line in enumerate(panel.lines):
        points = [place(x, value) for x, value in zip(steps, line.values, strict=True) if value is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        _add(drawing, "polyline", f"line series{number}", points=path)
        if points:
            x, y = points[-1]
            _add(drawing, "circle", f"end series{number}", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3.5")
    return _text_of(drawing)


def tradeoff_chart(marks: Sequence[Mark]) -> str:
    """Accuracy against milliseconds (logarithmic), whiskers for intervals, the area of a circle its size."""
    left, top, wide, tall = 52, 16, 620, 330
    logs = [math.log10(max(mark.milliseconds, 1e-3)) for mark in marks]
    margin = max(0.08 * (max(logs) - min(logs)), 0.12)
    first, last = min(logs) - margin, max(logs) + margin
    upright = scale_of([mark.figure for mark in marks])
    best = max(marks, key=lambda mark: mark.figure.value)
    words = f"Accuracy against time of {len(marks)} models; the highest is {best.name}."
    drawing = _drawing(left + wide + 16, top + tall + 44, words, "tradeoff")

    def place(milliseconds: float, value: float) -> tuple[float, float]:
        across = (math.log10(max(milliseconds, 1e-3)) - first) / (last - first)
        up = (value - upright[0]) / max(upright[-1] - upright[0], 1e-9)
        return left + wide * across, top + tall * (1 - up)

    for tick in upright:
        y = place(1, tick)[1]
        _add(drawing, "line", "grid", x1=f"{left}", x2=f"{left + wide}", y1=f"{y:.1f}", y2=f"{y:.1f}")
        _label(drawing, (left - 8, y + 4), f"{100 * tick:.4g}", "end")
    factors = (1, 2, 5) if last - first > 1 else (1, 1.5, 2, 3, 4, 5, 7)
    for power in range(math.floor(first), math.ceil(last) + 1):
        for tick in (factor * 10.0**power for factor in factors):
            if first <= math.log10(tick) <= last:
                _label(drawing, (place(tick, 0)[0], top + tall + 20), f"{tick:g}", "middle")
    _label(drawing, (left + wide / 2, top + tall + 40), "milliseconds an image", "middle", "axis")
    _label(drawing, (left + 6, top + 12), "expected, %", "start", "axis")
    front = " ".join(
        f"{x:.1f},{y:.1f}" for x, y in (place(m.milliseconds, m.figure.value) for m in _front(marks))
    )
    _add(drawing, "polyline", "front", points=front)
    largest = max((mark.size_bytes or 0 for mark in marks), default=0) or 1
    for mark in sorted(marks, key=lambda mark: mark.chosen):
        x, y = place(mark.milliseconds, mark.figure.value)
        ends = (place(mark.milliseconds, end)[1] for end in (mark.figure.low, mark.figure.high))
        group = _add(drawing, "g", "chosen" if mark.chosen else "")
        y1, y2 = (f"{end:.1f}" for end in ends)
        _add(group, "line", "range", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=y1, y2=y2)
        radius = max(4.0, 22 * math.sqrt((mark.size_bytes or 0) / largest))
        circle = _add(group, "circle", "dot", cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{radius:.1f}")
        title = ElementTree.SubElement(circle, "title")
        title.text = f"{mark.name}: {percent(mark.figure.value)} ({span(mark.figure)})"
        _label(group, (x + radius + 4, y - 5), f"{mark.number}", "start", "mark")
    return _text_of(drawing)


def _front(marks: Sequence[Mark]) -> list[Mark]:
    """From fast to slow, each better than all that are faster."""
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: (mark.milliseconds, -mark.figure.value)):
        if not kept or mark.figure.value > kept[-1].figure.value:
            kept.append(mark)
    return kept


def _reach(values: Sequence[float], fraction: bool) -> tuple[float, float]:
    """The range of an upright axis: that of the values, and not so narrow that noise looks like a slope.

    A curve that hardly moves lies flat in a range of a fiftieth of its value, or of 2 points; the range does
    not leave what the values can be: a fraction's 0 to 1, or what is not negative.
    """
    least, greatest = min(values, default=0.0), max(values, default=1.0)
    missing = (_FLAT if fraction else _FLAT * max(abs(greatest), 0.05)) - (greatest - least)
    if missing > 0:
        low, high = least - missing / 2, greatest + missing / 2
        beyond = max(high - 1, 0.0) if fraction else 0.0
        below = max(-low, 0.0) if least >= 0 else 0.0
        least, greatest = low + below - beyond, high + below - beyond
    return least, greatest


def _tick_words(places: Sequence[float], times: float) -> list[str]:
    """Numbers of an axis with as many digits after the point as tell them apart, the same for all."""
    step = times * (places[1] - places[0])
    for digits in range(_MOST_DIGITS):
        words = [f"{times * place:.{digits}f}" for place in places]
        if all(
            abs(float(word) - times * place) < step / 100 for word, place in zip(words, places, strict=True)
        ):
            return words
    return [f"{times * place:.3g}" for place in places]


def _level_ticks(steps: Sequence[float]) -> Sequence[float]:
    """Round steps within the axis; whole ones where the steps are whole."""
    first, last = steps[0], steps[-1]
    if all(step == int(step) for step in steps):
        wide = next(size for size in _WHOLE if last - first <= 6 * size or size == _WHOLE[-1])
        found = [float(tick) for tick in range(int(first), int(last) + 1) if tick % wide == 0]
    else:
        found = [tick for tick in ticks(first, last, 6) if first <= tick <= last]
    return found or [first]


def swatch(number: int) -> str:
    """A short piece of the line with that number, for a legend."""
    drawing = _row_drawing("swatch")
    _add(drawing, "line", f"line series{number}", x1="0", x2="100%", y1="50%", y2="50%")
    return _text_of(drawing)


def _amount(value: float | None, fraction: bool) -> str:
    if value is None:
        return "nothing"
    return f"{100 * value:.4g}\u00a0%" if fraction else f"{value:.3g}"


def _along(value: float, axis: Sequence[float]) -> str:
    if math.isnan(value):
        return "0%"
    part = (value - axis[0]) / max(axis[-1] - axis[0], 1e-9)
    return f"{100 * min(max(part, 0.0), 1.0):.2f}%"


def _drawing(width: float, height: float, words: str, kind: str) -> Element:
    drawing = Element("svg", {"viewBox": f"0 0 {width:g} {height:g}", "class": kind, "role": "img"})
    drawing.set("aria-label", words)
    return drawing


def _row_drawing(kind: str) -> Element:
    # Its figures stand beside it as text.
    return Element("svg", {"class": kind, "aria-hidden": "true", "focusable": "false"})


def _label(drawing: Element, at: tuple[float, float], words: str, anchor: str, kind: str = "tick") -> None:
    label = _add(drawing, "text", kind, x=f"{at[0]:.1f}", y=f"{at[1]:.1f}", text_anchor=anchor)
    label.text = words


def _add(parent: Element, tag: str, kind: str = "", **attributes: str) -> Element:
    child = ElementTree.SubElement(parent, tag, {"class": kind} if kind else {})
    for name, value in attributes.items():
        child.set(name.replace("_", "-"), value)
    return child


def _text_of(drawing: Element) -> str:
    for element in drawing.iter():
        if element.text:
            element.text = visible(element.text)
        if "aria-label" in element.attrib:
            element.set("aria-label", visible(element.attrib["aria-label"]))
    return ElementTree.tostring(drawing, encoding="unicode")
