"""What a classifier is asked to do: the loss, and how much each class counts in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from signet.training.checks import Range, check_fields
from signet.training.imbalance import ClassWeights, Sampling

Loss = Literal["cross-entropy", "focal", "bce"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is minimised where images have labels; pixels and objects have losses of their own.

    Attributes:
        loss: "cross-entropy" over the classes. "focal": the same, and what is nearly right counts less.
            "bce": binary cross-entropy of each label on its own. Where several labels can be right,
            "cross-entropy" is that of each label, so the same as "bce".
        focusing: gamma of the focal loss; 0 is cross-entropy.
        class_weights: how much a class counts, see `imbalance.weights_of`.
        sampling: "natural": every image once an epoch. "balanced": every class alike.
        temperature: by which a teacher's answers and the learner's are softened before they are compared.
        teacher_weight: share of the loss that is the distance from the teacher; the rest is the labels'.
    """

    loss: Loss = "cross-entropy"
    focusing: float = 2.0
    class_weights: ClassWeights = "none"
    sampling: Sampling = "natural"
    temperature: float = 2.0
    teacher_weight: float = 0.5

    def __post_init__(self) -> None:
        check_fields(self, ranges=_RANGES, choices=_CHOICES)


_RANGES = (
    Range("focusing", 0, 10, "Usual is 2."),
    Range("temperature", 0.1, 100, "Usual are 1 to 10."),
    Range("teacher_weight", 0, 1, "It is a share of the loss."),
)
_CHOICES: dict[str, tuple[str, ...]] = {
    "loss": ("cross-entropy", "focal", "bce"),
    "class_weights": ("none", "inverse", "balanced"),
    "sampling": ("natural", "balanced"),
}
