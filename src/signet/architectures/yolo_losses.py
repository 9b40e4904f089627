"""What the answers of a one-stage detector without anchors cost: boxes, sides, classes, masks.

Sources: Feng et al., TOOD (2021), arXiv:2108.07755, section 3.2, for the targets of the scores and the
weights of the boxes; Zheng et al. (2020), arXiv:1911.08287; Li et al. (2020), arXiv:2006.04388; Bolya et al.,
YOLACT (2019), arXiv:1904.02689, section 3, for the masks. The weights of the first three are those of
MultimediaTechLab/YOLO (MIT), `yolo/config/task/train.yaml`.

Legend of the suffixes: N pictures, C classes, A places, R distances of a side, P pairs of a place and its
object, S objects of all pictures, T of one, K prototypes, H and W rows and columns of the prototypes, L some
cells of the boxes of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
CELLS = 2**18
"""Of masks that are mixed at a time; what was between is computed again on the way back."""


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

    Only cells in boxes are mixed, so that time and memory grow with the area of the objects.

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
    corners_S4 = truths.boxes / stride
    height, width = prototypes_NKHW.shape[-2:]
    limits_2 = corners_S4.new_tensor([width, height])
    # Outwards, so that every box holds a cell, which at the border of the picture is the last one.
    near_S2 = torch.minimum(corners_S4[:, :2].floor().clamp(min=0), limits_2 - 1).long()
    far_S2 = torch.maximum(torch.minimum(corners_S4[:, 2:].ceil(), limits_2).long(), near_S2 + 1)
    sides_P2 = (far_S2 - near_S2)[pairs.truths]
    areas_P = sides_P2.prod(dim=1)
    shares_P = pairs.targets / areas_P
    coefficients_PK = coefficients_NKA[pairs.images, :, pairs.places]
    prototypes_CK = prototypes_NKHW.permute(0, 2, 3, 1).flatten(0, 2)

    def part(pair_L: Tensor, inside_L: Tensor) -> Tensor:
        """The weighted sum over some cells: which pair they are of, and where in its box, row by row."""
        truth_L, columns_L = pairs.truths[pair_L], sides_P2[pair_L, 0]
        rows_L = near_S2[truth_L, 1] + inside_L // columns_L
        places_L = rows_L * width + near_S2[truth_L, 0] + inside_L % columns_L
        cells_L = pairs.images[pair_L] * (height * width) + places_L
        logits_L = (coefficients_PK.index_select(0, pair_L) * prototypes_CK.index_select(0, cells_L)).sum(1)
        wanted_L = masks_SHW.flatten(1)[truth_L, places_L]
        entropy_L = functional.binary_cross_entropy_with_logits(logits_L, wanted_L, reduction="none")
        return (entropy_L * shares_P[pair_L]).sum()

    total = coefficients_NKA.sum() * 0 + prototypes_NKHW.sum() * 0
    ends_P = areas_P.cumsum(0)
    for cells_L in torch.split(torch.arange(int(areas_P.sum()), device=ends_P.device), CELLS):
        pair_L = torch.searchsorted(ends_P, cells_L, right=True)
        inside_L = cells_L - (ends_P - areas_P)[pair_L]
        total = total + checkpoint(part, pair_L, inside_L, use_reentrant=False)
    return MASKS * total / pairs.targets.sum().clamp(min=1)


def shrunk_masks(targets: Sequence[Target], images_N3HW: Tensor, size: tuple[int, int]) -> Tensor:
    """The masks of all pictures at the size of the prototypes: float32 (S, H, W), the part that is covered.

    Args:
        targets: of each picture, with "masks".
        images_N3HW: the pictures, whose sides are whole multiples of the size.
        size: height and width of the prototypes.

    Raises:
        BadInput: a picture's masks are missing, are not one for each box, or not of the picture's size.
    """
    whole = tuple(images_N3HW.shape[-2:])
    parts = [images_N3HW.new_zeros((0, *size), dtype=torch.float32)]
    for place, target in enumerate(targets):
        masks_THW, count = target.get("masks"), len(target["labels"])
        if masks_THW is None or tuple(masks_THW.shape) != (count, *whole):
            raise BadInput(
                f"target {place}: expected masks of shape {(count, *whole)}, one of the picture's size for "
                f"each box, got {'none' if masks_THW is None else tuple(masks_THW.shape)}."
            )
        parts.append(_shrunk(masks_THW.to(images_N3HW.device, torch.uint8), size))
    return torch.cat(parts)


def _shrunk(masks_THW: Tensor, size: tuple[int, int]) -> Tensor:
    """The mean of whole blocks of cells. Sums of bytes: several times as fast as a pooling of numbers."""
    count, rows, columns = len(masks_THW), masks_THW.shape[1] // size[0], masks_THW.shape[2] // size[1]
    summed = sum(
        masks_THW.view(count, size[0], rows, size[1] * columns).unbind(2), start=masks_THW.new_zeros(())
    )
    summed = sum(summed.view(count, *size, columns).unbind(3), start=masks_THW.new_zeros(()))
    return summed.float() / (rows * columns)
