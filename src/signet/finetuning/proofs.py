"""What a run can show for itself: what stayed as it was, whether it paid, and what its scores mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from signet.records import Calibration, Interval

if TYPE_CHECKING:
    from signet.training import Trained


@dataclass(frozen=True, slots=True)
class FrozenProof:
    """That what was frozen did not move.

    Attributes:
        tensors: how many parameters, statistics and other buffers were held.
        values: how many numbers they hold together.
        before: sha256 hex over them before training (`signet.training.holding.tensors_digest` says of what).
        after: the same over them in the weights that were kept.
        names: of the tensors, as the weights of the seal have them.
    """

    tensors: int
    values: int
    before: str
    after: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, trained: Trained) -> FrozenProof:
        """From a run; every epoch was compared already, and this is of what came out."""
        from signet.training.holding import tensors_digest

        held = trained.held
        held.check(trained.best)
        after = tensors_digest({name: trained.best[name] for name in held.names})
        return cls(len(held.names), held.values, held.digest, after, held.names)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; the names in runs of one module each: `blocks.0.bn1: weight, bias, running_mean`."""
        modules: dict[str, list[str]] = {}
        for name in self.names:
            module, _, own = name.rpartition(".")
            modules.setdefault(module, []).append(own)
        return {
            "tensors": self.tensors,
            "values": self.values,
            "before": self.before,
            "after": self.after,
            "modules": modules,
        }

    def words(self) -> str:
        """One sentence."""
        if not self.tensors:
            return "nothing was frozen"
        same = "the same bits after training as before" if self.before == self.after else "moved"
        return (
            f"{self.tensors} tensors with {self.values:,} numbers were frozen and are {same} "
            f"(sha256 {self.after[:16]}...)"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """What temperature scaling did to the scores, on images that no decision used.

    Attributes:
        temperature: that is sealed; found on the validation images.
        before: the expected calibration error of the scores as they came.
        after: that of the sealed scores.
        reliability: of the scores as they came; the report has that of the sealed ones.
    """

    temperature: float
    before: Interval
    after: Interval
    reliability: Calibration

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "temperature": self.temperature,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }

    def words(self) -> str:
        """One sentence."""
        return (
            f"calibration error {_fraction(self.before)} as the scores came, {_fraction(self.after)} with "
            f"the temperature {self.temperature:.2f}, which is sealed"
        )


def frozen_facts(proof: FrozenProof) -> tuple[tuple[str, str], ...]:
    """The proof as names and values, for a page."""
    return (
        ("tensors", f"{proof.tensors:,}, with {proof.values:,} numbers"),
        ("sha256 before training", proof.before),
        ("sha256 after", proof.after),
        ("modules", ", ".join(proof.to_dict()["modules"])),
    )


def payoff(gain: Interval, seconds: Mapping[str, float]) -> str:
    """Whether fine-tuning was worth its time, in a sentence.

    Args:
        gain: of the fine-tuned network over the probe, paired on the same images.
        seconds: that each took: keys `probe`, `finetuned`.
    """
    more = f"{seconds['finetuned']:.0f} seconds of training beside {seconds['probe']:.0f} of the probe"
    points = (
        f"{100 * gain.value:+.1f} points (95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}, on "
        "the same images)"
    )
    if gain.low > 0:
        return f"fine-tuning paid: {points} for {more}"
    if gain.high < 0:
        return f"fine-tuning did not pay, it did harm: {points} for {more}"
    return f"these images cannot tell whether fine-tuning paid: {points} for {more}"


def figures_with_seconds(rows: Sequence[tuple[str, Interval, float]]) -> list[str]:
    """Candidates with figure, interval and time, a line each."""
    return [f"{name}: {figure}, {seconds:.0f} seconds" for name, figure, seconds in rows]


def _fraction(figure: Interval) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
