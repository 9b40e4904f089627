"""What `choose` found: the candidates with expected accuracy, interval and cost, the pick and its regret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signet.notebooks import table


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One candidate, as it is believed to do.

    Attributes:
        name: what every command takes as MODEL.
        expected: accuracy of a probe on all images, 0 to 1, on images of the same kind that it did not see.
        low: lower end of its 90 % interval.
        high: upper end.
        regret: accuracy lost on average against the best candidate by taking this one.
        milliseconds: for one image here: read, prepare, network, head.
        params: trainable values; None when nobody counted.
        size_bytes: of the weight or graph file; None when it is not known.
        licence: of the weights; "unknown" where nobody said.
        top1: its ImageNet accuracy, 0 to 1, or None.
        images: that its probe was measured on.
        measured: the fraction right among them, cross-validated; None without a measurement.
        scores: of the same features: `knn`, the fraction right of the nearest neighbours, cross-validated;
            `logme`, `h_score`, `h_score_shrunk`; `leep`, `nce`, None for a network without labels of its own
            that exclude each other. They decide nothing.
        trainable: it can be trained further, not only probed; a graph alone cannot.
        why: what it is ranked by, in words.
    """

    name: str
    expected: float
    low: float
    high: float
    regret: float
    milliseconds: float
    params: int | None = None
    size_bytes: int | None = None
    licence: str = "unknown"
    top1: float | None = None
    images: int = 0
    measured: float | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    trainable: bool = False
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        return {
            "name": self.name,
            "expected": round(self.expected, 6),
            "low": round(self.low, 6),
            "high": round(self.high, 6),
            "regret": round(self.regret, 6),
            "milliseconds": round(self.milliseconds, 3),
            "params": self.params,
            "size_bytes": self.size_bytes,
            "licence": self.licence,
            "top1": self.top1,
            "images": self.images,
            "measured": None if self.measured is None else round(self.measured, 6),
            "scores": {
                name: None if value is None else round(value, 6) for name, value in self.scores.items()
            },
            "trainable": self.trainable,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A candidate that did not take part: its name, and why, in words."""

    name: str
    why: str

    def to_dict(self) -> dict[str, str]:
        """Plain JSON."""
        return {"name": self.name, "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What `choose` found.

    Attributes:
        pick: the name of the candidate to take, as every command takes it.
        regret: accuracy that it loses on average against the best one, 0 to 1.
        ranking: the candidates, the highest expected accuracy first.
        baseline: the name that "take the highest ImageNet accuracy" would have picked; "" where no candidate
            has a figure.
        runner_up: what the next one costs or saves, in words; "" with one candidate.
        scratch: random features of an untrained network, where the images are far from what the networks
            know; else None.
        left_out: candidates that did not take part.
        notes: what a person should know, in sentences.
        dataset: what it was chosen for.
        images: that the full probe would be fitted on.
        classes: that they are told apart into.
        spent: cost of the networks' runs, as a fraction of running all candidates over all images.
        seconds: wall time.
        provenance: fingerprint, seed, versions, date.
    """

    pick: str
    regret: float
    ranking: tuple[Contender, ...]
    baseline: str = ""
    runner_up: str = ""
    scratch: Contender | None = None
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    dataset: str = ""
    images: int = 0
    classes: int = 0
    spent: float = 0.0
    seconds: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def picked(self) -> Contender:
        """The row of the pick."""
        return next(row for row in self.ranking if row.name == self.pick)

    def of(self, name: str) -> Contender | None:
        """The row of a name; None when it did not take part."""
        return next((row for row in self.ranking if row.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        base = self.of(self.baseline)
        return {
            "pick": self.pick,
            "regret": round(self.regret, 6),
            "ranking": [row.to_dict() for row in self.ranking],
            "baseline": None
            if base is None
            else {
                "rule": "highest ImageNet top-1",
                "name": base.name,
                "top1": base.top1,
                "expected": round(base.expected, 6),
                "low": round(base.low, 6),
                "high": round(base.high, 6),
                "regret": round(base.regret, 6),
            },
            "runner_up": self.runner_up,
            "scratch": None if self.scratch is None else self.scratch.to_dict(),
            "left_out": [one.to_dict() for one in self.left_out],
            "notes": list(self.notes),
            "dataset": self.dataset,
            "images": self.images,
            "classes": self.classes,
            "spent": round(self.spent, 6),
            "seconds": round(self.seconds, 3),
            "provenance": dict(self.provenance),
        }

    def _repr_html_(self) -> str:
        rows = [
            (
                f"{row.name}{' (pick)' if row.name == self.pick else ''}",
                f"{100 * row.expected:.1f} %",
                f"{100 * row.low:.1f} to {100 * row.high:.1f}",
                f"{row.milliseconds:.1f}",
                row.licence,
                row.why,
            )
            for row in self.ranking
        ]
        caption = f"{self.dataset}: {self.images:,} images, regret {100 * self.regret:.2f} points"
        titles = ("model", "expected", "90 % interval", "ms an image", "licence", "why")
        return table(titles, rows, caption=caption, right=(1, 2, 3))
