"""What an adaptation to a target came to, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from signet.finetuning.domains.methods import Method
from signet.naming import shown
from signet.records import Interval

if TYPE_CHECKING:
    from signet.training.entropy_descent import Descended


@dataclass(frozen=True, slots=True)
class Answers:
    """How a network answers to the target, as far as that is seen without labels.

    Attributes:
        confidence: mean score of the answers.
        information: between image and answer, 0 to 1; see `evidence.information`.
        spread: how evenly the answers fall on the classes, 0 to 1.
    """

    confidence: float
    information: float
    spread: float

    def to_dict(self) -> dict[str, float]:
        """Plain JSON."""
        return {name: round(getattr(self, name), 12) for name in ("confidence", "information", "spread")}


@dataclass(frozen=True, slots=True)
class Measured:
    """What an adaptation did to the share of right answers.

    Attributes:
        images: how many say so.
        before: share of right answers without it.
        after: with it.
        difference: after less before, paired.
    """

    images: int
    before: Interval
    after: Interval
    difference: Interval

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "images": self.images,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "difference": self.difference.to_dict(),
        }

    def words(self) -> str:
        """Before, after, and the difference."""
        gap = self.difference
        return (
            f"{self.before} before, {self.after} after: {100 * gap.value:+.1f} points (95 % interval "
            f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}, {self.images} images)"
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DomainAdaptation:
    """What became of a target.

    Attributes:
        asked: as the recipe has it.
        method: what the sealed network was adapted by; "none" leaves it as it was.
        why: the reasons, a sentence each.
        target: as it was named.
        images: that it was adapted to.
        told_apart: area under the curve of a probe that tells source from target; None for too few images.
        distance: of the features of target and source, before and after; see `domain_shift.frechet`.
        answers: to the target, before and after.
        agreement: share of the target's images whose answer stayed.
        tried: by how much each method that was tried adds to the information; see `evidence.gain`.
        measured: on labelled images of the target; None where nobody said what they show.
        apart: whether those are other images than it was adapted to.
        source: on the test images of the dataset, which are of the source; None where there are none.
        descent: of the entropy, where there was one.
        changed: names of the tensors that are others than before; with "coral" those of the head are not
            counted.
        trained: whether the network was trained further, so that "before" is when training was over; else it
            is the pretrained one under a probe.
        notes: what else a person should know.
    """

    asked: str
    method: Method
    why: tuple[str, ...]
    target: str
    images: int
    told_apart: Interval | None
    distance: tuple[float, float]
    answers: tuple[Answers, Answers]
    agreement: float
    tried: Mapping[Method, Interval]
    measured: Measured | None
    apart: bool
    source: Measured | None
    descent: Descended | None = None
    changed: tuple[str, ...] = ()
    trained: bool = False
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; of the target its name, which tells of no folder."""
        before, after = self.answers
        return {
            "asked": self.asked,
            "method": self.method,
            "why": list(self.why),
            "target": PurePath(self.target).name,
            "images": self.images,
            "told_apart": None if self.told_apart is None else self.told_apart.to_dict(),
            "distance": {"before": round(self.distance[0], 9), "after": round(self.distance[1], 9)},
            "answers": {"before": before.to_dict(), "after": after.to_dict()},
            "agreement": self.agreement,
            "tried": {name: found.to_dict() for name, found in self.tried.items()},
            "measured": None
            if self.measured is None
            else {**self.measured.to_dict(), "other_images_than_adapted_to": self.apart},
            "source": None if self.source is None else self.source.to_dict(),
            "descent": None if self.descent is None else self._descent(self.descent),
            "changed": {
                "tensors": len(self.changed),
                "modules": list(dict.fromkeys(name.rpartition(".")[0] for name in self.changed)),
            },
            "notes": list(self.notes),
        }

    @staticmethod
    def _descent(found: Descended) -> dict[str, Any]:
        return {
            "steps": found.steps,
            "entropies": list(found.entropies),
            "spreads": list(found.spreads),
            "collapsed": found.collapsed,
        }

    def words(self) -> list[str]:
        """For a person, one line each."""
        before, after = self.answers
        lines = [
            f"adapted to {self.images} images of {shown(self.target)} by {self.method}"
            if self.method != "none"
            else f"not adapted to the {self.images} images of {shown(self.target)}",
            *(f"  why: {reason}" for reason in self.why),
        ]
        if self.measured is not None:
            which = "other images of it" if self.apart else "the same images; their labels had no part"
            lines.append(f"  right on the target ({which}): {self.measured.words()}")
        else:
            lines.append(
                "  accuracy on the target is not known, since no label says what its images show; answers "
                f"to them: confidence {before.confidence:.3f} before, {after.confidence:.3f} after, "
                f"information {before.information:.3f} and {after.information:.3f}, "
                f"{100 * self.agreement:.1f} % the same"
            )
        if self.source is not None and self.method != "none":
            lines.append(f"  right on the source: {self.source.words()}")
        if self.changed:
            others = (
                "after training; frozen ones among them were held until then"
                if self.trained
                else "in the pretrained network, which the probe had left as it was"
            )
            lines.append(f"  {len(self.changed)} tensors are others than {others}")
        return [*lines, *(f"  note: {note}" for note in self.notes)]

    def facts(self) -> tuple[tuple[str, str], ...]:
        """For a page: names and values."""
        before, after = self.answers
        area = self.told_apart
        found = [
            ("method", f"{self.method} (asked for: {self.asked})"),
            *(("why", reason) for reason in self.why),
            ("images", f"{self.images} of {shown(PurePath(self.target).name)}, their labels decided nothing"),
            (
                "source told from target",
                "too few images to say"
                if area is None
                else f"area under the curve {area.value:.2f} ({area.low:.2f} to {area.high:.2f})",
            ),
            ("distance of the features", f"{self.distance[0]:.3f} before, {self.distance[1]:.3f} after"),
            ("confidence on the target", f"{before.confidence:.3f} before, {after.confidence:.3f} after"),
            ("information", f"{before.information:.3f} before, {after.information:.3f} after"),
            ("answers that stayed", f"{100 * self.agreement:.1f} %"),
            (
                "right on the target",
                "not known: no label says what its images show"
                if self.measured is None
                else self.measured.words(),
            ),
        ]
        if self.source is not None:
            found.append(("right on the source", self.source.words()))
        return tuple(found)
