"""The sections of a report on objects or pixels: curves, labels, confusion, the worst images, and errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import PurePath

from signet.boxes import Boxes
from signet.errors import SignetError
from signet.images import Image
from signet.instances import Instances
from signet.records import Curve, ImageReport, Interval, LabelReport, ObjectError, Report
from signet.reporting.page import (
    ClassBars,
    Confusion,
    Curves,
    Line,
    Panel,
    Picture,
    Pictures,
    Scene,
    Scenes,
    Section,
    Table,
)
from signet.reporting.pictures import thumbnail
from signet.reporting.scenes import LONGEST, crop, object_scene, pixel_scene
from signet.reporting.words import percent, quoted, span, whole
from signet.segments import SegmentMap

Reader = Callable[[str], Image]
MOST_CROPS = 10
OFTEN = 10
"""Objects from which on a label's curve is more than chance."""
MOST_SCENES = {"objects": 8, "pixels": 5}

_ERRORS = {
    "missed": ("Missed", "Objects that no answer found, the largest first."),
    "confused": ("Taken for another", "Found, but called otherwise, the surest first."),
    "false alarm": ("Seen where nothing is", "Answers that stand for nothing, the surest first. Some of them "
                    "may be objects that the truth lacks."),
}  # fmt: skip


def object_sections(report: Report, read: Reader) -> list[Section]:
    """Precision against recall, labels, confusion with the background, worst images, errors by kind."""
    mask = any("mask_ap" in row.figures for row in _rows(report))
    measure = "mask_ap" if mask else "ap"
    sections: list[Section] = [_all_figures(report)]
    if report.curves:
        sections.append(_curves(report))
    sections.append(
        ClassBars("Label by label", _rows(report), measure, _extremes(report, measure), "objects")
    )
    sections.append(_table(report, (measure, f"{measure}50", "precision", "recall", "f1"), "objects"))
    lead = (
        f"Answers with a score of {report.score or 0:.3g} or more. The last row is what was seen where "
        "nothing is, the last column what was missed."
    )
    labels = (*report.labels[:-1], "nothing")
    sections.append(Confusion("What was taken for what", labels, report.confusion, lead, "objects"))
    if report.worst:
        shown = report.worst[: MOST_SCENES["objects"]]
        lead = "Those with the lowest F1. Blue: missed. Orange: wrong, with the score. White and thin: found."
        sections.append(Scenes("The worst images", tuple(_object_scene(one, read) for one in shown), lead))
    for kind, (title, words) in _ERRORS.items():
        errors = [one for one in report.errors if one.kind == kind][:MOST_CROPS]
        if errors:
            sections.append(Pictures(title, tuple(_crop(one, read) for one in errors), words))
    return sections


def pixel_sections(report: Report, read: Reader) -> list[Section]:
    """Labels, confusion of pixels, and the worst images with truth, answer and difference."""
    unit = "images that have the label"
    sections: list[Section] = [
        ClassBars("Label by label", _rows(report), "iou", _extremes(report, "iou"), unit),
        _table(report, ("iou", "dice", "precision", "recall"), "images"),
    ]
    if len(report.labels) > 1:
        sections.append(
            Confusion("What was taken for what", report.labels, report.confusion, "In pixels.", "pixels")
        )
    if report.worst:
        shown = report.worst[: MOST_SCENES["pixels"]]
        lead = "The images with the lowest mean intersection over union of their labels."
        sections.append(Scenes("The worst images", tuple(_pixel_scene(one, read) for one in shown), lead))
    return sections


def _rows(report: Report) -> tuple[LabelReport, ...]:
    return tuple(row for row in report.per_class if isinstance(row, LabelReport))


def _all_figures(report: Report) -> Table:
    rows = tuple((name, percent(figure.value), span(figure)) for name, figure in report.metrics.items())
    lead = (
        "ap: the mean over least overlaps of 0.5 to 0.95; ap50 and ap75: at one. small, medium, large: "
        "objects of up to 32, up to 96, and more pixels squared. ar1, ar10, ar100: recall with as many "
        "answers a label and image. mask_: by masks instead of boxes. voc_ap, voc07_ap: as Pascal VOC counts."
    )
    return Table("All figures", rows, ("figure", "value", "95\u00a0% interval"), lead, folded=True)


def _curves(report: Report) -> Curves:
    """The mean, the labels with the most objects, and those with the least precision."""
    mean, *each = report.curves
    panels = [Panel("All labels, the mean", (_line(mean, "mean"),), fraction=True, whole=True)]
    counts = {row.label: row.count for row in _rows(report)}
    if len(each) > 1:
        most = sorted(each, key=lambda curve: -counts.get(curve.label, 0))[:4]
        panels.append(Panel("The most frequent labels", tuple(map(_line, most)), fraction=True, whole=True))
    often = [curve for curve in each if counts.get(curve.label, 0) >= OFTEN]
    if len(often) > 4:
        least = sorted(often, key=lambda curve: sum(curve.precision))[:4]
        panels.append(
            Panel(
                f"The worst with {OFTEN} objects or more", tuple(map(_line, least)), fraction=True, whole=True
            )
        )
    lead = "Precision against recall, at an overlap of at least 0.5. The area below a curve is AP50."
    return Curves(
        "Precision and recall", tuple(panels), tuple(map(float, range(101))), "recall, %", lead=lead
    )


def _line(curve: Curve, name: str = "") -> Line:
    return Line(name or curve.label, curve.precision)


def _extremes(report: Report, measure: str) -> str:
    rows = [row for row in _rows(report) if row.count and not math.isnan(row.figures[measure].value)]
    if len(rows) < 2:
        return ""
    rows.sort(key=lambda row: row.figures[measure].value)
    worst, best = rows[0], rows[-1]
    few = any(math.isnan(row.figures[measure].low) for row in rows)
    return (
        f"Best: {quoted(best.label)}, {percent(best.figures[measure].value)}. "
        f"Worst: {quoted(worst.label)}, {percent(worst.figures[measure].value)}."
        + (" The interval of a label that only a few images have is unknown." if few else "")
    )


def _table(report: Report, names: Sequence[str], unit: str) -> Table:
    rows = tuple(
        (row.label, whole(row.count), *(_figure(row.figures[name]) for name in names))
        for row in _rows(report)
        if row.count
    )
    columns = ("label", unit, *(name.replace("_", " ") for name in names))
    lead = "With 95\u00a0% intervals over images."
    return Table("All figures of each label", rows, columns, lead, folded=True)


def _figure(figure: Interval) -> str:
    return "unknown" if math.isnan(figure.value) else f"{percent(figure.value)} ({span(figure)})"


def _object_scene(one: ImageReport, read: Reader) -> Scene:
    truth, answer = one.truth, one.answer
    data = ""
    if isinstance(truth, Boxes | Instances) and isinstance(answer, Boxes | Instances):
        image = _opened(one.source, read)
        data = "" if image is None else thumbnail(object_scene(image, truth, answer), LONGEST)
    return Scene(PurePath(one.source).name, f"F1 {percent(one.figure)}", (("truth and answer", data),))


def _pixel_scene(one: ImageReport, read: Reader) -> Scene:
    pictures = [("truth", ""), ("answer", "")]
    image = _opened(one.source, read)
    if image is not None and isinstance(one.truth, SegmentMap) and isinstance(one.answer, SegmentMap):
        views = pixel_scene(image, one.truth, one.answer)
        pictures = [(caption, thumbnail(view, LONGEST)) for caption, view in views]
    words = f"Intersection over union {percent(one.figure)}"
    return Scene(PurePath(one.source).name, words, tuple(pictures))


def _crop(one: ObjectError, read: Reader) -> Picture:
    image = _opened(one.source, read)
    data = "" if image is None else thumbnail(crop(image, one.xyxy, one.kind != "missed"), 240)
    answers = () if one.score is None else ((one.answer, one.score),)
    truth = "" if one.kind == "false alarm" else one.label
    return Picture(data, PurePath(one.source).name, answers, truth)


def _opened(source: str, read: Reader) -> Image | None:
    try:
        return read(source)
    except (SignetError, OSError):
        return None
