"""Which places of a one-stage detector learn which object: those that see and fit it best already.

Source: Feng et al., TOOD: Task-aligned One-stage Object Detection (2021), arXiv:2108.07755, section 3.2.
`ALPHA`, `BETA` and `TOP` are those of MultimediaTechLab/YOLO (MIT), `yolo/config/task/train.yaml`, which has
the complete IoU where the paper, and we, have the plain one: it is above 0 for every answer that meets the
object, so that small and narrow objects are learned from the first step on.

Only pairs of an object and a place in it are ever looked at, in one list for the whole batch: memory grows
with the area of the objects and not with objects times places.

Legend of the suffixes: N pictures, C classes, A places, S objects of all pictures, P pairs of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from signet.architectures.box_losses import overlap
from signet.architectures.truths import Truths

ALPHA = 0.5
"""Power of the score in the alignment."""
BETA = 6.0
"""Power of the overlap."""
TOP = 10
"""Places that an object takes at most."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Pairs of a place and the object that it learns; a place is in one pair at most.

    Attributes:
        images: int64 (P,), the picture.
        places: int64 (P,), 0 to A - 1.
        truths: int64 (P,), 0 to S - 1.
        targets: float32 (P,), above 0 to 1: the score that the place should give.
    """

    images: Tensor
    places: Tensor
    truths: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@torch.no_grad()
def assigned(
    boxes_NA4: Tensor, scores_NCA: Tensor, middles_A2: Tensor, truths: Truths, cell: float
) -> Assignment:
    """For each object the places in it whose answers align best with it.

    An object takes the `TOP` places of the highest alignment; a place that several take goes to the one that
    its box overlaps most. Of the places of an object, the best should score its overlap, and the others less
    in proportion to their alignment.

    Args:
        boxes_NA4: answered, left, top, right, bottom in pixels.
        scores_NCA: answered, 0 to 1.
        middles_A2: of the places, in pixels.
        truths: what is there.
        cell: pixels between the places of the finest map. An object that is smaller takes the places in a
            cell around its middle, so that it has one.
    """
    truth_P, place_P = _held(middles_A2, truths.boxes, cell).nonzero(as_tuple=True)
    image_P = truths.images[truth_P]
    overlap_P = overlap(boxes_NA4[image_P, place_P], truths.boxes[truth_P])
    score_P = scores_NCA[image_P, truths.labels[truth_P], place_P]
    alignment_P = score_P**ALPHA * overlap_P**BETA

    taken = ((ranks(truth_P, alignment_P) < TOP) & (alignment_P > 0)).nonzero().squeeze(1)
    key = image_P[taken] * len(middles_A2) + place_P[taken]
    kept = taken[ranks(key, overlap_P[taken]) == 0]

    truth_P, alignment_P = truth_P[kept], alignment_P[kept]
    best_S = _largest(alignment_P, truth_P, len(truths))
    most_S = _largest(overlap_P[kept], truth_P, len(truths))
    targets_P = alignment_P / best_S[truth_P] * most_S[truth_P]
    return Assignment(image_P[kept], place_P[kept], truth_P, targets_P)


def ranks(groups_P: Tensor, values_P: Tensor) -> Tensor:
    """How many values of its group are before each: int64 (P,), 0 for the highest; of equals the earlier."""
    by_value_P = values_P.argsort(descending=True, stable=True)
    order_P = by_value_P[groups_P[by_value_P].argsort(stable=True)]
    grouped_P = groups_P[order_P].contiguous()
    places_P = torch.arange(len(order_P), device=order_P.device)
    ranks_P = torch.empty_like(order_P)
    ranks_P[order_P] = places_P - torch.searchsorted(grouped_P, grouped_P)
    return ranks_P


def _held(middles_A2: Tensor, boxes_S4: Tensor, cell: float) -> Tensor:
    """Of each pair (S, A), whether the place is in the box; that is a cell wide and high at least."""
    centre_S2 = (boxes_S4[:, :2] + boxes_S4[:, 2:]) / 2
    half_S2 = (boxes_S4[:, 2:] - boxes_S4[:, :2]).clamp(min=cell) / 2
    near_S12, far_S12 = (centre_S2 - half_S2).unsqueeze(1), (centre_S2 + half_S2).unsqueeze(1)
    # One truth value for each pair, and nothing wider: this is the only table of all objects and places.
    held_SA = middles_A2[:, 0] >= near_S12[..., 0]
    held_SA &= middles_A2[:, 1] >= near_S12[..., 1]
    held_SA &= middles_A2[:, 0] <= far_S12[..., 0]
    held_SA &= middles_A2[:, 1] <= far_S12[..., 1]
    return held_SA


def _largest(values_P: Tensor, groups_P: Tensor, count: int) -> Tensor:
    return values_P.new_zeros(count).scatter_reduce(0, groups_P, values_P, "amax")
