"""What comparing models on the same images found: a row for each model, and each pair's difference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from signet.notebooks import table
from signet.records import Interval

if TYPE_CHECKING:
    from signet.cards import Claim, Task
    from signet.predictions import Prediction


@dataclass(frozen=True, slots=True)
class Contestant:
    """One model, measured on the images that all of them answered.

    Attributes:
        name: the card's name; a second model of that name has " (2)" behind it.
        metrics: name to figure with interval, as `evaluate` reports them.
        milliseconds: of one image after another, from file to answer, here; None where it was not measured.
        params: trainable values; None where nobody counted.
        size_bytes: of the weight file; None where there is none.
        claims: what others published of these weights, on other data.
        provenance: digest, licence, engine, precision.
        notes: what a reader must know of its labels and scores.
    """

    name: str
    metrics: Mapping[str, Interval]
    milliseconds: float | None
    params: int | None
    size_bytes: int | None
    claims: tuple[Claim, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name,
            "metrics": {name: figure.to_dict() for name, figure in self.metrics.items()},
            "milliseconds": None if self.milliseconds is None else round(self.milliseconds, 3),
            "params": self.params,
            "size_bytes": self.size_bytes,
            "claims": [dataclasses.asdict(claim) for claim in self.claims],
            "provenance": dict(self.provenance),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of a model minus that of the baseline, over the same images.

    Attributes:
        first: the model.
        second: the baseline.
        metric: which figure.
        figure: first minus second, with its 95 % interval from draws of the images.
        p: of McNemar's exact test, for shares of right answers; None for other figures.
        p_holm: the same, adjusted by Holm for all baseline comparisons of that figure.
    """

    first: str
    second: str
    metric: str
    figure: Interval
    p: float | None = None
    p_holm: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        ends = self.figure.to_dict()
        return {
            "first": self.first,
            "second": self.second,
            "metric": self.metric,
            "difference": ends["value"],
            "low": ends["low"],
            "high": ends["high"],
            "p": self.p,
            "p_holm": self.p_holm,
        }

    @property
    def sure(self) -> bool:
        """Whether the interval leaves no difference out."""
        return self.figure.low > 0 or self.figure.high < 0


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """What one model made of one image.

    Attributes:
        model: its name.
        figure: how it fared, 0 to 1: right or wrong, F1 of the boxes, mean intersection over union.
        label: a classifier's answer; "" of others.
        score: its score; None of others.
        answer: boxes, masks or labelled pixels; None of classifiers.
    """

    model: str
    figure: float
    label: str = ""
    score: float | None = None
    answer: Prediction | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, without what was drawn."""
        figure = None if math.isnan(self.figure) else round(self.figure, 6)
        return {"model": self.model, "figure": figure, "label": self.label, "score": self.score}


@dataclass(frozen=True, slots=True, eq=False)
class Disagreement:
    """An image that some models answer better than others.

    Attributes:
        source: the image.
        truth: its right label; "" where objects or pixels are the truth.
        replies: one for each model, in their order.
        there: the objects or pixels that are the truth; None of classes.
    """

    source: str
    truth: str
    replies: tuple[Reply, ...]
    there: Prediction | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "source": self.source,
            "truth": self.truth,
            "replies": [reply.to_dict() for reply in self.replies],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What `compare` found.

    Attributes:
        task: "classify", "detect", "instances" or "segment".
        models: one row for each, in the order given.
        baseline: the name of the model that all others are held to.
        pairs: each other model minus the baseline, for each figure that both have.
        count: images that all models answered; all figures are of these.
        alike: each other model's name to the number of images that it decides as the baseline does, right or
            wrong: the same first label or labels, boxes, pixels.
        disagreements: images on which the models fare most differently, the greatest difference first.
        disagreeing: how many images there are on which they fare differently.
        provenance: dataset and its fingerprint, split, processor, versions, date.
        notes: sentences that a reader must know.
        seconds: wall time.
    """

    task: Task
    models: tuple[Contestant, ...]
    baseline: str
    pairs: tuple[Difference, ...]
    count: int
    alike: Mapping[str, int] = field(default_factory=dict)
    disagreements: tuple[Disagreement, ...] = ()
    disagreeing: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        return {
            "task": self.task,
            "models": [model.to_dict() for model in self.models],
            "baseline": self.baseline,
            "pairs": [pair.to_dict() for pair in self.pairs],
            "count": self.count,
            "alike": dict(self.alike),
            "disagreeing": self.disagreeing,
            "disagreements": [row.to_dict() for row in self.disagreements],
            "provenance": dict(self.provenance),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }

    def main_metric(self) -> str:
        """The one figure that stands for a model: the first of top1, miou, mask_ap and ap that all have."""
        for name in ("top1", "miou", "mask_ap", "ap"):
            if all(name in model.metrics for model in self.models):
                return name
        return next(iter(self.models[0].metrics), "")

    def _repr_html_(self) -> str:
        metric = self.main_metric()
        gaps = {pair.first: pair.figure for pair in self.pairs if pair.metric == metric}
        rows = []
        for model in self.models:
            gap = gaps.get(model.name)
            rows.append(
                (
                    model.name,
                    *(_spelt(figure) for figure in (model.metrics.get(metric), gap)),
                    "" if model.milliseconds is None else f"{model.milliseconds:.2f}",
                )
            )
        titles = ("model", metric, f"minus {self.baseline}", "ms an image")
        return table(titles, rows, caption=f"{self.count:,} images", right=(1, 2, 3))


def _spelt(figure: Interval | None) -> str:
    if figure is None or math.isnan(figure.value):
        return ""
    ends = "" if math.isnan(figure.low) else f" ({figure.low:.4f} to {figure.high:.4f})"
    return f"{figure.value:.4f}{ends}"
