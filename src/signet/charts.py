"""Accuracy against size or time as a picture: points, lines of families, and labels that keep off each other.

Pure: figures go in, a Pillow image comes out. Source of the form: Tan and Le, EfficientNet
(arXiv:1905.11946), figure 1: parameters, here on a logarithmic axis, against top-1, one line a family.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1600, 1000
_FINER = 3
"""Shapes are drawn so many times larger and made small, which smooths their edges; texts are not."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 96, 158, 1552, 872
_INK, _SOFT, _GRID, _OTHERS = (32, 36, 44), (104, 110, 120), (232, 234, 238), (196, 200, 207)
_PALETTE = (
    (0, 92, 185),
    (214, 72, 0),
    (0, 132, 84),
    (150, 54, 160),
    (176, 124, 0),
    (206, 22, 72),
    (0, 140, 170),
    (98, 74, 36),
    (84, 130, 24),
    (214, 80, 150),
)
"""Dark enough to be read as text on white; neighbours differ in lightness too."""

_LEAST = 1e-3
"""Of what is drawn along x, since a logarithm has no zero."""

_GAPS = (9.0, 16.0)
"""Pixels between a point and its name."""

TOP1 = "top-1, ImageNet-1k validation"

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Point:
    """One model.

    Attributes:
        name: of the model, as it is written beside its point.
        family: by which it gets its line and colour.
        cost: what it is drawn against: trainable values, or milliseconds; above 0.
        top1: accuracy, 0 to 1; of detectors and segmenters the figure that `measure` names.
    """

    name: str
    family: str
    cost: float
    top1: float


@dataclass(frozen=True, slots=True)
class _Against:
    """What goes along x, and what up y, in words."""

    title: str
    label: str
    each: str
    measure: str = TOP1


_SIZE = _Against("Accuracy against size", "parameters (logarithmic)", "at each size")
_TIME = _Against("Accuracy against time", "milliseconds for one image (logarithmic)", "at each speed")


def accuracy_against_size(points: Sequence[Point], source: str, measure: str = TOP1) -> Image.Image:
    """The picture, RGB, `WIDTH` x `HEIGHT`.

    A family's line joins those of its models that no other of it beats. With more families than there are
    colours, those come first that have the best models; the others are grey.

    Args:
        points: at least one.
        source: where the figures are from, for the last line.
        measure: what the figures are, and of which data set.
    """
    return _drawn(points, source, replace(_SIZE, measure=measure))


def accuracy_against_time(points: Sequence[Point], source: str) -> Image.Image:
    """The same with milliseconds for one image along x."""
    return _drawn(points, source, _TIME)


def _drawn(points: Sequence[Point], source: str, against: _Against) -> Image.Image:
    fronts = {family: _front(mine) for family, mine in _by_family(points).items()}
    named = _ranked(points)[: len(_PALETTE)]
    colours = {family: _PALETTE[place] for place, family in enumerate(named)}
    axes = _Axes.around(points)
    picture = _shapes(points, fronts, colours, axes)
    pen = ImageDraw.Draw(picture)
    counts = len(fronts), len(named), len(points)
    _frame(pen, axes, counts, source, against)
    _labels(pen, fronts, colours, axes)
    return picture


@dataclass(frozen=True, slots=True)
class _Axes:
    """From figures to pixels: powers of ten along x, percent along y."""

    low: float
    high: float
    least: float
    most: float

    @classmethod
    def around(cls, points: Sequence[Point]) -> _Axes:
        logs = [math.log10(max(point.cost, _LEAST)) for point in points]
        percents = [100 * point.top1 for point in points]
        room = max(0.04 * (max(logs) - min(logs)), 0.08)
        step = _step(max(percents) - min(percents))
        least = math.floor((min(percents) - 0.2 * step) / step) * step
        most = math.ceil((max(percents) + 0.2 * step) / step) * step
        return cls(min(logs) - room, max(logs) + room, max(least, 0), min(most, 100))

    def place(self, point: Point) -> tuple[float, float]:
        return self.along(point.cost), self.up(100 * point.top1)

    def along(self, cost: float) -> float:
        share = (math.log10(max(cost, _LEAST)) - self.low) / (self.high - self.low)
        return _LEFT + share * (_RIGHT - _LEFT)

    def up(self, percent: float) -> float:
        return _BOTTOM - (percent - self.least) / (self.most - self.least) * (_BOTTOM - _TOP)

    def sizes(self) -> Iterator[float]:
        """1, 2, 5, 10 ... as far as the axis goes; only powers of ten on a long one."""
        steps = (1, 2, 5) if self.high - self.low < 2.4 else (1, 3) if self.high - self.low < 3.6 else (1,)
        for power in range(math.floor(self.low), math.ceil(self.high) + 1):
            for factor in steps:
                if self.low <= math.log10(factor * 10.0**power) <= self.high:
                    yield factor * 10.0**power

    def percents(self) -> Iterator[float]:
        step = _step(self.most - self.least)
        for count in range(round((self.most - self.least) / step) + 1):
            yield self.least + count * step


def _step(reach: float) -> float:
    """Distance of the lines of a grid: about seven of them."""
    return next((step for step in (0.5, 1, 2, 5, 10, 20) if reach / step <= 9), 20)


def _by_family(points: Sequence[Point]) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda point: (point.cost, -point.top1, point.name)):
        found.setdefault(point.family, []).append(point)
    return found


def _front(points: Sequence[Point]) -> list[Point]:
    """From small to large, each better than all that are smaller."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.top1, point.name)):
        if not kept or point.top1 > kept[-1].top1:
            kept.append(point)
    return kept


def _ranked(points: Sequence[Point]) -> list[str]:
    """Families by how soon a model of theirs is at the front, as one front after the other is taken away."""
    order: dict[str, None] = {}
    left = list(points)
    while left:
        front = _front(left)
        counts: dict[str, int] = {}
        for point in front:
            counts[point.family] = counts.get(point.family, 0) + 1
        order |= dict.fromkeys(sorted(counts, key=lambda family: (-counts[family], family)))
        taken = set(front)
        left = [point for point in left if point not in taken]
    return list(order)


def _shapes(
    points: Sequence[Point],
    fronts: Mapping[str, Sequence[Point]],
    colours: Mapping[str, Colour],
    axes: _Axes,
) -> Image.Image:
    """Grid, lines and points, smoothed."""
    large = Image.new("RGB", (WIDTH * _FINER, HEIGHT * _FINER), (255, 255, 255))
    pen = ImageDraw.Draw(large)
    for percent in axes.percents():
        height = axes.up(percent) * _FINER
        pen.line((_LEFT * _FINER, height, _RIGHT * _FINER, height), fill=_GRID, width=_FINER)
    for size in axes.sizes():
        across = axes.along(size) * _FINER
        pen.line((across, _TOP * _FINER, across, _BOTTOM * _FINER), fill=_GRID, width=_FINER)
    # Others first, so that what has a name lies above.
    for family in sorted(fronts, key=lambda family: (family in colours, -_rank(family, colours))):
        colour = colours.get(family, _OTHERS)
        mine = [axes.place(point) for point in points if point.family == family]
        for place in mine:
            _dot(pen, place, 2.6 if family in colours else 2.2, _mixed(colour, 0.45))
        line = [axes.place(point) for point in fronts[family]]
        if len(line) > 1 and family in colours:
            pen.line([(x * _FINER, y * _FINER) for x, y in line], fill=colour, width=7, joint="curve")
        for place in line if family in colours else ():
            _dot(pen, place, 6.2, (255, 255, 255))
            _dot(pen, place, 4.8, colour)
    return large.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _rank(family: str, colours: Mapping[str, Colour]) -> int:
    return list(colours).index(family) if family in colours else 0


def _dot(pen: ImageDraw.ImageDraw, place: tuple[float, float], radius: float, colour: Colour) -> None:
    x, y, r = place[0] * _FINER, place[1] * _FINER, radius * _FINER
    pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _mixed(colour: Colour, strength: float) -> Colour:
    """A colour on white."""
    red, green, blue = (round(255 - strength * (255 - part)) for part in colour)
    return red, green, blue


def _frame(
    pen: ImageDraw.ImageDraw, axes: _Axes, counts: tuple[int, int, int], source: str, against: _Against
) -> None:
    """Title, ticks, names of the axes, source; counts of families, of those with a colour, and of models."""
    families, named, models = counts
    pen.text((_LEFT - 52, 30), against.title, fill=_INK, font=_font(34))
    others = f"; the {families - named} other families are grey" if families > named else ""
    words = f"{models:,} pretrained models. A line joins the best of a family {against.each}{others}."
    pen.text((_LEFT - 52, 80), words, fill=_SOFT, font=_font(18))
    for percent in axes.percents():
        text = f"{percent:g} %"
        pen.text((_LEFT - 12, axes.up(percent)), text, fill=_SOFT, font=_font(17), anchor="rm")
    for size in axes.sizes():
        pen.text((axes.along(size), _BOTTOM + 12), _short(size), fill=_SOFT, font=_font(17), anchor="ma")
    pen.text((_RIGHT, _BOTTOM + 42), against.label, fill=_INK, font=_font(18), anchor="ra")
    pen.text((_LEFT - 52, _TOP - 22), against.measure, fill=_INK, font=_font(18), anchor="ls")
    for place, line in enumerate(_broken(f"Source: {source}", 15)[:2]):
        pen.text((_LEFT - 52, HEIGHT - 58 + 22 * place), line, fill=_SOFT, font=_font(15))


def _labels(
    pen: ImageDraw.ImageDraw,
    fronts: Mapping[str, Sequence[Point]],
    colours: Mapping[str, Colour],
    axes: _Axes,
) -> None:
    """Each family's name at its line, then the best models' own names where there is room for them."""
    dots = [axes.place(point) for family in colours for point in fronts[family]]
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in dots]
    lines = [_segments([axes.place(point) for point in fronts[family]]) for family in colours]
    strokes = [box for line in lines for box in line]
    font = _font(21)
    for family, colour in colours.items():
        places = [axes.place(point) for point in reversed(fronts[family])]
        box = _free_place(font.getbbox(family), places, (*_GAPS, 34.0, 48.0), taken, strokes, anyhow=True)
        if box is not None:
            _written(pen, box, family, font, colour)
            taken.append(box)
    whole = [
        point for point in _front([p for front in fronts.values() for p in front]) if point.family in colours
    ]
    small = _font(14)
    for point in reversed(whole):
        box = _free_place(small.getbbox(point.name), [axes.place(point)], _GAPS, taken, strokes, anyhow=False)
        if box is not None:
            _written(pen, box, point.name, small, _SOFT)
            taken.append(box)


def _written(
    pen: ImageDraw.ImageDraw, box: Box, text: str, font: ImageFont.FreeTypeFont, colour: Colour
) -> None:
    pen.text((box[0], box[1]), text, fill=colour, font=font, anchor="lt", stroke_width=3, stroke_fill="white")


def _free_place(
    extent: tuple[float, float, float, float],
    places: Sequence[tuple[float, float]],
    gaps: Sequence[float],
    taken: Sequence[Box],
    strokes: Sequence[Box],
    *,
    anyhow: bool,
) -> Box | None:
    """Where a text lies free beside one of the places: off points, texts, lines; `anyhow`: or on a line."""
    width, height = extent[2] - extent[0], extent[3] - extent[1]
    boxes = [box for x, y in places for box in _around(x, y, width, height, gaps) if _within(box)]
    boxes = [box for box in boxes if not any(_overlap(box, other) for other in taken)]
    off_lines = (box for box in boxes if not any(_overlap(box, other) for other in strokes))
    return next(off_lines, boxes[0] if boxes and anyhow else None)


def _within(box: Box) -> bool:
    left, top, right, bottom = box
    return left >= _LEFT and right <= _RIGHT + 32 and top >= _TOP and bottom <= _BOTTOM


def _around(x: float, y: float, width: float, height: float, gaps: Sequence[float]) -> Iterator[Box]:
    """Boxes of a text beside a point: above, right, left, below, at one distance after the other."""
    for gap in gaps:
        for left, top in (
            (x - width / 2, y - gap - height),
            (x + gap, y - height / 2),
            (x - width, y - gap - height),
            (x, y - gap - height),
            (x + gap, y + gap / 2),
            (x - gap - width, y - height / 2),
            (x - width / 2, y + gap),
            (x, y + gap),
        ):
            yield left, top, left + width, top + height


def _segments(line: Sequence[tuple[float, float]]) -> list[Box]:
    """A line as small boxes, so that a text can be kept off it."""
    boxes: list[Box] = []
    for (x1, y1), (x2, y2) in pairwise(line):
        steps = max(1, math.ceil(math.hypot(x2 - x1, y2 - y1) / 6))
        for step in range(steps + 1):
            x, y = x1 + (x2 - x1) * step / steps, y1 + (y2 - y1) * step / steps
            boxes.append((x - 2, y - 2, x + 2, y + 2))
    return boxes


def _overlap(one: Box, other: Box) -> bool:
    return one[0] - 3 < other[2] and other[0] < one[2] + 3 and one[1] - 3 < other[3] and other[1] < one[3] + 3


def _short(size: float) -> str:
    for limit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if size >= limit:
            return f"{size / limit:g} {letter}"
    return f"{size:g}"


def _broken(text: str, size: int) -> list[str]:
    """A text in lines that fit the picture."""
    font, lines = _font(size), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if font.getlength(longer) <= _RIGHT - _LEFT + 52:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):  # a Pillow that was built without FreeType
        raise OSError("this Pillow was built without FreeType, which draws text; install Pillow's own wheel")
    return font
