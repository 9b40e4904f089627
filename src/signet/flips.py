"""How often two forms of one model decide alike on somebody's images, and what the others cost."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from signet.records import Interval


@dataclass(frozen=True, slots=True)
class Flip:
    """An image that is decided otherwise.

    Attributes:
        source: the image.
        before: the reference's answer, in words: the first label, or how many objects.
        before_score: of that label; None where there is none.
        now: the answer that is judged.
        now_score: of it.
        truth: what is right, where it is known.
        note: what differs, of boxes, masks and maps.
    """

    source: str
    before: str
    before_score: float | None
    now: str
    now_score: float | None
    truth: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the differences cost in accuracy, on the images whose truth is known.

    Attributes:
        images: whose truth is known and which both answered.
        reference: share of right answers of the reference.
        now: the same of what is judged.
        difference: `now` minus `reference`, image by image.
        lost: images that the reference answers rightly and the other does not.
        won: the reverse.
        p: of McNemar's exact test.
    """

    images: int
    reference: Interval
    now: Interval
    difference: Interval
    lost: int
    won: int
    p: float


@dataclass(frozen=True, slots=True)
class Flips:
    """Decisions on somebody's images.

    Attributes:
        reference: engine and precision that the others are held to.
        judged: engine and precision, or the program, that is held to it.
        images: that both answered.
        unanswered: that one of them did not; the first reason is in the notes.
        per_thousand: images of 1,000 that are decided otherwise, with the 95 % interval.
        flips: all of them, those first of which the reference is surest.
        cost: in accuracy; None where no truth is known.
        notes: what a reader must know.
    """

    reference: str
    judged: str
    images: int
    unanswered: int
    per_thousand: Interval
    flips: tuple[Flip, ...]
    cost: Cost | None = None
    notes: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """One sentence for a person."""
        per = self.per_thousand
        words = (
            f"{self.images - len(self.flips)} of {self.images} images are decided as {self.reference} does: "
            f"{per.value:.3g} flips per 1,000 (95 % interval {per.low:.2g} to {per.high:.3g})"
        )
        if self.cost is None:
            return f"{words}."
        gap = self.cost.difference
        return (
            f"{words}; accuracy {100 * self.cost.now.value:.1f} % in place of "
            f"{100 * self.cost.reference.value:.1f} %, {100 * gap.value:+.2f} points (95 % interval "
            f"{100 * gap.low:+.2f} to {100 * gap.high:+.2f})."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = dataclasses.asdict(self)
        return {
            "reference": plain["reference"],
            "judged": plain["judged"],
            "images": self.images,
            "agree": self.images - len(self.flips),
            "unanswered": self.unanswered,
            "flips_per_1000": plain["per_thousand"],
            "accuracy": plain["cost"],
            "flips": plain["flips"],
            "notes": list(self.notes),
        }
