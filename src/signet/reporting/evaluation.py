"""The page of an evaluation, and the sections that other pages take from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from signet.errors import SignetError
from signet.images import Image
from signet.records import Calibration, ClassReport, Interval, Mistake, Report
from signet.reporting.dense import object_sections, pixel_sections
from signet.reporting.page import (
    ClassBars,
    Comparison,
    Confusion,
    Note,
    Page,
    Picture,
    Pictures,
    Reliability,
    Row,
    Section,
    Table,
    Tile,
    Tiles,
)
from signet.reporting.pictures import thumbnail
from signet.reporting.words import counted, duration, facts, percent, points, quoted, span, whole
from signet.statistics import wilson

Reader = Callable[[str], Image]
"""Opens an image by its source."""

MOST_PICTURES = 20

_VERSION = "version "  # how the keys of provenance begin that tell a package's version

_METRICS = {
    "top1": ("Right", "the best answer is the right one"),
    "top5": ("Among the best five", "the right answer is one of five"),
    "f1_macro": ("F1, mean of classes", "every class counts alike"),
    "f1_micro": ("F1, all answers", "every image and label counts alike"),
    "ece": ("Calibration error", "mean gap between score and truth"),
    "ap": ("Average precision", "mean of classes"),
}

_DENSE = {
    "ap": ("AP", "boxes, COCO's mean over overlaps"),
    "ap50": ("AP50", "boxes, overlap at least 0.5"),
    "ap75": ("AP75", "boxes, overlap at least 0.75"),
    "ar100": ("AR100", "recall of boxes, 100 answers"),
    "mask_ap": ("Mask AP", "masks, COCO's mean over overlaps"),
    "mask_ap50": ("Mask AP50", "masks, overlap at least 0.5"),
    "voc_ap": ("AP of Pascal VOC", "boxes, all points of the curve"),
    "miou": ("Mean IoU", "intersection over union, mean of labels"),
    "pixel_accuracy": ("Pixels right", "of those whose truth is known"),
    "dice": ("Dice", "mean of labels"),
    "boundary_f1": ("Boundary F1", "mean of images, off by 0.75\u00a0% of the diagonal at most"),
}
"""Tiles of objects and pixels; the other figures are in a table."""

_HEADLINE = {
    "classify": ("Average precision", "average precision"),
    "detect": ("AP", "average precision (COCO's, by boxes)"),
    "instances": ("Mask AP", "average precision (COCO's, by masks)"),
    "segment": ("Mean IoU", "mean intersection over union"),
}
"""In the title, and in a sentence."""


def evaluation_page(report: Report, *, rows: Sequence[Row] = (), read: Reader | None = None) -> Page:
    """The page of one evaluation.

    Args:
        report: what was measured.
        rows: baselines or other models on the same images, shown beside it.
        read: opens the images of the worst errors; `signet.decoding.read` when None. One that cannot be
            opened any more is left without a picture.
    """
    model, data = _name(report, "model"), base_name(_name(report, "dataset"))
    sections: list[Section] = [key_figures(report)]
    if rows:
        sections.append(Comparison("Beside others", tuple(rows), "All measured on the same test images."))
    if report.notes:
        sections.append(Note(report.notes))
    sections += details(report, read=read)
    sections += provenance(report)
    return Page(
        title=headline(report),
        summary=sentence(report),
        sections=tuple(sections),
        kicker=" · ".join(part for part in ("Evaluation", model, data) if part),
        meaning=meaning(report),
        colophon=colophon(report),
    )


def headline(report: Report) -> str:
    """The result in a few words."""
    images = counted(report.count, "test image", "test images")
    if cross_validated(report):
        images = f"{counted(report.count, 'image', 'images')}, cross-validated"
    if "top1" in report.metrics:
        return f"Right on {percent(report.metrics['top1'].value)} of {images}"
    return f"{_HEADLINE[report.task][0]} {percent(main_figure(report).value)} on {images}"


def main_figure(report: Report) -> Interval:
    """The one figure that stands for a report; NaN where nothing could be counted."""
    for name in ("top1", "miou", "mask_ap", "ap"):
        if name in report.metrics:
            return report.metrics[name]
    return Interval(math.nan, math.nan, math.nan)


def sentence(report: Report) -> str:
    """The result in one sentence, with its interval."""
    nested = cross_validated(report)
    images = counted(report.count, *(("image", "images") if nested else ("test image", "test images")))
    figure, named = main_figure(report), _HEADLINE[report.task][1]
    reach = f"{percent(figure.value)} (95\u00a0% interval {span(figure)})"
    if nested:
        what = "the answers were right on" if "top1" in report.metrics else f"the {named} was"
        return (
            f"On {images}, each answered by a model that had not learned from it (nested cross-validation), "
            f"{what} {reach}."
        )
    what = "the model was right on" if "top1" in report.metrics else f"the model's {named} was"
    return f"On {images} {what} {reach}."


def cross_validated(report: Report) -> bool:
    """Whether the images are those that were learned from, each measured when it was held out."""
    return "cross-validation" in str(report.provenance.get("measured_on", ""))


def meaning(report: Report) -> str:
    """What the interval says, in a sentence for those who have not met one."""
    figure = main_figure(report)
    if math.isnan(figure.high - figure.low):
        return ""
    half = points((figure.high - figure.low) / 2)
    return (
        "With ever more test images of the same kind the figure would most likely settle inside the "
        f"interval. A difference of less than about {half} from another model may be chance."
    )


def key_figures(report: Report, title: str = "") -> Tiles:
    """The metrics, the number of images and the time, as tiles."""
    tiles = []
    known = _METRICS if report.task == "classify" else _DENSE
    for name, figure in report.metrics.items():
        if name not in known and report.task != "classify":
            continue
        words, note = known.get(name, (name.replace("_", " "), ""))
        tiles.append(Tile(words, percent(figure.value), note, figure))
    rate = f"{whole(round(report.count / report.seconds))} a second" if report.seconds > 0 else ""
    unread = f"; {whole(len(report.unreadable))} unreadable" if report.unreadable else ""
    classes = counted(sum(row.count > 0 for row in report.per_class), *_nouns(report))
    tiles.append(Tile("Images", whole(report.count), f"{classes}{unread}"))
    tiles.append(Tile("Time", duration(report.seconds), rate))
    return Tiles(tuple(tiles), title)


def _nouns(report: Report) -> tuple[str, str]:
    return ("class", "classes") if report.task == "classify" else ("label", "labels")


def details(report: Report, *, read: Reader | None = None) -> list[Section]:
    """What is behind the figures, the worst of it with pictures, and what could not be read."""
    from signet.decoding import read as from_disk

    match report.task:
        case "segment":
            sections = pixel_sections(report, read or from_disk)
        case "detect" | "instances":
            sections = object_sections(report, read or from_disk)
        case _:
            sections = _class_sections(report, read)
    if report.unreadable:
        rows = tuple((row.source, row.error.removeprefix(f"{row.source}: ")) for row in report.unreadable)
        lead = "These are part of no figure on this page."
        sections.append(Table("Could not be read", rows, ("file", "why"), lead, folded=len(rows) > 12))
    return sections


def _class_sections(report: Report, read: Reader | None) -> list[Section]:
    """Confusion, classes, reliability and the worst errors."""
    sections: list[Section] = []
    if len(report.labels) > 1:
        sections.append(
            Confusion("What was taken for what", report.labels, report.confusion, _confused(report))
        )
        sections.append(ClassBars("Class by class", report.per_class, lead=_extremes(report)))
        sections.append(_classes(report))
    if report.calibration is not None and report.calibration.counts.sum():
        sections.append(
            Reliability(
                "Do the scores mean what they say?", report.calibration, _sureness(report.calibration)
            )
        )
    if report.mistakes:
        lead = "Wrong answers that the model was most sure of. Some of them may be wrong labels."
        shown = report.mistakes[:MOST_PICTURES]
        sections.append(Pictures("The worst errors", tuple(mistake(one, read) for one in shown), lead))
    return sections


def mistake(one: Mistake, read: Reader | None = None) -> Picture:
    """A wrong answer as a picture with its most probable labels and the right one."""
    answers = list(one.top[:3]) or [(one.answer, one.score)]
    if one.truth not in (label for label, _ in answers):
        answers = [*answers[:2], (one.truth, one.truth_score)]
    return Picture(picture_of(one.source, read), PurePath(one.source).name, tuple(answers), one.truth)


def picture_of(source: str, read: Reader | None = None) -> str:
    """The thumbnail of a source; "" when it cannot be opened (any more)."""
    from signet.decoding import read as from_disk

    try:
        return thumbnail((read or from_disk)(source))
    except (SignetError, OSError):
        return ""


def provenance(report: Report) -> list[Table]:
    """Where model, data and figures come from, as tables."""
    parts: dict[str, dict[str, Any]] = {"The model": {}, "The data": {}, "How it was made": {}}
    for key, value in report.provenance.items():
        if key.startswith(_VERSION):
            continue
        part = "The model" if key.startswith(("model", "seal")) else "How it was made"
        part = "The data" if key.startswith(("data", "split", "images")) else part
        parts[part][key] = value
    versions = [
        f"{key.removeprefix(_VERSION)} {value}"
        for key, value in report.provenance.items()
        if key.startswith(_VERSION)
    ]
    parts["How it was made"]["versions"] = ", ".join(versions)
    parts["How it was made"]["time"] = duration(report.seconds)
    return [Table(title, facts(_unwrapped(values))) for title, values in parts.items() if values]


def _unwrapped(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"model": {"name": ...}}` as `{"name": ...}`: the table's title says the rest."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and key in ("model", "dataset", "data"):
            flat.update(value)
        else:
            flat[key] = value
    return flat


def _name(report: Report, key: str) -> str:
    value = report.provenance.get(key, "")
    if isinstance(value, Mapping):
        value = value.get("name", "")
    return str(value)


def base_name(path: str) -> str:
    """The last part of a path: what stands at the head of a page names no folders of a machine."""
    return PurePath(path).name or path


def colophon(report: Report) -> str:
    """The last line of a page: what made it, and when."""
    version = report.provenance.get(f"{_VERSION}signet") or ""
    date = report.provenance.get("date") or ""
    return "Made by Signet" + (f" {version}" if version else "") + (f" on {date}." if date else ".")


def _rows(report: Report) -> tuple[ClassReport, ...]:
    return tuple(row for row in report.per_class if isinstance(row, ClassReport))


def _classes(report: Report) -> Table:
    """What the bars leave out."""
    rows = tuple(
        (
            row.label,
            whole(row.count),
            *(_figure(one) for one in (row.recall, row.precision, row.f1, row.ap) if one),
        )
        for row in _rows(report)
        if row.count
    )
    lead = (
        "Recall: of the images of the class, the part that was called so. Precision: of the images called "
        "so, the part that is. F1: the harmonic mean of both. With 95\u00a0% intervals."
    )
    columns: tuple[str, ...] = ("class", "images", "recall", "precision", "F1")
    if any(row.ap for row in _rows(report)):
        columns = (*columns, "average precision")
    return Table("Recall, precision and F1 of each class", rows, columns, lead, folded=True)


def _figure(figure: Interval) -> str:
    return "unknown" if math.isnan(figure.value) else f"{percent(figure.value)} ({span(figure)})"


def _confused(report: Report) -> str:
    wrong = report.confusion.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return ""
    row, column = (int(place) for place in np.unravel_index(int(wrong.argmax()), wrong.shape))
    total = int(report.confusion[row].sum())
    if wrong[row, column] == 1 and np.count_nonzero(wrong) > 1:
        return "No class was taken for the same other one more than once."
    return (
        f"Most often {quoted(report.labels[row])} was called {quoted(report.labels[column])}: "
        f"{whole(int(wrong[row, column]))} of its {counted(total, 'image', 'images')}."
    )


def _extremes(report: Report) -> str:
    rows = sorted((row for row in _rows(report) if row.count), key=lambda row: row.recall.value)
    if len(rows) < 2:
        return ""
    worst, best = rows[0].recall.value, rows[-1].recall.value
    if worst == best:
        return f"Every class was found alike: {percent(best)} of its images."
    return f"Found best: {_those(rows, best)} of its images. Found worst: {_those(rows, worst)}."


def _those(rows: Sequence[ClassReport], recall: float) -> str:
    """The first class with that recall, how many share it, and the figure."""
    first, *others = [row.label for row in rows if row.recall.value == recall]
    also = f" and {counted(len(others), 'other', 'others')}, each" if others else ","
    return f"{quoted(first)}{also} {percent(recall)}"


def _sureness(calibration: Calibration) -> str:
    counts = calibration.counts
    filled = counts > 0
    sure = float(calibration.confidence[filled] @ counts[filled] / counts.sum())
    right = float(calibration.accuracy[filled] @ counts[filled] / counts.sum())
    gap = sure - right
    means = f"The mean score is {percent(sure)}, and {percent(right)} of the answers are right"
    if abs(gap) < 0.01:
        return f"{means}: over all, the scores are honest."
    chance = wilson(right * int(counts.sum()), int(counts.sum()))
    if chance.low <= sure <= chance.high:
        return f"{means}: over all, a difference that chance alone can make."
    return f"{means}: on average the model is {points(gap)} too {'sure' if gap > 0 else 'modest'}."
