"""The parts of a page, as values: what is said, not how it looks.

Text is plain text everywhere; `render` escapes it. A name that came from a file or a user is put into a
sentence with `words.quoted`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from signet.arrays import Integers
from signet.records import Calibration, ClassReport, Interval, LabelReport


@dataclass(frozen=True, slots=True)
class Chapter:
    """The beginning of a part, when a page has several.

    Attributes:
        title: its heading.
        lead: one paragraph.
    """

    title: str
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One result in large letters.

    Attributes:
        text: the sentence.
        meaning: what follows from it, in small letters.
    """

    text: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure.

    Attributes:
        name: what it is.
        value: as it is shown: "83.2 %".
        note: the line below it.
        interval: drawn as a small dot and whisker on a scale from 0 to 1; None for a plain number.
    """

    name: str
    value: str
    note: str = ""
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Tiles:
    """Key figures side by side."""

    tiles: tuple[Tile, ...]
    title: str = ""
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant of a comparison.

    Attributes:
        name: who.
        figure: how well, 0 to 1.
        note: a remark below the name.
        chosen: the one that the page is about.
    """

    name: str
    figure: Interval
    note: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contestants on one scale, each a dot with its interval."""

    title: str
    rows: tuple[Row, ...]
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """How far one contestant is from another.

    Attributes:
        name: who.
        figure: the difference of two fractions, -1 to 1.
        note: a remark below the name.
    """

    name: str
    figure: Interval
    note: str = ""


@dataclass(frozen=True, slots=True)
class Differences:
    """Differences on one scale with 0 in it, each a dot with its interval; those apart from 0 stand out."""

    title: str
    rows: tuple[Gap, ...]
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """One model of a trade-off.

    Attributes:
        number: by which the reader finds it in a table.
        name: who.
        figure: how well, 0 to 1.
        milliseconds: for one image, above 0.
        size_bytes: of its file; None when it is not known.
        chosen: the one that the page is about.
    """

    number: int
    name: str
    figure: Interval
    milliseconds: float
    size_bytes: int | None = None
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """Models by time and accuracy, the area of each circle its size; a line joins what no other beats.

    Attributes:
        title: its heading.
        marks: at least one.
        lead: one paragraph.
        level: of the intervals, in words: "90 %".
    """

    title: str
    marks: tuple[Mark, ...]
    lead: str = ""
    level: str = "95\u00a0%"


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """What was taken for what: a picture of up to 30 classes, and the pairs most confused.

    Attributes:
        title: its heading.
        labels: C names.
        counts: int64 (C, C), rows truth, columns answer.
        lead: one paragraph.
        unit: what is counted; of pixels, which are many, the cells show per cent of the row.
    """

    title: str
    labels: tuple[str, ...]
    counts: Integers
    lead: str = ""
    unit: Literal["images", "objects", "pixels"] = "images"


@dataclass(frozen=True, slots=True)
class ClassBars:
    """How each class fared, the worst first; of many classes both ends, the rest folded away.

    Attributes:
        title: its heading.
        rows: the classes, in any order.
        measure: which figure the bars show: recall, precision, f1, ap, mask_ap, iou.
        lead: one paragraph.
        unit: what the last figure of a row counts.
    """

    title: str
    rows: tuple[ClassReport, ...] | tuple[LabelReport, ...]
    measure: str = "recall"
    lead: str = ""
    unit: str = "test images of the class"


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Whether scores mean what they say: fraction right against score."""

    title: str
    calibration: Calibration
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: a value for each step, None where there is none."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves that share their axes.

    Attributes:
        title: what the upright axis shows.
        lines: at most 4.
        fraction: values are fractions, shown as per cent.
        whole: the upright axis goes from 0 to 1, so that panels can be compared.
    """

    title: str
    lines: tuple[Line, ...]
    fraction: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Curves:
    """How figures went during training, or one against another.

    Attributes:
        title: its heading.
        panels: small charts side by side.
        steps: the place of each value on the level axis, rising.
        step: what a step is.
        kept: the step whose weights were kept, marked in each panel.
        lead: one paragraph.
    """

    title: str
    panels: tuple[Panel, ...]
    steps: tuple[float, ...]
    step: str = "epoch"
    kept: float | None = None
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One image with its answer.

    Attributes:
        data: a `data:` address of the thumbnail, or "" when the picture is not there.
        source: the file's name.
        answers: labels with scores, best first.
        truth: the right label, or "" when nobody knows.
        note: a line below.
        names: who gives each answer, where it is not one model's.
    """

    data: str
    source: str
    answers: tuple[tuple[str, float], ...] = ()
    truth: str = ""
    note: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pictures:
    """A grid of images."""

    title: str
    pictures: tuple[Picture, ...]
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """One image in large, with truth and answer.

    Attributes:
        source: the file's name.
        note: how it fared.
        pictures: a caption and a `data:` address each; "" for one that is not there.
    """

    source: str
    note: str
    pictures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Scenes:
    """Images in large, one below another or side by side.

    Attributes:
        title: its heading.
        scenes: in reading order.
        lead: one paragraph.
        small: pictures as small as in a gallery, several scenes in a row.
    """

    title: str
    scenes: tuple[Scene, ...]
    lead: str = ""
    small: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text: with `columns` a table, without them names and values.

    Attributes:
        title: its heading.
        rows: all of one length; 2 where there are no columns.
        columns: headings.
        lead: one paragraph.
        folded: closed at first, to be opened by the reader (open on paper).
    """

    title: str
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()
    lead: str = ""
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a reader must know."""

    texts: tuple[str, ...]
    title: str = "Worth knowing"


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands to copy, one a line."""

    title: str
    lines: tuple[str, ...]
    lead: str = ""


Section = (
    Chapter
    | Sentence
    | Tiles
    | Comparison
    | Differences
    | Tradeoff
    | Confusion
    | ClassBars
    | Reliability
    | Curves
    | Pictures
    | Scenes
    | Table
    | Note
    | Commands
)
"""Every kind of section; each has a template of its name."""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page.

    Attributes:
        title: the headline.
        summary: the paragraph below it.
        sections: in reading order.
        kicker: the small line above the headline: what this is.
        meaning: what follows from the summary, in smaller letters.
        colophon: the last line: who made it, when.
    """

    title: str
    summary: str
    sections: tuple[Section, ...]
    kicker: str = ""
    meaning: str = ""
    colophon: str = ""
