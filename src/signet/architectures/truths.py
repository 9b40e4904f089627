"""What the pictures of a batch hold, as the losses of detectors take it: all boxes in one list.

Legend of the suffixes: N pictures, S boxes of all pictures, T boxes of one, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from signet.errors import BadInput

Target = Mapping[str, Tensor]
"""What is in a picture: "boxes" float32 (T, 4), left, top, right, bottom in prepared pixels; "labels" int64
(T,), 0 to C - 1, the dataset's own; for masks "masks" uint8 (T, H, W), 1 where the object is. T may be 0."""


@dataclass(frozen=True, slots=True)
class Truths:
    """The boxes of all pictures, one after another.

    Attributes:
        boxes: float32 (S, 4), left, top, right, bottom in pixels.
        labels: int64 (S,).
        images: int64 (S,), of which picture.
        count: pictures, those without a box too.
    """

    boxes: Tensor
    labels: Tensor
    images: Tensor
    count: int

    def __len__(self) -> int:
        return len(self.labels)


def joined(targets: Sequence[Target], classes: int, images_N3HW: Tensor) -> Truths:
    """The boxes of a batch, on the device of its pictures.

    Args:
        targets: of each picture.
        classes: how many labels there are.
        images_N3HW: the pictures.

    Raises:
        BadInput: there are not as many targets as pictures, not as many labels as boxes, a label that no
            class has, or a box that is none.
    """
    if len(targets) != len(images_N3HW):
        raise BadInput(f"targets: expected one for each of {len(images_N3HW)} pictures, got {len(targets)}.")
    for place, target in enumerate(targets):
        check(place, target, classes)
    device = images_N3HW.device
    counts_N = torch.tensor([len(target["labels"]) for target in targets], device=device)
    return Truths(
        torch.cat([target["boxes"] for target in targets]).to(device, torch.float32),
        torch.cat([target["labels"] for target in targets]).to(device),
        torch.repeat_interleave(torch.arange(len(targets), device=device), counts_N),
        len(targets),
    )


def check(place: int, target: Target, classes: int) -> None:
    """Refuse what no detector can learn.

    Args:
        place: of the picture, for messages.
        target: of it.
        classes: how many labels there are.

    Raises:
        BadInput: see `joined`.
    """
    boxes_T4, labels_T = target["boxes"], target["labels"]
    if boxes_T4.shape != (len(labels_T), 4):
        raise BadInput(
            f"target {place}: expected boxes of shape ({len(labels_T)}, 4), one for each label, "
            f"got {tuple(boxes_T4.shape)}."
        )
    if len(labels_T) and not 0 <= int(labels_T.min()) <= int(labels_T.max()) < classes:
        raise BadInput(
            f"target {place}: expected labels from 0 to {classes - 1}, "
            f"got {int(labels_T.min())} to {int(labels_T.max())}."
        )
    # False for what is no number, too.
    if not bool((boxes_T4[:, 2:] >= boxes_T4[:, :2]).all() and boxes_T4.isfinite().all()):
        raise BadInput(
            f"target {place}: expected boxes as left, top, right, bottom in pixels, with right and bottom "
            "not before left and top."
        )
