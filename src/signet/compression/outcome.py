"""What has come of a compression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signet.cards import Card
from signet.comparisons import Contestant, Difference
from signet.compression.gate import Ruling
from signet.networks import GraphFile
from signet.records import Interval, Verdict
from signet.seals import Seal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """A compressed network that is not judged yet.

    Attributes:
        name: for tables.
        graph: the network.
        floats: layers that were taken back to floats.
        card: where it differs from that of the seal that it was made of; else None.
        source: a seal of this very network, whose weights can be trained further; else None.
    """

    name: str
    graph: GraphFile
    floats: tuple[str, ...] = ()
    card: Card | None = None
    source: Seal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What a graph weighs.

    Attributes:
        parameters: values of its float constants.
        macs: multiply-adds for one image, of convolutions and products; None where a shape is not known.
    """

    parameters: int
    macs: int | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"parameters": self.parameters, "macs": self.macs}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """How a network learned after it was made smaller.

    Attributes:
        before: what the graph weighed.
        after: what it weighs.
        images: that were learned from.
        epochs: passes over them.
        best_epoch: the one that was kept; 0 for none, where the network as it was cut decides best.
        teacher: name of the model whose answers were learned from.
        seconds: wall time of the training.
    """

    before: Weight
    after: Weight
    images: int
    epochs: int
    best_epoch: int
    teacher: str
    seconds: float

    def words(self) -> str:
        """One sentence: what is left, and how it learned."""
        parameters = f"parameters {self.before.parameters:,} to {self.after.parameters:,}"
        macs = ""
        if self.before.macs and self.after.macs:
            before, after = self.before.macs / 1e6, self.after.macs / 1e6
            macs = f", multiply-adds {before:.1f} to {after:.1f} M ({100 * after / before:.0f} %)"
        return (
            f"{parameters}{macs}; learned from {self.images} images and the answers of {self.teacher}, "
            f"{self.epochs} epochs, of which number {self.best_epoch} was kept"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "images": self.images,
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "teacher": self.teacher,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """One compressed network, measured on the same images as the one that it was made of.

    Attributes:
        name: "int8", "int8, 2 layers in fp32" ...
        row: figures, milliseconds from file to answer, size.
        ruling: what the gate says of it.
        differences: each figure of it minus that of the seal, paired.
        network_milliseconds: of one run of the network alone on one image, by an interleaved clock.
        floats: layers that were taken back to floats.
    """

    name: str
    row: Contestant
    ruling: Ruling
    differences: tuple[Difference, ...] = ()
    network_milliseconds: float | None = None
    floats: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: a point of the frontier."""
        return {
            "name": self.name,
            "floats": list(self.floats),
            "drop": self.ruling.drop.to_dict(),
            "alike": self.ruling.alike,
            "passed": self.ruling.passed,
            "faults": list(self.ruling.faults()),
            "size_bytes": self.row.size_bytes,
            "network_milliseconds": _rounded(self.network_milliseconds),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cost:
    """What quantizing one layer alone does to the network's answers.

    Attributes:
        layer: the node's name in the graph.
        operator: "Conv", "Gemm" ...
        error: energy of the change of the answers over that of the answers, on the calibration images.
    """

    layer: str
    operator: str
    error: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"layer": self.layer, "operator": self.operator, "error": float(f"{self.error:.4g}")}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compressed:
    """The result of `compress`.

    Attributes:
        target: what was asked for: "int8", "pruned" ...
        seal: the new seal; None where the gate refused and nothing was to be kept.
        parent: digest of the seal that it was made of.
        before: the seal's own row.
        before_milliseconds: of its network alone, by the same clock.
        chosen: the candidate that was delivered, or the best that was refused.
        frontier: all candidates, in the order in which they were made.
        costs: layers, the one that costs most first; empty where plain int8 passed.
        verdicts: what `verify` said of the new seal, for each engine.
        calibration: digest and count of the images that set the ranges.
        provenance: dataset, split, processor, versions, date.
        notes: sentences that a reader must know.
        made: each candidate's network while it is on disk; empty in a result.
        learned: how it learned after it was made smaller, and what that saved; None of int8 and 16 bits.
        seconds: wall time.
    """

    target: str
    seal: Seal | None
    parent: str
    before: Contestant
    before_milliseconds: float | None
    chosen: Candidate
    frontier: tuple[Candidate, ...]
    costs: tuple[Cost, ...] = ()
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    made: Mapping[str, Made] = field(default_factory=dict)
    learned: Learned | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the gate let it through."""
        return self.chosen.ruling.passed

    @property
    def speedup(self) -> float | None:
        """How many times as fast the network alone is, one image at a time; None where no clock was read."""
        after = self.chosen.network_milliseconds
        return None if after is None or self.before_milliseconds is None else self.before_milliseconds / after

    @property
    def size_ratio(self) -> float | None:
        """Bytes after over bytes before, of the smallest file that runs the model."""
        after, before = self.chosen.row.size_bytes, self.before.size_bytes
        return None if after is None or not before else after / before

    @property
    def path(self) -> Path | None:
        """Where the new seal is."""
        return None if self.seal is None else self.seal.path

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        ruling = self.chosen.ruling
        return {
            "to": self.target,
            "seal": None if self.path is None else str(self.path),
            "digest": None if self.seal is None else self.seal.digest,
            "parent": self.parent,
            "before": _side(self.before, self.before_milliseconds),
            "after": _side(self.chosen.row, self.chosen.network_milliseconds),
            "drop": {"metric": ruling.metric, **_interval(ruling.drop)},
            "flips": {
                "count": ruling.count,
                "alike": ruling.alike,
                "alike_share": round(ruling.alike_share, 6),
                "p": next((row.p for row in self.chosen.differences if row.metric == ruling.metric), None),
            },
            "gate": ruling.to_dict(),
            "speedup": _rounded(self.speedup),
            "size_ratio": _rounded(self.size_ratio),
            "floats": list(self.chosen.floats),
            "frontier": [one.to_dict() for one in self.frontier],
            "costs": [one.to_dict() for one in self.costs],
            "verified": {
                name: {"ok": one.ok, "precision": one.precision} for name, one in self.verdicts.items()
            },
            "calibration": dict(self.calibration),
            "learned": None if self.learned is None else self.learned.to_dict(),
            "provenance": dict(self.provenance),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


def _side(row: Contestant, network: float | None) -> dict[str, Any]:
    plain = row.to_dict()
    kept = ("name", "metrics", "milliseconds", "size_bytes")
    runs = {key: row.provenance.get(key) for key in ("engine", "engine_version", "precision")}
    return {**{key: plain[key] for key in kept}, "network_milliseconds": _rounded(network), **runs}


def _interval(figure: Interval) -> dict[str, Any]:
    return dict(figure.to_dict())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
