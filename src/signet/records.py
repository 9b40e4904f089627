"""What a verb found out: reports and verdicts, frozen, and plain JSON with `to_dict`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from signet.arrays import Array, Integers
from signet.notebooks import table

if TYPE_CHECKING:
    from signet.cards import Task
    from signet.flips import Flips
    from signet.predictions import Prediction


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured figure with its 95 % interval.

    Attributes:
        value: the figure on the images that were measured.
        low: lower end; with `high`, what the figure would vary within on other images of the same kind.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """`{"value", "low", "high"}`, to twelve digits; null for what is not known."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if math.isnan(end) else round(end, 12) for name, end in ends.items()}

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % (95 % interval {100 * self.low:.1f} to {100 * self.high:.1f})"


@dataclass(frozen=True, slots=True)
class ClassReport:
    """How one class fared.

    Attributes:
        label: its name.
        count: images of it.
        precision: of those called so, the fraction that is.
        recall: of those that are, the fraction called so.
        f1: harmonic mean of the two.
        ap: average precision, where several labels can be right; else None.
    """

    label: str
    count: int
    precision: Interval
    recall: Interval
    f1: Interval
    ap: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        several = {} if self.ap is None else {"ap": self.ap.to_dict()}
        return {
            "label": self.label,
            "count": self.count,
            "precision": self.precision.to_dict(),
            "recall": self.recall.to_dict(),
            "f1": self.f1.to_dict(),
            **several,
        }


@dataclass(frozen=True, slots=True)
class LabelReport:
    """How one label of objects or pixels fared.

    Attributes:
        label: its name.
        count: objects of it; of pixels, images that have it.
        figures: name to figure: of objects `ap`, `ap50`, `precision`, `recall`, `f1` (and `mask_ap`,
            `mask_ap50`); of pixels `iou`, `dice`, `precision`, `recall`.
    """

    label: str
    count: int
    figures: Mapping[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        figures = {name: figure.to_dict() for name, figure in self.figures.items()}
        return {"label": self.label, "count": self.count, **figures}


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision against recall, made falling.

    Attributes:
        label: whose; "" for the mean of all labels.
        precision: 101 values, at recalls of 0, 0.01 ... 1.
    """

    label: str
    precision: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ObjectError:
    """One object that was missed, taken for another, or seen where nothing is.

    Attributes:
        kind: which of these.
        source: the image.
        label: of the truth; of the answer, where nothing is.
        xyxy: left, top, right, bottom of the truth, or of that answer.
        answer: the label that it was given; "" when it was missed.
        score: of the answer; None when it was missed.
    """

    kind: Literal["missed", "confused", "false alarm"]
    source: str
    label: str
    xyxy: tuple[float, float, float, float]
    answer: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImageReport:
    """How one image fared, with truth and answer side by side.

    Attributes:
        source: the image.
        figure: from 0 to 1: F1 of its objects, or mean intersection over union of its labels.
        truth: what is there.
        answer: what was answered, from the report's score on.
    """

    source: str
    figure: float
    truth: Prediction
    answer: Prediction


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Whether the scores mean what they say.

    Attributes:
        edges: float (bins + 1,), 0 to 1.
        confidence: float (bins,), mean score of the images in each bin; NaN where empty.
        accuracy: float (bins,), fraction right in each bin; NaN where empty.
        counts: int (bins,), images in each bin.
    """

    edges: Array
    confidence: Array
    accuracy: Array
    counts: Integers

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; empty bins are null."""

        def plain(values: Array) -> list[float | None]:
            return [None if math.isnan(value) else round(float(value), 6) for value in values]

        return {
            "edges": plain(self.edges),
            "confidence": plain(self.confidence),
            "accuracy": plain(self.accuracy),
            "counts": self.counts.tolist(),
        }


@dataclass(frozen=True, slots=True)
class Mistake:
    """One image that was answered wrongly, or that could not be read.

    Attributes:
        source: the image.
        truth: its right label.
        answer: the label it was given; "" when it could not be read.
        score: the score of the wrong answer, 0 to 1.
        truth_score: the score that the right label got.
        error: the message, when it could not be read.
        top: the labels with the highest scores, best first.
    """

    source: str
    truth: str
    answer: str
    score: float
    truth_score: float
    error: str = ""
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What `evaluate` measured.

    Attributes:
        metrics: name to figure with interval: top1, top5, f1_macro, ece; of objects ap, ap50, ap75 ..., and
            mask_ap ...; of pixels miou, pixel_accuracy, dice, boundary_f1.
        per_class: in label order.
        confusion: int64 (C, C), rows truth, columns answer, in label order: images, objects or pixels.
        labels: the C names; of objects the last one is "background": what was missed, and seen where nothing
            is.
        calibration: reliability by score; None for objects and pixels.
        count: images measured.
        seconds: wall time.
        mistakes: wrong answers, the most confident first.
        unreadable: images that could not be read; not part of any figure.
        provenance: model name and digest, dataset and its fingerprint, engine, precision, versions, date.
        notes: sentences that a reader must know: "3 labels of the dataset are unknown to the model".
        task: "classify", "detect", "instances" or "segment".
        score: from which answers count for confusion and errors of objects; None elsewhere.
        curves: precision against recall at an overlap of 0.5; the mean first, then each label's.
        errors: objects that were missed, confused or not there; of each kind the worst.
        worst: the images that fared worst, the worst first.
    """

    metrics: Mapping[str, Interval]
    per_class: tuple[ClassReport, ...] | tuple[LabelReport, ...]
    confusion: Integers
    labels: tuple[str, ...]
    calibration: Calibration | None
    count: int
    seconds: float
    mistakes: tuple[Mistake, ...] = ()
    unreadable: tuple[Mistake, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    task: Task = "classify"
    score: float | None = None
    curves: tuple[Curve, ...] = ()
    errors: tuple[ObjectError, ...] = ()
    worst: tuple[ImageReport, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        more: dict[str, Any] = {}
        if self.task != "classify":
            more["worst"] = [{"source": row.source, "figure": round(row.figure, 6)} for row in self.worst]
        if self.score is not None:
            more |= {
                "score": self.score,
                "curves": {row.label: [round(value, 6) for value in row.precision] for row in self.curves},
                "errors": [dataclasses.asdict(row) for row in self.errors],
            }
        return {
            "task": self.task,
            "metrics": {name: figure.to_dict() for name, figure in self.metrics.items()},
            "per_class": [row.to_dict() for row in self.per_class],
            "confusion": {"labels": list(self.labels), "counts": self.confusion.tolist()},
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "count": self.count,
            "seconds": round(self.seconds, 3),
            "mistakes": [dataclasses.asdict(mistake) for mistake in self.mistakes],
            "unreadable": [{"source": row.source, "message": row.error} for row in self.unreadable],
            "provenance": dict(self.provenance),
            "notes": list(self.notes),
            **more,
        }

    def _repr_html_(self) -> str:
        rows = [
            (name, f"{figure.value:.4f}", f"{figure.low:.4f} to {figure.high:.4f}")
            for name, figure in self.metrics.items()
        ]
        lines = [f"{self.count:,} images", *self.notes]
        if self.unreadable:
            lines.append(f"{len(self.unreadable):,} more could not be read and are in no figure")
        caption = "; ".join(line.rstrip(".") for line in lines)
        return table(("metric", "value", "95 % interval"), rows, caption=caption, right=(1, 2))


@dataclass(frozen=True, slots=True)
class StageCheck:
    """How one stage fared in a verification.

    Attributes:
        name: the stage.
        ok: within tolerance.
        max_error: greatest absolute difference; None when shapes differ or a value is not a number.
        tolerance: what was allowed.
        note: what differed, in words.
    """

    name: str
    ok: bool
    max_error: float | None
    tolerance: float
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """The first layer of a network that does not give what it gave in the reference.

    Attributes:
        name: of the value that the layer makes, as the graph calls it.
        operation: the operator that makes it in the reference.
        max_error: greatest absolute difference; None when shapes differ or a value is not a number.
        tolerance: what was allowed.
        after: the last value before it that agrees; None when that is the image.
        image: the golden image on which it was looked for, from 0.
        note: what else is known, in words.
    """

    name: str
    operation: str
    max_error: float | None
    tolerance: float
    after: str | None
    image: int
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found.

    Attributes:
        ok: everything agrees.
        digest: sha256 hex of `seal.json`.
        stages: in the order in which they were replayed; nothing is replayed after a failed integrity
            check.
        first_divergence: the first stage that differs; "integrity" when a file is not what was sealed;
            None when all agree.
        agree: golden images with the sealed decision.
        total: golden images.
        engine: "openvino", "onnx", "torch".
        precision: "fp32", "bf16", "int8".
        message: one sentence for a person.
        layer: where the network is the first stage that differs, its first layer that does; None where it
            could not be told.
        flips: how somebody's own images are decided; None where none were given.
    """

    ok: bool
    digest: str
    stages: tuple[StageCheck, ...]
    first_divergence: str | None
    agree: int
    total: int
    engine: str
    precision: str
    message: str
    layer: LayerCheck | None = None
    flips: Flips | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        return {
            "ok": self.ok,
            "digest": self.digest,
            "stages": [stage.to_dict() for stage in self.stages],
            "first_divergence": self.first_divergence,
            "decisions": {"agree": self.agree, "total": self.total},
            "engine": self.engine,
            "precision": self.precision,
            "message": self.message,
            "layer": None if self.layer is None else self.layer.to_dict(),
            "over_images": None if self.flips is None else self.flips.to_dict(),
        }

    def _repr_html_(self) -> str:
        rows = [
            (
                stage.name,
                "same" if stage.ok else "differs",
                "" if stage.max_error is None else f"{stage.max_error:.3g}",
                f"{stage.tolerance:.3g}",
                stage.note,
            )
            for stage in self.stages
        ]
        titles = ("stage", "", "greatest difference", "allowed", "")
        return table(titles, rows, caption=self.message, right=(2, 3))
