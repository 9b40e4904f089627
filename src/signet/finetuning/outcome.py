"""What a fine-tuning has come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from signet.arrays import Bytes
from signet.finetuning.domains.outcome import DomainAdaptation
from signet.finetuning.plans import Plan
from signet.finetuning.proofs import Calibrated, FrozenProof, figures_with_seconds, frozen_facts, payoff
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
        folds: of a run of folds their number, kept epochs and figures out of fold, as plain JSON; else None.
        sheet: uint8 (H, W, 3), some training pictures as they were learned from, or None.
        seconds: wall time of this process.
        random: figures of the same network from random weights, on the same images; None where that was not
            asked for.
        frozen: that what was frozen did not move; None when only a probe was fitted, which trains nothing.
        calibrated: what the sealed temperature did to the scores; None where no image is left to tell.
        adaptation: what became of the images of a target; None without one. `report` is of the network that
            is sealed; `probe`, `tuned`, `gain` are of those before.
        seconds_of: what each candidate took: keys `probe` (features and fit), `finetuned`, `random`; and
            `search`, the trials by which the settings of the fine-tuning were found.
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
    folds: Mapping[str, Any] | None = None
    sheet: Bytes | None = None
    seconds: float = 0.0
    random: Mapping[str, Interval] | None = None
    frozen: FrozenProof | None = None
    calibrated: Calibrated | None = None
    adaptation: DomainAdaptation | None = None
    seconds_of: Mapping[str, float] = field(default_factory=dict)

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
            "random": plain(self.random),
            "gain": None if self.gain is None else self.gain.to_dict(),
            "chosen": self.chosen,
            "validation": by_key(self.validation),
            **({} if self.folds is None else {"folds": dict(self.folds)}),
            "measured_on": self.plan.measured_on,
            "search": [dict(row) for row in self.search],
            "history": [dict(row) for row in self.history],
            "unreadable": [{"source": row.source, "message": row.error} for row in self.report.unreadable],
            "notes": list(self.report.notes),
            "paid": self.paid(),
            "frozen": None if self.frozen is None else self.frozen.to_dict(),
            "calibration": None if self.calibrated is None else self.calibrated.to_dict(),
            "adaptation": None if self.adaptation is None else self.adaptation.to_dict(),
            "seconds_of": {name: round(value, 1) for name, value in self.seconds_of.items()},
            "seconds": round(self.seconds, 1),
        }

    def words(self) -> list[str]:
        """The result for a person, one line each."""
        lines = [f"measured on {self.plan.measured_on}"]
        if self.tuned is not None and self.gain is not None:
            gain = self.gain
            lines += [
                *figures_with_seconds(self._candidates()),
                f"difference: {100 * gain.value:+.1f} points "
                f"(95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f})",
                self.paid() or "",
                f"sealed: the {self.chosen} one, which is {self._better()} on the validation images "
                f"({self._validated()})",
            ]
        else:
            lines.append(
                f"{'right' if self.figure == 'top1' else 'average precision'}: {self.probe[self.figure]}"
            )
        if self.calibrated is not None:
            lines.append(self.calibrated.words())
        if self.frozen is not None:
            aside = "" if self.chosen == "fine-tuned" else "in the fine-tuned network, which is not sealed, "
            lines.append(f"{aside}{self.frozen.words()}")
        if self.adaptation is not None:
            lines += self.adaptation.words()
        if self.folds is not None:
            lines.append(self._out_of_fold(self.folds))
        if self.report.unreadable:
            lines.append(f"{len(self.report.unreadable)} images could not be read and are in no figure:")
            lines += [f"  {row.error}" for row in self.report.unreadable[:10]]
        # What the plan noted was said with the plan.
        lines += [f"note: {note}" for note in self.report.notes if note not in self.plan.notes]
        return [*lines, f"{self.seconds:.0f} seconds"]

    def paid(self) -> str | None:
        """Whether fine-tuning was worth its time, in a sentence; None when only a probe was fitted."""
        if self.gain is None or not {"probe", "finetuned"} <= self.seconds_of.keys():
            return None
        return payoff(self.gain, self.seconds_of)

    def _candidates(self) -> list[tuple[str, Interval, float]]:
        """Name, figure and seconds of all that was tried."""
        found = {"probe": self.probe, "fine-tuned": self.tuned, "from random weights": self.random}
        keys = (("probe",), ("search", "finetuned"), ("random",))
        times = [sum(self.seconds_of.get(key, 0.0) for key in own) for own in keys]
        return [
            (name, figures[self.figure], seconds)
            for (name, figures), seconds in zip(found.items(), times, strict=True)
            if figures is not None
        ]

    def _out_of_fold(self, folds: Mapping[str, Any]) -> str:
        found = Interval(**folds["metrics"][self.figure])
        return (
            f"{folds['count']} folds, each image by the network that did not learn from it: {found}; the "
            "epochs were chosen by the same images"
        )

    def _decided(self) -> str:
        """Why the kept one was kept."""
        if not self.validation:
            return "nothing else was tried, since no class has an image to spare for deciding"
        return f"it is {self._better()} on the validation images ({self._validated()})"

    def _better(self) -> str:
        """What made the choice; equal accuracies are told apart by their loss (see `deciding`)."""
        if self.chosen == "probe" and self.validation.get("fine-tuned", 0.0) > self.validation["probe"]:
            return "not beaten by more than one standard error"
        tied = len(set(self.validation.values())) == 1
        equal = "as often right" if self.figure == "top1" else "as good"
        return f"{equal} and surer of it" if tied else "better"

    def _validated(self) -> str:
        return ", ".join(f"{name} {100 * value:.1f} %" for name, value in self.validation.items())

    def story(self) -> Story:
        """What `signet.reporting.finetuning_page` tells."""
        names = {"probe": "Probe on frozen features", "fine-tuned": "Fine-tuned"}
        rows = [
            Row(names.get(name, "From random weights"), figure, f"{seconds:.0f} seconds", name == self.chosen)
            for name, figure, seconds in self._candidates()
        ]
        return Story(
            model=self.plan.model,
            dataset=self.plan.dataset,
            report=self.report,
            candidates=tuple(rows),
            judged_on=self.plan.measured_on,
            gain=self.gain,
            decided=self._decided(),
            plan=[*self.plan.words()[1:], *words_of(self.search)],
            history=self.history,
            kept=self.kept_epoch,
            sheet=self.sheet,
            paid=self.paid() or "",
            frozen=()
            if self.frozen is None
            else frozen_facts(
                self.frozen,
                sealed=self.chosen == "fine-tuned",
                adapted=() if self.adaptation is None else self.adaptation.changed,
            ),
            adapted=() if self.adaptation is None else self.adaptation.facts(),
            unscaled=None if self.calibrated is None else self.calibrated.reliability,
            calibrated="" if self.calibrated is None else self.calibrated.words(),
            seal={"path": str(self.seal.path), "digest": self.seal.digest, "bytes": self.seal.size_bytes},
        )
