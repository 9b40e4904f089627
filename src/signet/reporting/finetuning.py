"""The page of a fine-tuning: what was planned, how it went, which result was kept, and how good it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from signet.arrays import Bytes
from signet.images import Image
from signet.records import Calibration, Interval, Report
from signet.reporting.evaluation import (
    Reader,
    base_name,
    colophon,
    details,
    headline,
    key_figures,
    meaning,
    provenance,
    sentence,
)
from signet.reporting.page import (
    Comparison,
    Curves,
    Line,
    Note,
    Page,
    Panel,
    Reliability,
    Row,
    Scene,
    Scenes,
    Section,
    Table,
)
from signet.reporting.pictures import thumbnail
from signet.reporting.words import facts

_MOST_LINES = 4
FROZEN = (
    "Parameters, statistics and other buffers that training had to leave alone, hashed before it began and "
    "in the weights that were kept; they were compared at the end of every epoch, too."
)
ADAPTED = (
    "What the model was adapted to after it had learned, by what, and what is known of it. The figures at "
    "the top of this page are of the adapted model, on images of the kind that it learned from."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a fine-tuning leaves to tell.

    Attributes:
        model: the model it began with.
        dataset: what it learnt.
        report: the kept result on images that no decision used.
        candidates: what was tried, the kept one `chosen`: probe, fine-tuned, baselines.
        judged_on: which images the candidates were compared on.
        gain: how much better the fine-tuned one was than the probe on the same images, as a fraction, with
            the interval of paired draws; None when only one was tried.
        decided: why the kept one was kept, in words.
        plan: what was trained, what was frozen and why, as decided before the start: lines "name: words"; a
            name may come up several times.
        history: one mapping for each epoch: `epoch`, and figures whose names hold "loss" or not.
        kept: the epoch whose weights were kept.
        sheet: uint8 (H, W, 3), training pictures, one a row: as they are, then as the epochs saw them.
        seal: path, digest and size of the sealed model.
        paid: whether fine-tuning was worth its time, in words.
        frozen: what was frozen and the proof that it did not move: names and values.
        adapted: to which other images the model was adapted, and how: names and values.
        unscaled: reliability of the scores before temperature scaling; None where there was none.
        calibrated: what the temperature did, in words.
    """

    model: str
    dataset: str
    report: Report
    candidates: tuple[Row, ...] = ()
    judged_on: str = "the same images"
    gain: Interval | None = None
    decided: str = ""
    plan: Sequence[str] = ()
    history: Sequence[Mapping[str, float]] = ()
    kept: float | None = None
    sheet: Bytes | None = None
    seal: Mapping[str, Any] = field(default_factory=dict)
    paid: str = ""
    frozen: Sequence[tuple[str, str]] = ()
    adapted: Sequence[tuple[str, str]] = ()
    unscaled: Calibration | None = None
    calibrated: str = ""


def finetuning_page(story: Story, *, read: Reader | None = None) -> Page:
    """The page of one fine-tuning.

    Args:
        story: what happened.
        read: opens the images of the worst errors; `signet.decoding.read` when None.
    """
    report = story.report
    sections: list[Section] = [key_figures(report)]
    if report.notes:
        sections.append(Note(report.notes))
    if story.candidates:
        sections.append(Comparison("What was tried", story.candidates, _contest(story)))
    if story.history:
        sections.append(curves(story.history, kept=story.kept))
    if story.sheet is not None:
        sections.append(_sheet(story.sheet))
    sections += details(report, read=read)
    if story.unscaled is not None:
        sections.append(
            Reliability("Before temperature scaling", story.unscaled, f"{capitalised(story.calibrated)}.")
        )
    if story.frozen:
        sections.append(Table("What was frozen", tuple(story.frozen), lead=FROZEN))
    if story.adapted:
        sections.append(Table("Adapted to other images", tuple(story.adapted), lead=ADAPTED))
    if story.plan:
        sections.append(Table("The plan", _parted(story.plan), lead="Decided before training began."))
    if story.seal:
        sections.append(Table("The sealed model", facts(story.seal)))
    sections += provenance(report)
    return Page(
        title=headline(report),
        summary=sentence(report),
        sections=tuple(sections),
        kicker=f"Fine-tuning · {story.model} · {base_name(story.dataset)}",
        meaning=meaning(report),
        colophon=colophon(report),
    )


def _sheet(pixels: Bytes) -> Scenes:
    """The training pictures as they were learned from."""
    data = thumbnail(Image(pixels), max(pixels.shape))
    return Scenes(
        "What it learned from",
        (Scene("", "", (("as the model sees it, then epoch after epoch", data),)),),
        "Some training pictures, one in each row: on the left as the sealed model sees them, beside it as "
        "they were changed for learning. Where a person could no longer tell what they show, change less.",
    )


def _contest(story: Story) -> str:
    """On what the candidates were measured, what lies between them, and why the kept one was kept."""
    words = [f"Measured on {story.judged_on}."]
    if story.paid:
        words.append(f"{capitalised(story.paid)}.")
    elif story.gain is not None:
        gain = story.gain
        words.append(
            f"Fine-tuning changed the figure by {100 * gain.value:+.1f} points (95\u00a0% interval "
            f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}, both on the same images)."
        )
    if len(story.candidates) > 1:
        words.append(
            f"The marked one was kept: {story.decided}." if story.decided else "The marked one was kept."
        )
    return " ".join(words)


def capitalised(words: str) -> str:
    """A sentence's first letter in capitals, the rest as it is."""
    return words[:1].upper() + words[1:]


def _parted(lines: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, words.strip()) for name, _, words in (line.partition(":") for line in lines))


def curves(
    history: Sequence[Mapping[str, float]], *, step: str = "epoch", kept: float | None = None
) -> Curves:
    """Training curves from one mapping for each epoch: losses in one panel, all else in the other.

    Args:
        history: figures by name; a name that an epoch lacks leaves a gap.
        step: the key of the level axis; places count from 1 where it is missing.
        kept: the step whose weights were kept.
    """
    steps = tuple(float(row.get(step, place)) for place, row in enumerate(history, 1))
    names = list(dict.fromkeys(name for row in history for name in row if name != step))
    losses = [name for name in names if "loss" in name]
    drifts = [name for name in names if "ece" in name.split("_")]
    rates = [name for name in names if name not in (*losses, *drifts) and _are_fractions(history, name)]
    panels = []
    kinds = (("Loss", losses, False), ("Right", rates, True), ("Error of calibration", drifts, True))
    for title, chosen, fraction in kinds:
        lines = tuple(
            Line(_line_name(name, title), tuple(_number(row.get(name)) for row in history))
            for name in chosen[:_MOST_LINES]
        )
        if lines:
            panels.append(Panel(title, lines, fraction))
    return Curves("How training went", tuple(panels), steps, step, kept, _lead(losses))


def _lead(losses: Sequence[str]) -> str:
    """What to look for; a detector has a loss while it learns, and none on validation."""
    if len(losses) > 1:
        return "Training has gone too far where the loss of validation rises while that of training falls."
    return "Training has gone too far where validation gets worse while the loss still falls."


def _are_fractions(history: Sequence[Mapping[str, float]], name: str) -> bool:
    # Learning rates and seconds are no measure of success and would flatten the panel.
    if name in ("learning_rate", "lr", "seconds", "idle", "soup"):
        return False
    values = [_number(row.get(name)) for row in history]
    return all(value is None or 0 <= value <= 1 for value in values)


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _line_name(name: str, title: str) -> str:
    """`val_loss` as "validation", as the panel already says what is measured."""
    words = [word for word in name.replace("_", " ").replace("/", " ").split() if word != title.lower()]
    full = {
        "val": "validation",
        "valid": "validation",
        "train": "training",
        "top1": "",
        "accuracy": "",
        "ap": "AP",
        "ap50": "AP50",
        "miou": "mean IoU",
        "ece": "",
        "sample": "training, not augmented",
    }
    return " ".join(filter(None, (full.get(word, word) for word in words))) or name
