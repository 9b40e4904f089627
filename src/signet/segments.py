"""A label for each pixel: a semantic segmenter's answer, or the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signet.arrays import Floats, frozen
from signet.errors import BadInput, UnknownName
from signet.geometry import Size
from signet.masks import Mask
from signet.notebooks import table

UNLABELLED = -1
"""Of a pixel whose truth nobody said: it is left out of every count."""
Places = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class SegmentMap:
    """Which label each pixel has.

    Attributes:
        indices: int32 (H, W), positions in `labels`; -1 where nobody said.
        labels: all names, whether they occur or not.
        scores: float32 (H, W), 0 to 1, of each pixel's label; None where they are not known.
        background: the index that stands for "nothing of these", or None. It is a label like others for
            figures, and is not drawn.
        source: where the image came from.
    """

    indices: Places
    labels: tuple[str, ...]
    scores: Floats | None = None
    background: int | None = field(default=None, kw_only=True)
    source: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        indices = frozen(self.indices, "a segment map", "int32", (None, None))
        if not indices.size:
            raise BadInput(f"a segment map: expected at least one pixel, got shape {indices.shape}.")
        low, high = int(indices.min()), int(indices.max())
        if low < UNLABELLED or high >= len(self.labels):
            raise BadInput(
                f"a segment map: expected values from -1 to {len(self.labels) - 1}, got {low} to {high}."
            )
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "labels", tuple(self.labels))
        if self.scores is not None:
            object.__setattr__(
                self, "scores", frozen(self.scores, "a segment map's scores", "float32", indices.shape)
            )

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.indices.shape[0], self.indices.shape[1]

    @property
    def present(self) -> tuple[int, ...]:
        """The indices that occur, in order; what is unlabelled is not among them."""
        counts = self.counts
        return tuple(int(index) for index in np.flatnonzero(counts))

    @property
    def counts(self) -> NDArray[np.int64]:
        """int64 (C,): pixels of each label."""
        flat = self.indices.ravel()
        return np.bincount(flat[flat >= 0], minlength=len(self.labels)).astype(np.int64)

    def mask(self, label: str | int) -> Mask:
        """The pixels of a label, by name or index.

        Raises:
            UnknownName: no such label.
        """
        if isinstance(label, str):
            if label not in self.labels:
                raise UnknownName("label", label, self.labels)
            label = self.labels.index(label)
        return Mask.of(self.indices == label)

    def to_dict(self) -> dict[str, Any]:
        """`{"kind": "segments", "segments": [{"index", "label", "pixels", "mask"}]}`, the largest first."""
        counts = self.counts
        order = sorted(self.present, key=lambda index: (-counts[index], index))
        return {
            "kind": "segments",
            "segments": [
                {
                    "index": index,
                    "label": self.labels[index],
                    "pixels": int(counts[index]),
                    "mask": self.mask(index).to_coco(),
                }
                for index in order
            ],
        }

    def __repr__(self) -> str:
        rows = self._shares()[:3]
        words = ", ".join(f"{label} {share:.0%}" for label, share in rows)
        height, width = self.size
        return f"SegmentMap({height}x{width}{': ' + words if words else ''})"

    def _shares(self) -> list[tuple[str, float]]:
        counts = self.counts
        order = sorted(self.present, key=lambda index: (-counts[index], index))
        return [(self.labels[index], float(counts[index]) / self.indices.size) for index in order]

    def _repr_html_(self) -> str:
        """The ten largest as a small table, for notebooks."""
        rows = [(label, f"{share:.1%}") for label, share in self._shares()[:10]]
        return table(("label", "share"), rows, caption=self.source, right=(1,))
