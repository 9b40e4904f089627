"""One image's answer, or its truth: the same type for both, so that they can be compared.

Every kind is a frozen value whose arrays have one length, is indexable by a mask, and goes to plain
JSON with `to_dict`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from signet.arrays import Array, Floats, Integers, frozen
from signet.boxes import Boxes
from signet.errors import BadInput
from signet.instances import Instances
from signet.notebooks import table
from signet.segments import SegmentMap


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """What an image shows, as labels with scores.

    Attributes:
        indices: int64 (K,), positions in the model's label list.
        scores: float32 (K,), 0 to 1. When `exclusive` the scores over the whole list sum to 1.
        labels: K names.
        exclusive: True when exactly one label is right; False for multi-label.
        source: where the image came from.
    """

    indices: Integers
    scores: Floats
    labels: tuple[str, ...]
    exclusive: bool = True
    source: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        indices = frozen(self.indices, "class indices", "int64", (None,))
        scores = frozen(self.scores, "class scores", "float32", (len(indices),))
        if len(self.labels) != len(indices):
            raise BadInput(
                f"class labels: expected {len(indices)} names, one for each index, got {len(self.labels)}."
            )
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "scores", scores)

    @classmethod
    def truth(cls, index: int, label: str, *, source: str = "") -> Classes:
        """The one right label of an image."""
        return cls(np.array([index]), np.ones(1, np.float32), (label,), source=source)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Array | slice) -> Classes:
        """The entries that a boolean mask, an index array or a slice chooses."""
        positions = np.arange(len(self))[chosen]
        return Classes(
            self.indices[positions],
            self.scores[positions],
            tuple(self.labels[position] for position in positions),
            self.exclusive,
            source=self.source,
        )

    def top(self, count: int = 5) -> Classes:
        """The `count` highest scores, best first; equal scores in label order."""
        order = np.lexsort((self.indices, -self.scores))[:count]
        return self[order]

    @property
    def best(self) -> str:
        """The label with the highest score."""
        if not len(self):
            raise BadInput("best: expected at least one label, got none.")
        return self.top(1).labels[0]

    def to_dict(self, count: int | None = 5) -> dict[str, Any]:
        """`{"kind": "classes", "top": [{"index", "label", "score"}, ...]}`, best first."""
        best = self.top(len(self) if count is None else count)
        rows = zip(best.indices.tolist(), best.labels, best.scores.tolist(), strict=True)
        return {
            "kind": "classes",
            "top": [
                {"index": index, "label": label, "score": round(score, 6)} for index, label, score in rows
            ],
        }

    def __repr__(self) -> str:
        words = ", ".join(
            f"{label} {score:.3f}"
            for label, score in zip(self.top(3).labels, self.top(3).scores, strict=True)
        )
        return f"Classes({words}{', ...' if len(self) > 3 else ''})"

    def _repr_html_(self) -> str:
        """The best five as a small table, for notebooks."""
        best = self.top(5)
        rows = [(label, f"{score:.3f}") for label, score in zip(best.labels, best.scores, strict=True)]
        more = f"the best {len(best)} of {len(self):,}" if len(self) > len(best) else ""
        caption = ", ".join(part for part in (self.source, more) if part)
        return table(("label", "score"), rows, caption=caption, right=(1,))


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """An image as a vector.

    Attributes:
        vector: float32 (D,), or (D, h, w) when it was not pooled.
        layer: the layer it was taken from.
        source: where the image came from.
    """

    vector: Floats
    layer: str = "penultimate"
    source: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "vector", frozen(self.vector, "an embedding", "float32"))

    def __len__(self) -> int:
        return int(self.vector.shape[0])

    def to_dict(self) -> dict[str, Any]:
        """`{"kind": "embedding", "layer", "vector": [...]}`."""
        return {"kind": "embedding", "layer": self.layer, "vector": self.vector.tolist()}

    def __repr__(self) -> str:
        shape = "x".join(str(side) for side in self.vector.shape)
        first = ", ".join(f"{value:.3f}" for value in self.vector.ravel()[:3])
        more = ", ..." if self.vector.size > 3 else ""
        return f"Embedding({shape} of {self.layer}: {first}{more})"


Prediction = Classes | Embedding | Boxes | Instances | SegmentMap
"""Every kind of answer; the task of a model decides which one it gives."""
