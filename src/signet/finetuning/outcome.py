"""What a fine-tuning has come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from signet.arrays import Bytes
from signet.finetuning.plans import Plan
from signet.finetuning.searching import words_of
from signet.records import Interval, Report
from signet.reporting.finetuning import Story
from signet.reporting.page import Row
from signet.seals import Seal

Candidate = Literal["probe", "fine-tuned"]


def by_key(validation: Mapping[str, float]) -> dict[str, float]:
    """What decided, for JSON: keys `probe` and `finetuned`."""
    return {candidate.replace("-", ""): value for candidate, value in validation.items()}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Finetuned:
    """The result of `finetune`.

    Attributes:
        seal: the sealed model, the better one by validation.
        plan: as it was said before the start.
        chosen: which candidate was sealed.
        report: of the sealed model, on images that no decision used.
        probe: figures of the probe on the same images.
        tuned: those of the fine-tuned network; None when only a probe was fitted.
        gain: how much more of these images the fine-tuned network gets right than the probe, paired; where
            several labels can be right, how much higher its average precision is.
        validation: what decided: candidate to its accuracy, or average precision, on the validation images.
        history: of the training, one mapping for each epoch.
        search: what was tried before the training, one mapping for each trial; see `searching.searched`.
        kept_epoch: the epoch whose weights were kept, 0 for those of the start.
        sheet: uint8 (H, W, 3), some training pictures as they were learned from, or None.
        seconds: wall time of this process.
    """

    seal: Seal
    plan: Plan
    chosen: Candidate
    report: Report
    probe: Mapping[str, Interval]
    tuned: Mapping[str, Interval] | None = None
    gain: Interval | None = None
    validation: Mapping[str, float]
    history: tuple[Mapping[str, float], ...] = ()
    search: tuple[Mapping[str, Any], ...] = ()
    kept_epoch: int | None = None
    sheet: Bytes | None = None
    seconds: float = 0.0

    @property
    def metrics(self) -> Mapping[str, Interval]:
        """Figures of the sealed model."""
        return self.report.metrics

    @property
    def figure(self) -> str:
        """The metric that candidates are compared by: `top1`, or `ap` where several labels can be right."""
        return "top1" if "top1" in self.metrics else "ap"

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract; every key is an identifier."""

        def plain(figures: Mapping[str, Interval] | None) -> dict[str, Any] | None:
            return None if figures is None else {name: figure.to_dict() for name, figure in figures.items()}

        return {
            "seal": str(self.seal.path),
            "digest": self.seal.digest,
            "plan": self.plan.to_dict(),
            "metrics": plain(self.metrics),
            "probe": plain(self.probe),
            "finetuned": plain(self.tuned),
            "gain": None if self.gain is None else self.gain.to_dict(),
            "chosen": self.chosen,
            "validation": by_key(self.validation),
            "measured_on": self.plan.measured_on,
            "search": [dict(row) for row in self.search],
            "history": [dict(row) for row in self.history],
            "unreadable": [{"source": row.source, "message": row.error} for row in self.report.unreadable],
            "notes": list(self.report.notes),
            "seconds": round(self.seconds, 1),
        }

    def words(self) -> list[str]:
        """The result for a person, one line each."""
        lines = [f"measured on {self.plan.measured_on}"]
        if self.tuned is not None and self.gain is not None:
            gain = self.gain
            lines += [
                f"probe: {self.probe[self.figure]}",
                f"fine-tuned: {self.tuned[self.figure]}",
                f"difference: {100 * gain.value:+.1f} points "
                f"(95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f})",
                f"sealed: the {self.chosen} one, which is {self._better()} on the validation images "
                f"({self._validated()})",
            ]
        else:
            lines.append(
                f"{'right' if self.figure == 'top1' else 'average precision'}: {self.probe[self.figure]}"
            )
        if self.report.unreadable:
            lines.append(f"{len(self.report.unreadable)} images could not be read and are in no figure:")
            lines += [f"  {row.error}" for row in self.report.unreadable[:10]]
        # What the plan noted was said with the plan.
        lines += [f"note: {note}" for note in self.report.notes if note not in self.plan.notes]
        return [*lines, f"{self.seconds:.0f} seconds"]

    def _better(self) -> str:
        """What made the choice; equal accuracies are told apart by their loss."""
        tied = len(set(self.validation.values())) == 1
        equal = "as often right" if self.figure == "top1" else "as good"
        return f"{equal} and surer of it" if tied else "better"

    def _validated(self) -> str:
        return ", ".join(f"{name} {100 * value:.1f} %" for name, value in self.validation.items())

    def story(self) -> Story:
        """What `signet.reporting.finetuning_page` tells."""
        rows = [Row("Probe on frozen features", self.probe[self.figure], chosen=self.chosen == "probe")]
        if self.tuned is not None:
            rows.append(Row("Fine-tuned", self.tuned[self.figure], chosen=self.chosen == "fine-tuned"))
        return Story(
            model=self.plan.model,
            dataset=self.plan.dataset,
            report=self.report,
            candidates=tuple(rows),
            judged_on=self.plan.measured_on,
            gain=self.gain,
            decided=f"it is {self._better()} on the validation images ({self._validated()})",
            plan=[*self.plan.words()[1:], *words_of(self.search)],
            history=self.history,
            kept=self.kept_epoch,
            sheet=self.sheet,
            seal={"path": str(self.seal.path), "digest": self.seal.digest, "bytes": self.seal.size_bytes},
        )
