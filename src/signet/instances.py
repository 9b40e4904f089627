"""Objects in an image, each with its box and its own pixels: an instance segmenter's answer, or the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.boxes import Boxes
from signet.errors import BadInput
from signet.masks import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """Boxes and the mask of each.

    Attributes:
        boxes: labels, scores and boxes of K objects.
        masks: K masks of the image's size.
    """

    boxes: Boxes
    masks: tuple[Mask, ...]

    def __post_init__(self) -> None:
        masks = tuple(self.masks)
        if len(masks) != len(self.boxes):
            raise BadInput(
                f"instances: expected {len(self.boxes)} masks, one for each box, got {len(masks)}."
            )
        for mask in masks:
            if mask.size != tuple(self.boxes.size):
                raise BadInput(
                    f"instances: expected masks of the image's size {self.boxes.size}, got {mask.size}."
                )
        object.__setattr__(self, "masks", masks)

    @property
    def source(self) -> str:
        """Where the image came from."""
        return self.boxes.source

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, chosen: Array | slice) -> Instances:
        """The objects that a boolean mask, an index array or a slice chooses; see `Boxes.chosen`."""
        places = np.arange(len(self))[chosen]
        return Instances(self.boxes[places], tuple(self.masks[place] for place in places))

    def to_dict(self) -> dict[str, Any]:
        """As that of `Boxes`, of the kind "instances"; each row has its `mask` in COCO's run lengths."""
        rows = self.boxes.to_dict()["boxes"]
        return {
            "kind": "instances",
            "boxes": [{**row, "mask": mask.to_coco()} for row, mask in zip(rows, self.masks, strict=True)],
        }

    def __repr__(self) -> str:
        return repr(self.boxes).replace("Boxes", "Instances", 1)

    def _repr_html_(self) -> str:
        return self.boxes._repr_html_()
