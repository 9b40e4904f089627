"""What a run can show for itself: what stayed as it was, whether it paid, and what its scores mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from signet.records import Calibration, Interval

if TYPE_CHECKING:
    from signet.training import Merged, Trained


UNSEALED = "the fine-tuned one, which is not sealed: the probe leaves the whole network as it was"
_ADAPTED = (
    "the fine-tuned one, which is not sealed; the one under the probe was not trained, and was adapted to "
    "images of another kind"
)


@dataclass(frozen=True, slots=True)
class MergedProof:
    """That matrices with low-rank adapters are what they were, and their adapters.

    Attributes:
        matrices: how many there are.
        values: how many numbers they hold together.
        before: sha256 hex over them in the pretrained network.
        after: the same over them when training was over, before the adapters were merged.
        error: greatest difference of an element of the merged ones to the exact base + adapter. It is within
            rounding, or nothing would have been sealed (`signet.training.merging`).
        names: of the matrices, as the weights of the seal have them; there they have other values.
    """

    matrices: int
    values: int
    before: str
    after: str
    error: float
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "matrices": self.matrices,
            "values": self.values,
            "before": self.before,
            "after": self.after,
            "greatest_error": self.error,
            "modules": _by_module(self.names),
        }

    def words(self) -> str:
        """A part of a sentence."""
        return (
            f"{self.matrices} matrices with {self.values:,} numbers have adapters: they are {_moved(self)} "
            f"until these were merged into them (sha256 {self.after[:16]}...), and since then the sum of "
            f"both, within rounding (greatest difference {self.error:.1e})"
        )


@dataclass(frozen=True, slots=True)
class FrozenProof:
    """That what was frozen did not move.

    Attributes:
        tensors: how many parameters, statistics and other buffers were held.
        values: how many numbers they hold together.
        before: sha256 hex over them before training (`signet.training.holding.tensors_digest` says of what).
        after: the same over them in the weights that were kept; with adapters, in the merged ones.
        names: of the tensors, as the weights of the seal have them.
        merged: of the matrices that had adapters, which are none of these tensors; None without adapters.
        folds: of a run of folds the proof of each network; what is above is then what holds of all: `after`
            differs from `before` where one has moved.
        adapted: names of those, matrices with adapters included, that an adaptation to images of another kind
            changed when training was over: the seal has them as that left them.
    """

    tensors: int
    values: int
    before: str
    after: str
    names: tuple[str, ...]
    merged: MergedProof | None = None
    folds: tuple[FrozenProof, ...] = ()
    adapted: tuple[str, ...] = ()

    @classmethod
    def of(cls, trained: Trained, merged: Merged | None = None) -> FrozenProof:
        """From a run; every epoch was compared already, and this is of what came out.

        Args:
            trained: what training came to.
            merged: the network with its adapters merged, where it had some.

        Raises:
            CheckFailed: something that was frozen has moved.
        """
        from signet.training.holding import tensors_digest

        trained.held.check(trained.best)
        if merged is None:
            held, state = trained.held, trained.best
        else:
            held, state = merged.kept, merged.module.state_dict()
            held.check(state)
        after = tensors_digest({name: state[name] for name in held.names})
        adapted = None if merged is None else _of_matrices(merged)
        return cls(len(held.names), held.values, held.digest, after, held.names, adapted)

    @classmethod
    def of_folds(cls, proofs: Sequence[FrozenProof]) -> FrozenProof:
        """Of all networks of a run of folds, one summary; the names are those of a single one.

        Args:
            proofs: one for each fold, of at least one; all began with the same weights.
        """
        first, matrices = proofs[0], [one.merged for one in proofs if one.merged is not None]
        merged = first.merged
        if merged is not None:
            error = max(one.error for one in matrices)
            merged = dataclasses.replace(merged, after=_common(matrices), error=error)
        return dataclasses.replace(first, after=_common(proofs), merged=merged, folds=tuple(proofs))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; the names in runs of one module each: `blocks.0.bn1: weight, bias, running_mean`."""
        return {
            "tensors": self.tensors,
            "values": self.values,
            "before": self.before,
            "after": self.after,
            "modules": _by_module(self.names),
            **({} if self.merged is None else {"merged": self.merged.to_dict()}),
            **({"folds": [_of_fold(one) for one in self.folds]} if self.folds else {}),
            **({"adapted": _by_module(self.adapted)} if self.adapted else {}),
        }

    def words(self) -> str:
        """One sentence."""
        if not self.tensors and self.merged is None:
            return "nothing was frozen"
        said = (
            f"{self._where()}{self.tensors} tensors with {self.values:,} numbers were frozen and are "
            f"{_moved(self)} (sha256 {self.after[:16]}...)"
        )
        said = said if self.merged is None else f"{said}; {self.merged.words()}"
        return f"{said}; {self._later()}" if self.adapted else said

    def then_adapted(self, changed: Sequence[str]) -> FrozenProof:
        """The same of a network that was adapted when training was over.

        Args:
            changed: names of the tensors that the adaptation changed.
        """
        others = frozenset(changed)
        own = (*self.names, *(() if self.merged is None else self.merged.names))
        return dataclasses.replace(self, adapted=tuple(name for name in own if name in others))

    def _later(self) -> str:
        return (
            f"{len(self.adapted)} of them were changed afterwards, by the adaptation to images of another "
            "kind, and are sealed so"
        )

    def _where(self) -> str:
        """Of how many networks this is; of which one, where it has moved in some."""
        if not self.folds:
            return ""
        moved = [str(place) for place, one in enumerate(self.folds, 1) if not one.holds]
        if not moved:
            return f"in each of {len(self.folds)} networks "
        return f"in network {', '.join(moved)} of {len(self.folds)} "

    @property
    def holds(self) -> bool:
        """Whether nothing has moved."""
        return self.before == self.after and (self.merged is None or self.merged.before == self.merged.after)


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """What temperature scaling did to the scores, on images that no decision used.

    Attributes:
        temperature: that is sealed; found on the validation images, for the network as it was decided on.
        before: the expected calibration error of the scores as they came.
        after: that of the sealed scores.
        reliability: of the scores as they came; the report has that of the sealed ones.
        adapted: whether the network was then adapted to images of another kind. `before` and `after` are of
            the adapted one, for which no temperature was found: there are no labels to find it by.
    """

    temperature: float
    before: Interval
    after: Interval
    reliability: Calibration
    adapted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "temperature": self.temperature,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            **({"found_before_the_adaptation": True} if self.adapted else {}),
        }

    def words(self) -> str:
        """One sentence."""
        found = "; it was found for the network before its adaptation" if self.adapted else ""
        return (
            f"calibration error {_fraction(self.before)} as the scores came, {_fraction(self.after)} with "
            f"the temperature {self.temperature:.2f}, which is sealed{found}"
        )


def frozen_facts(
    proof: FrozenProof, *, sealed: bool = True, adapted: Sequence[str] = ()
) -> tuple[tuple[str, str], ...]:
    """The proof as names and values, for a page.

    Args:
        proof: of a training.
        sealed: whether what was trained is what was sealed.
        adapted: names of the tensors that an adaptation to images of another kind changed in what was sealed.
    """
    facts = [
        *(() if sealed else (("network", _ADAPTED if adapted else UNSEALED),)),
        ("tensors", f"{proof.tensors:,}, with {proof.values:,} numbers"),
        ("sha256 before training", proof.before),
        ("sha256 after", proof.after),
        ("modules", _grouped(proof.names)),
    ]
    if proof.merged is not None:
        facts += _merged_facts(proof.merged)
    if proof.adapted:
        facts.append(("changed by the adaptation", f"{len(proof.adapted)}: {_grouped(proof.adapted)}"))
    elif adapted and not sealed:
        facts.append(("changed in the sealed network", f"{len(adapted)}: {_grouped(tuple(adapted))}"))
    if proof.folds:
        moved = [str(place) for place, one in enumerate(proof.folds, 1) if not one.holds]
        said = f"moved in network {', '.join(moved)}" if moved else "holds of every one of them"
        facts.append(("networks", f"{len(proof.folds)}; {said}"))
    return tuple(facts)


def _merged_facts(proof: MergedProof) -> list[tuple[str, str]]:
    return [
        ("matrices with adapters", f"{proof.matrices:,}, with {proof.values:,} numbers"),
        ("sha256 of these before training", proof.before),
        ("sha256 of these after, not yet merged", proof.after),
        ("merged", f"they are matrix + adapter within rounding: greatest difference {proof.error:.1e}"),
        ("modules with adapters", _grouped(proof.names)),
    ]


def _of_matrices(merged: Merged) -> MergedProof:
    """What `merged` has checked: the digest after is the one before, or it would have raised."""
    held = merged.matrices
    return MergedProof(len(held.names), held.values, held.digest, merged.digest, merged.error, held.names)


def _of_fold(proof: FrozenProof) -> dict[str, Any]:
    merged = proof.merged
    return {
        "before": proof.before,
        "after": proof.after,
        **({} if merged is None else {"merged": {"before": merged.before, "after": merged.after}}),
    }


def _common(proofs: Sequence[FrozenProof | MergedProof]) -> str:
    """The digest after, of all networks; that of the first which is another one than before, if any."""
    before = proofs[0].before
    return next((one.after for one in proofs if one.after != before), before)


def _moved(proof: FrozenProof | MergedProof) -> str:
    if proof.before == proof.after:
        return "the same bits after training as before"
    return "other bits after training than before"


def _grouped(names: Sequence[str]) -> str:
    """The modules for a person: those that begin alike together, with their number where there are several.

    The names of all are in the record.
    """
    groups: dict[str, int] = {}
    for module in _by_module(names):
        first = ".".join(module.split(".")[:2])
        groups[first] = groups.get(first, 0) + 1
    return ", ".join(name if count == 1 else f"{name} ({count})" for name, count in groups.items())


def _by_module(names: Sequence[str]) -> dict[str, list[str]]:
    modules: dict[str, list[str]] = {}
    for name in names:
        module, _, own = name.rpartition(".")
        modules.setdefault(module, []).append(own)
    return modules


def payoff(gain: Interval, seconds: Mapping[str, float]) -> str:
    """Whether fine-tuning was worth its time, in a sentence.

    Args:
        gain: of the fine-tuned network over the probe, paired on the same images.
        seconds: that each took: keys `probe`, `finetuned`, and `search` where settings were searched first.
    """
    search = f" and {seconds['search']:.0f} of the search" if "search" in seconds else ""
    more = (
        f"{seconds['finetuned']:.0f} seconds of training{search} beside {seconds['probe']:.0f} of the probe"
    )
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
