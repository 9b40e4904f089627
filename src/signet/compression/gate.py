"""The gate: which loss is let through, and what it is judged by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from signet.errors import BadRequest
from signet.records import Interval

SMALLEST_COUNT = 20
"""Fewer images than this decide nothing: one more wrong answer among them is five points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a compressed model may lose.

    Attributes:
        max_drop: greatest loss of the figure that is judged, as a fraction: 0.01 is one point.
        min_alike: least share of images that are decided as before, right or wrong. A net loss of nothing can
            hide many answers that went wrong and as many that came right.
        proven: the upper end of the drop's 95 % interval counts in place of the drop itself. Of 250 images
            without one changed answer it is 1.1 points, of 1,000 it is 0.3: this asks for many images.
    """

    max_drop: float = 0.01
    min_alike: float = 0.95
    proven: bool = False

    def __post_init__(self) -> None:
        for name, value in (("max_drop", self.max_drop), ("min_alike", self.min_alike)):
            if not 0 <= value <= 1:
                raise BadRequest(f"{name}: expected a fraction from 0 to 1, got {value:g}.")

    def rule(self) -> str:
        """The rule in words, for reports."""
        judged = "the upper end of the drop's 95 % interval" if self.proven else "the drop on these images"
        return (
            f"{judged} at most {100 * self.max_drop:g} points, and at least {100 * self.min_alike:g} % "
            "of the decisions as before"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the gate says of one candidate.

    Attributes:
        metric: the figure that is judged: "top1", "ap", "miou" ...
        drop: before minus after, paired, as a fraction, with its 95 % interval; above 0 is a loss.
        count: images that it rests on.
        alike: of them, those that are decided as before.
        gate: the rule.
    """

    metric: str
    drop: Interval
    count: int
    alike: int
    gate: Gate

    @property
    def alike_share(self) -> float:
        """Of all images, those decided as before."""
        return self.alike / self.count

    @property
    def judged(self) -> float:
        """The drop that is held to the rule; NaN where it is not known."""
        return self.drop.high if self.gate.proven else self.drop.value

    @property
    def passed(self) -> bool:
        """Whether it is let through."""
        return not self.faults()

    @property
    def proven(self) -> bool:
        """Whether these images are enough to say that the drop is within the bound, and not only was here."""
        return self.drop.high <= self.gate.max_drop

    def faults(self) -> tuple[str, ...]:
        """Why it is refused, in words; nothing where it passes."""
        found = []
        if self.count < SMALLEST_COUNT:
            found.append(f"{self.count} images decide nothing: at least {SMALLEST_COUNT} are needed")
        if math.isnan(self.judged) or self.judged > self.gate.max_drop + 1e-12:
            what = "may drop by up to" if self.gate.proven else "drops by"
            found.append(
                f"{self.metric} {what} {100 * self.judged:.2f} points, allowed {100 * self.gate.max_drop:g}"
            )
        if self.alike_share < self.gate.min_alike:
            found.append(
                f"{self.count - self.alike} of {self.count} decisions are others "
                f"({100 * self.alike_share:.1f} % as before, at least {100 * self.gate.min_alike:g} % needed)"
            )
        return tuple(found)

    def words(self) -> str:
        """One sentence: what was measured, and how sure that is."""
        drop = self.drop
        sure = (
            "these images are enough to say so"
            if self.proven
            else "these images are too few to rule out a greater drop"
        )
        return (
            f"{self.metric} drops by {100 * drop.value:.2f} points (95 % interval {100 * drop.low:.2f} to "
            f"{100 * drop.high:.2f}), {self.alike} of {self.count} decisions as before; {sure}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "passed": self.passed,
            "faults": list(self.faults()),
            "rule": self.gate.rule(),
            "max_drop": self.gate.max_drop,
            "min_alike": self.gate.min_alike,
            "proven_asked": self.gate.proven,
            "proven": self.proven,
        }
