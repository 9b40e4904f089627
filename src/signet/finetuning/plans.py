"""What a run is going to do, decided before it starts, and said before it starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from signet.naming import shown
from signet.recipes import Recipe

_IMAGES = {"training": "to learn from", "validation": "for validation", "test": "for the test"}
_STEPS = {
    "features": "features",
    "probe": "probe",
    "search": "search",
    "training": "training",
    "closing": "measuring and sealing",
}


class Planned(Protocol):
    """What of a plan a training goes by."""

    @property
    def strategy(self) -> str:
        """What is trained."""
        ...

    @property
    def epochs(self) -> int:
        """Passes over the training images."""
        ...

    @property
    def batch(self) -> int:
        """Images that go through the network at once; 0 for what the recipe says."""
        ...

    @property
    def stages(self) -> tuple[str, ...]:
        """Those that stay frozen."""
        ...

    @property
    def threads(self) -> int:
        """Of the processor."""
        ...

    @property
    def bf16(self) -> bool:
        """Whether training computes in bfloat16."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of one run.

    Attributes:
        model: what it begins with.
        dataset: what it learns.
        labels: how many classes.
        strategy: what is trained, as the recipe has it but never "auto".
        images: how many are for what: keys `training`, `validation`, `test`.
        trained: what learns, in words.
        frozen: what stays as it is, in words.
        why: the reasons, one sentence each.
        probe_size: (height, width) at which the probe sees images; None when it depends on the image.
        input_size: (height, width) at which training sees them.
        stages: names of the stages that stay frozen.
        epochs: passes over the training images; 0 without training.
        threads: processor threads.
        engine: that computes features and answers here, with its version; "" where the result's own says it.
        precision: that it computes in.
        batch: images that go through the network at once; 0 where the recipe decides.
        bf16: whether training computes in bfloat16.
        measured_on: what the figures are measured on, in words.
        shows: what the training images show, in sentences.
        golden: the images that become evidence inside the seal, one line each: this is what leaves the
            machine with it.
        search_trials: how many settings are tried in each rung of the search before the training.
        search_epochs: for how many epochs, likewise.
        seconds: expected, from a short trial: keys `features`, `probe`, `training`, `closing` (measuring and
            sealing). It is no part of what decides the result.
        notes: what else a person should know.
    """

    model: str
    dataset: str
    labels: int
    strategy: str
    images: Mapping[str, int]
    trained: str
    frozen: str
    why: tuple[str, ...]
    probe_size: tuple[int, int] | None
    input_size: tuple[int, int] | None = None
    stages: tuple[str, ...] = ()
    epochs: int = 0
    threads: int = 1
    engine: str = ""
    precision: str = ""
    batch: int = 0
    bf16: bool = False
    measured_on: str = ""
    shows: tuple[str, ...] = ()
    golden: tuple[str, ...] = ()
    search_trials: tuple[int, ...] = ()
    search_epochs: tuple[int, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def expected_seconds(self) -> float:
        """All steps together."""
        return sum(self.seconds.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; `from_dict` of it is an equal plan."""
        plain = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """From the plain JSON of an earlier process."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**fields)

    def words(self) -> list[str]:
        """The plan for a person, one line each."""
        counts = ", ".join(f"{count} {_IMAGES[name]}" for name, count in self.images.items() if count)
        classes = "one class" if self.labels == 1 else f"{self.labels} classes"
        lines = [
            f"{self.model} learns the {classes} of {shown(self.dataset)} ({counts})",
            f"trained: {self.trained}",
            f"frozen: {self.frozen}",
            *(f"why: {reason}" for reason in self.why),
            *(f"shows: {sentence}" for sentence in self.shows),
        ]
        if self.epochs and self.input_size:
            lines.append(
                f"training: {self.epochs} epochs at {self.input_size[0]}x{self.input_size[1]} pixels, "
                f"{self.threads} {'thread' if self.threads == 1 else 'threads'}"
            )
        if self.search_trials:
            rungs = zip(self.search_trials, self.search_epochs, strict=True)
            words = ", then ".join(f"{trials} settings for {epochs} epochs" for trials, epochs in rungs)
            lines.append(f"search: {words}; the best by validation is trained")
        if self.engine:
            lines.append(f"engine: {self.engine}, {self.precision}")
        lines.append(f"measured on: {self.measured_on}")
        steps = ", ".join(f"{_STEPS[name]} {_duration(seconds)}" for name, seconds in self.seconds.items())
        lines.append(f"expected time: {_duration(self.expected_seconds)}{f' ({steps})' if steps else ''}")
        lines += [f"in the seal as evidence: {line}" for line in self.golden]
        return lines + [f"note: {note}" for note in self.notes]


def trained_words(strategy: str, stages: tuple[str, ...], recipe: Recipe, *, own: bool) -> str:
    """What learns of a network with labels of images, in words; `own` of a head of the user's own."""
    if strategy == "scratch":
        return "everything, from random weights, at the head's rate; beside it a probe of the random network"
    first = "a linear head first (the probe); then from its weights"
    if own or recipe.head == "mlp":
        kind = "a head of your own" if own else "a perceptron as head"
        first = f"{kind}, first on frozen features; then from its weights"
    match strategy:
        case "head":
            return f"{first} the head alone"
        case "lora":
            return (
                f"{first} the head and low-rank adapters of rank {recipe.lora_rank} beside every matrix; "
                "they are merged before the result is sealed, and kept as a file of their own"
            )
        case "gradual":
            return f"{first} one stage after another, from the head down; all of them from the middle on"
    return f"{first} {'the last stages and the head' if stages else 'everything'}"


def frozen_words(strategy: str, stages: tuple[str, ...]) -> str:
    """What stays of it."""
    if strategy == "lora":
        return "every weight of the network but its head's"
    return f"{', '.join(stages)} (BatchNorm in evaluation mode)" if stages else "nothing"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
