"""How many objects of each label a picture has, and a run of pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from signet.boxes import Boxes
from signet.instances import Instances
from signet.predictions import Prediction


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted of one label.

    Attributes:
        objects: over all pictures; one that is in ten frames counts ten times.
        pictures: those that have at least one.
        most: the greatest number in one picture.
    """

    objects: int = 0
    pictures: int = 0
    most: int = 0

    def to_dict(self) -> dict[str, int]:
        """Plain values."""
        return {"objects": self.objects, "pictures": self.pictures, "most": self.most}


@dataclass(frozen=True, slots=True)
class Totals:
    """What was counted so far.

    Attributes:
        pictures: how many were counted.
        labels: the tally of each label that occurred.
    """

    pictures: int = 0
    labels: Mapping[str, Tally] = field(default_factory=lambda: MappingProxyType({}))

    def and_then(self, counts: Mapping[str, int]) -> Totals:
        """With one more picture."""
        labels = dict(self.labels)
        for label, count in counts.items():
            if count:
                old = labels.get(label, Tally())
                labels[label] = Tally(old.objects + count, old.pictures + 1, max(old.most, count))
        return replace(self, pictures=self.pictures + 1, labels=MappingProxyType(labels))

    def to_dict(self) -> dict[str, Any]:
        """`{label: {"objects", "pictures", "most"}}`, the most frequent first."""
        order = sorted(self.labels, key=lambda label: (-self.labels[label].objects, label))
        return {label: self.labels[label].to_dict() for label in order}


def count(answer: Prediction, min_score: float = 0.0) -> dict[str, int] | None:
    """Objects by label with at least a score, the most frequent first; None for an answer without objects."""
    boxes = answer.boxes if isinstance(answer, Instances) else answer
    if not isinstance(boxes, Boxes):
        return None
    found = Counter(
        label for label, score in zip(boxes.labels, boxes.scores.tolist(), strict=True) if score >= min_score
    )
    return {label: found[label] for label in sorted(found, key=lambda label: (-found[label], label))}
