"""What has come of a backbone under a new head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signet.finetuning.plans import Plan
from signet.finetuning.proofs import FrozenProof, frozen_facts
from signet.records import Interval, Report
from signet.reporting.finetuning import Story
from signet.seals import Seal

NOTHING_FOUND = (
    "nothing on the validation images is answered right: the sealed model is of no use as it is. Give it "
    "more epochs (finetune takes the seal as its model), or other rates."
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Adapted:
    """The result of `finetune` on a dataset of labelled pixels or objects.

    Attributes:
        seal: the sealed model.
        plan: as it was said before the start.
        report: on images that no decision used.
        validation: the figures of the kept epoch, the one that decided first: `miou`, or `ap` and `ap50`.
        history: of the training, one mapping for each epoch, times left out.
        kept_epoch: the epoch whose weights were kept, 0 for those of the start.
        frozen: that what was frozen did not move.
        seconds: wall time of this process.
    """

    seal: Seal
    plan: Plan
    report: Report
    validation: Mapping[str, float]
    history: tuple[Mapping[str, float], ...]
    kept_epoch: int
    frozen: FrozenProof | None = None
    seconds: float = 0.0

    @property
    def metrics(self) -> Mapping[str, Interval]:
        """Figures of the sealed model."""
        return self.report.metrics

    @property
    def found(self) -> bool:
        """Whether anything on the validation images was answered right.

        If not, the epochs were ranked by their loss, and the model is sealed with a warning: it is of no use
        as it is, but what was learned may have taken hours, and can be learned further.
        """
        return next(iter(self.validation.values())) > 0

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract; every key is an identifier.

        `probe` is null: a probe gives one label for an image, so nothing is probed here.
        """
        return {
            "seal": str(self.seal.path),
            "digest": self.seal.digest,
            "plan": self.plan.to_dict(),
            "metrics": {name: figure.to_dict() for name, figure in self.metrics.items()},
            "probe": None,
            "chosen": "finetuned",
            "validation": dict(self.validation),
            "measured_on": self.plan.measured_on,
            "history": [dict(row) for row in self.history],
            "kept_epoch": self.kept_epoch,
            "unreadable": [{"source": row.source, "message": row.error} for row in self.report.unreadable],
            "notes": list(self.report.notes),
            "frozen": None if self.frozen is None else self.frozen.to_dict(),
            "seconds": round(self.seconds, 1),
        }

    def words(self) -> list[str]:
        """The result for a person, one line each."""
        lines = [f"measured on {self.plan.measured_on}", self._decided()]
        if self.frozen is not None:
            lines.append(self.frozen.words())
        if self.report.unreadable:
            lines.append(f"{len(self.report.unreadable)} images could not be read and are in no figure:")
            lines += [f"  {row.error}" for row in self.report.unreadable[:10]]
        # What the plan noted was said with the plan.
        lines += [f"note: {note}" for note in self.report.notes if note not in self.plan.notes]
        return [*lines, f"{self.seconds:.0f} seconds"]

    def _decided(self) -> str:
        figures = ", ".join(f"{name} {100 * value:.1f} %" for name, value in self.validation.items())
        if not self.found:
            return (
                f"sealed, but of no use as it is: the weights of epoch {self.kept_epoch}, whose loss was the "
                f"least, answer nothing right on the validation images ({figures})"
            )
        return (
            f"sealed: the weights of epoch {self.kept_epoch}, the best on the validation images ({figures})"
        )

    def story(self) -> Story:
        """What `signet.reporting.finetuning_page` tells."""
        return Story(
            model=self.plan.model,
            dataset=self.plan.dataset,
            report=self.report,
            judged_on=self.plan.measured_on,
            decided=self._decided(),
            plan=self.plan.words()[1:],
            history=self.history,
            kept=self.kept_epoch,
            frozen=() if self.frozen is None else frozen_facts(self.frozen),
            seal={"path": str(self.seal.path), "digest": self.seal.digest, "bytes": self.seal.size_bytes},
        )
