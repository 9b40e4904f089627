"""What the answers of a one-stage detector without anchors cost: boxes, sides, classes, masks.

Sources: Feng et al., TOOD (2021), arXiv:2108.07755, section 3.2, for the targets of the scores and the
weights of the boxes; Zheng et al. (2020), arXiv:1911.08287; Li et al. (2020), arXiv:2006.04388; Bolya et al.,
YOLACT (2019), arXiv:1904.02689, section 3, for the masks. The weights of the first three are those of
MultimediaTechLab/YOLO (MIT), `yolo/config/task/train.yaml`.

Legend of the suffixes: N pictures, C classes, A places, R distances of a side, P pairs of a place and its
object, S objects of all pictures, K prototypes, H and W rows and columns of the prototypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from signet.architectures.box_losses import complete_overlap, distribution_loss
from signet.architectures.task_alignment import Assignment, assigned
from signet.architectures.truths import Target, Truths
from signet.errors import BadInput

BOXES = 7.5
CLASSES = 0.5
DISTANCES = 1.5
MASKS = 6.125
"""Weights of the parts. Source of the last: arXiv:1904.02689, section 3."""
CELLS = 2**22
"""Of masks that are compared at a time; what is between them is computed again on the way back."""


@dataclass(frozen=True, slots=True)
class RawAnswers:
    """What a head without anchors gives before it is decoded.

    Attributes:
        sides: float32 (N, 4, R, A), logits of the distances in cells from the place to left, top, right and
            bottom.
        logits: float32 (N, C, A), of the classes.
        points: float32 (2, A), middles of the places in cells of their map.
        strides: float32 (A,), pixels of such a cell.
    """

    sides: Tensor
    logits: Tensor
    points: Tensor
    strides: Tensor

    def boxes(self) -> Tensor:
        """float32 (N, A, 4): left, top, right, bottom in pixels."""
        cells_R = torch.arange(self.sides.shape[2], device=self.strides.device).to(self.strides)
        distances_N4A = torch.einsum("nsra,r->nsa", self.sides.softmax(dim=2), cells_R)
        near_N2A, far_N2A = self.points - distances_N4A[:, :2], self.points + distances_N4A[:, 2:]
        return (torch.cat([near_N2A, far_N2A], dim=1) * self.strides).transpose(1, 2)

    def middles(self) -> Tensor:
        """float32 (A, 2): of the places, in pixels."""
        return (self.points * self.strides).T


def detection_losses(raw: RawAnswers, truths: Truths) -> tuple[dict[str, Tensor], Assignment]:
    """The parts of the loss, and which place learned what.

    Each part is a sum over the places, divided by the sum of the scores that the places should give (by 1
    where that is less): the mean over what is there to find, whatever the number of pictures.

    Returns:
        "boxes": complete IoU; "distances": distribution focal loss, the mean of four sides; both weighted by
        the place's target; "classes": binary cross-entropy at all places. Each float32 ().
    """
    boxes_NA4 = raw.boxes()
    pairs = assigned(
        boxes_NA4.detach(),
        raw.logits.detach().sigmoid(),
        raw.middles(),
        truths,
        float(raw.strides.min()),
    )
    image_P, place_P, target_P = pairs.images, pairs.places, pairs.targets
    truth_P4 = truths.boxes[pairs.truths]
    total = target_P.sum().clamp(min=1)

    targets_NCA = torch.zeros_like(raw.logits)
    targets_NCA[image_P, truths.labels[pairs.truths], place_P] = target_P
    entropy = functional.binary_cross_entropy_with_logits(raw.logits, targets_NCA, reduction="sum")

    apart_P = 1 - complete_overlap(boxes_NA4[image_P, place_P], truth_P4)

    cells_P4 = truth_P4 / raw.strides[place_P, None]
    point_P2 = raw.points[:, place_P].T
    distances_P4 = torch.cat([point_P2 - cells_P4[:, :2], cells_P4[:, 2:] - point_P2], dim=1)
    logits_P4R = raw.sides[image_P, :, :, place_P]
    focal_P = distribution_loss(logits_P4R.flatten(0, 1), distances_P4.flatten()).view(-1, 4).mean(dim=1)
    return {
        "boxes": BOXES * (apart_P * target_P).sum() / total,
        "distances": DISTANCES * (focal_P * target_P).sum() / total,
        "classes": CLASSES * entropy / total,
    }, pairs


def mask_loss(
    coefficients_NKA: Tensor,
    prototypes_NKHW: Tensor,
    truths: Truths,
    masks_SHW: Tensor,
    pairs: Assignment,
    stride: float,
) -> Tensor:
    """Binary cross-entropy of the mixed prototypes in the object's box, divided by the box's area.

    Args:
        coefficients_NKA: of the prototypes, at every place.
        prototypes_NKHW: float32.
        truths: what is there.
        masks_SHW: float32, 0 to 1, at the size of the prototypes: the part of the cell that is the object.
        pairs: which place learns what.
        stride: pixels of a cell of the prototypes.

    Returns:
        float32 (): the mean of the pairs, weighted by their targets as the boxes are.

    Source: Bolya et al., YOLACT (2019), arXiv:1904.02689, section 3.
    """
    boxes_S4 = truths.boxes / stride
    # Outwards, so that every box holds a cell.
    boxes_S4 = torch.cat([boxes_S4[:, :2].floor(), boxes_S4[:, 2:].ceil()], dim=1)
    height, width = prototypes_NKHW.shape[-2:]
    total = coefficients_NKA.sum() * 0 + prototypes_NKHW.sum() * 0
    for image in range(truths.count):
        rows = (pairs.images == image).nonzero().squeeze(1)
        for some in torch.split(rows, max(1, CELLS // (height * width))):
            truth_P = pairs.truths[some]
            total = total + checkpoint(
                _mask_sum,
                coefficients_NKA[image, :, pairs.places[some]].T,
                prototypes_NKHW[image],
                masks_SHW[truth_P],
                boxes_S4[truth_P],
                pairs.targets[some],
                use_reentrant=False,
            )
    return MASKS * total / pairs.targets.sum().clamp(min=1)


def _mask_sum(
    coefficients_PK: Tensor, prototypes_KHW: Tensor, masks_PHW: Tensor, boxes_P4: Tensor, weights_P: Tensor
) -> Tensor:
    """Of the masks of one picture, each its weighted mean over the cells of its box; boxes in cells."""
    height, width = prototypes_KHW.shape[-2:]
    rows_H1 = torch.arange(height, device=boxes_P4.device).unsqueeze(1)
    columns_W = torch.arange(width, device=boxes_P4.device)
    left, top, right, bottom = boxes_P4[:, :, None, None].unbind(1)
    inside_PHW = (columns_W >= left) & (columns_W < right) & (rows_H1 >= top) & (rows_H1 < bottom)
    logits_PHW = torch.einsum("pk,khw->phw", coefficients_PK, prototypes_KHW)
    entropy_PHW = functional.binary_cross_entropy_with_logits(logits_PHW, masks_PHW, reduction="none")
    area_P = inside_PHW.sum(dim=(1, 2)).clamp(min=1)
    return ((entropy_PHW * inside_PHW).sum(dim=(1, 2)) / area_P * weights_P).sum()


def shrunk_masks(targets: Sequence[Target], size: tuple[int, int], like: Tensor) -> Tensor:
    """The masks of all pictures at the size of the prototypes: float32 (S, H, W), the part that is covered.

    Args:
        targets: of each picture, with "masks".
        size: height and width.
        like: on whose device.

    Raises:
        BadInput: a picture's masks are missing, or are not one for each box.
    """
    parts: list[Any] = []
    for place, target in enumerate(targets):
        masks_THW = target.get("masks")
        shape = None if masks_THW is None else tuple(masks_THW.shape)
        if masks_THW is None or masks_THW.ndim != 3 or len(masks_THW) != len(target["labels"]):
            raise BadInput(
                f"target {place}: expected masks of shape ({len(target['labels'])}, H, W), one for each box, "
                f"got {'none' if shape is None else shape}."
            )
        # A few at a time, since they are four times as large as numbers that can be averaged.
        parts.extend(
            functional.adaptive_avg_pool2d(some.to(like.device, torch.float32), size)
            for some in torch.split(masks_THW, 32)
            if len(some)
        )
    return torch.cat(parts) if parts else like.new_zeros((0, *size))
