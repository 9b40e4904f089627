"""Objects in an image as boxes: a detector's answer, or the truth.

Frame: that of `geometry.py`, in pixels of the upright original; a box that holds one whole pixel is 1 wide.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Array, Integers, frozen
from signet.errors import BadInput
from signet.geometry import Size
from signet.notebooks import table

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes with labels and scores, in order.

    Attributes:
        xyxy: float64 (K, 4): left, top, right, bottom; right and bottom are not below left and top.
        scores: float64 (K,), 0 to 1; 1 for truth.
        indices: int64 (K,), positions in the label list.
        labels: K names.
        size: (height, width) of the upright original.
        crowd: bool (K,): a truth that stands for many objects, which nobody has to find one by one.
        areas: float64 (K,): pixels of the object, as the truth states them; of the box where nobody did.
        source: where the image came from.
        invalid: boxes that the network gave and that were left out, because a value was no number or a
            side was negative.
    """

    xyxy: Doubles
    scores: Doubles
    indices: Integers
    labels: tuple[str, ...]
    size: Size
    crowd: Flags | None = field(default=None, kw_only=True)
    areas: Doubles | None = field(default=None, kw_only=True)
    source: str = field(default="", kw_only=True)
    invalid: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        xyxy = frozen(np.reshape(self.xyxy, (-1, 4)) if np.size(self.xyxy) == 0 else self.xyxy,
                      "boxes", "float64", (None, 4))  # fmt: skip
        count = len(xyxy)
        scores = frozen(self.scores, "box scores", "float64", (count,))
        if not np.isfinite(xyxy).all() or (xyxy[:, 2:] < xyxy[:, :2]).any():
            raise BadInput(
                "boxes: expected finite left, top, right, bottom with right and bottom not below left and "
                f"top, got {_first_bad(xyxy)}. Boxes as x, y, width, height must be turned into these first."
            )
        if not ((scores >= 0) & (scores <= 1)).all():
            raise BadInput("box scores: expected numbers from 0 to 1, got others.")
        if len(self.labels) != count:
            raise BadInput(f"box labels: expected {count} names, one for each box, got {len(self.labels)}.")
        crowd = np.zeros(count, np.bool_) if self.crowd is None else self.crowd
        sides = xyxy[:, 2:] - xyxy[:, :2]
        areas = sides[:, 0] * sides[:, 1] if self.areas is None else self.areas
        for name, value in (
            ("xyxy", xyxy),
            ("scores", scores),
            ("indices", frozen(self.indices, "box indices", "int64", (count,))),
            ("labels", tuple(self.labels)),
            ("crowd", frozen(crowd, "crowd", "bool", (count,))),
            ("areas", frozen(areas, "box areas", "float64", (count,))),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def truth(
        cls,
        xyxy: Array | Sequence[Sequence[float]],
        indices: Array | Sequence[int],
        names: Sequence[str],
        size: Size,
        **more: Any,
    ) -> Boxes:
        """What is there, each with the score 1.

        Args:
            xyxy: (K, 4).
            indices: (K,), positions in `names`.
            names: the whole label list.
            size: (height, width) of the image.
            more: `crowd`, `areas`, `source`.
        """
        places = np.asarray(indices, np.int64).reshape(-1)
        if len(places) and not 0 <= places.min() <= places.max() < len(names):
            raise BadInput(f"box indices: expected 0 to {len(names) - 1}, got {places.tolist()[:8]}.")
        labels = tuple(names[place] for place in places.tolist())
        return cls(np.asarray(xyxy, np.float64), np.ones(len(places)), places, labels, size, **more)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Array | slice) -> Boxes:
        """The boxes that a boolean mask, an index array or a slice chooses."""
        places = np.arange(len(self))[chosen]
        return replace(
            self,
            xyxy=self.xyxy[places],
            scores=self.scores[places],
            indices=self.indices[places],
            labels=tuple(self.labels[place] for place in places),
            crowd=np.asarray(self.crowd)[places],
            areas=np.asarray(self.areas)[places],
        )

    def chosen(
        self,
        *,
        min_score: float = 0.0,
        labels: Collection[str] | None = None,
        min_area: float = 0.0,
        max_area: float = float("inf"),
    ) -> Flags:
        """Bool (K,): which boxes have all of it; `boxes[boxes.chosen(min_score=0.5)]` keeps them.

        Args:
            min_score: least score.
            labels: names, of which one must be the box's; None for any.
            min_area: least area, in pixels.
            max_area: greatest area.
        """
        named = np.array([labels is None or label in labels for label in self.labels], np.bool_)
        areas = np.asarray(self.areas)
        return named & (self.scores >= min_score) & (areas >= min_area) & (areas <= max_area)

    def to_dict(self) -> dict[str, Any]:
        """`{"kind": "boxes", "boxes": [{"xyxy", "score", "index", "label"}, ...]}`, in order."""
        rows = zip(self.xyxy.tolist(), self.scores.tolist(), self.indices.tolist(), self.labels, strict=True)
        return {
            "kind": "boxes",
            "boxes": [
                {"xyxy": xyxy, "score": score, "index": index, "label": label}
                for xyxy, score, index, label in rows
            ],
        }

    def __repr__(self) -> str:
        words = ", ".join(
            f"{label} {score:.2f}" for label, score in zip(self.labels[:3], self.scores[:3], strict=True)
        )
        return f"Boxes({len(self)}{': ' + words if words else ''}{', ...' if len(self) > 3 else ''})"

    def _repr_html_(self) -> str:
        """The first ten as a small table, for notebooks."""
        rows = [
            (label, f"{score:.3f}", ", ".join(f"{side:.0f}" for side in box))
            for label, score, box in zip(self.labels[:10], self.scores, self.xyxy, strict=False)
        ]
        more = f"the first 10 of {len(self):,}" if len(self) > 10 else ""
        caption = ", ".join(part for part in (self.source, more) if part)
        return table(("label", "score", "left, top, right, bottom"), rows, caption=caption, right=(1,))


def _first_bad(xyxy: Array) -> str:
    bad = ~np.isfinite(xyxy).all(axis=1) | (xyxy[:, 2:] < xyxy[:, :2]).any(axis=1)
    return str(xyxy[bad][0].tolist())
