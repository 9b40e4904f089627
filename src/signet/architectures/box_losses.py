"""What a box costs that is not where it should be.

Legend of the suffixes: P pairs of boxes, R distances.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-7
"""Added to what is divided by. Source: torchvision `ops/ciou_loss.py`."""


def overlap(first_P4: Tensor, second_P4: Tensor) -> Tensor:
    """Intersection over union of each pair, float32 (P,), 0 to 1; 0 where both are without area.

    Args:
        first_P4: left, top, right, bottom.
        second_P4: the same.
    """
    return _intersection(first_P4, second_P4) / (_union(first_P4, second_P4) + EPSILON)


def complete_overlap(first_P4: Tensor, second_P4: Tensor) -> Tensor:
    """Complete IoU of each pair, float32 (P,), -1.5 to 1.

    From the overlap goes the distance of the centres, as a part of the diagonal around both, and how much the
    proportions differ. It has a gradient where boxes do not meet.

    Source: Zheng et al., Distance-IoU Loss (2020), arXiv:1911.08287, equations 7, 8 and 11; the weight of the
        proportions is held constant in the gradient (section 3.3 and torchvision's `complete_box_iou_loss`).
    """
    overlap_P = overlap(first_P4, second_P4)
    around_P2 = torch.maximum(first_P4[:, 2:], second_P4[:, 2:]) - torch.minimum(
        first_P4[:, :2], second_P4[:, :2]
    )
    apart_P2 = (first_P4[:, :2] + first_P4[:, 2:] - second_P4[:, :2] - second_P4[:, 2:]) / 2
    distance_P = apart_P2.square().sum(dim=1) / (around_P2.square().sum(dim=1) + EPSILON)
    shape_P = 4 / math.pi**2 * (_angle(second_P4) - _angle(first_P4)).square()
    with torch.no_grad():
        weight_P = shape_P / (1 - overlap_P + shape_P + EPSILON)
    return overlap_P - distance_P - weight_P * shape_P


def distribution_loss(logits_PR: Tensor, distances_P: Tensor) -> Tensor:
    """Distribution focal loss, float32 (P,): cross-entropy of the two whole distances beside the true one.

    Args:
        logits_PR: of the distances 0, 1, ... R - 1.
        distances_P: the true ones, cut to that range.

    Source: Li et al., Generalized Focal Loss (2020), arXiv:2006.04388, equation 6.
    """
    most = logits_PR.shape[1] - 1
    cut_P = distances_P.clamp(0, most)
    # The largest distance has no neighbour above it; it then weighs 1 on the upper one of the last pair.
    lower_P = cut_P.floor().clamp(max=most - 1).long()
    upper_share_P = cut_P - lower_P
    shares_PR = functional.log_softmax(logits_PR, dim=1)
    lower, upper = (shares_PR.gather(1, place_P[:, None]).squeeze(1) for place_P in (lower_P, lower_P + 1))
    return -(lower * (1 - upper_share_P) + upper * upper_share_P)


def _intersection(first_P4: Tensor, second_P4: Tensor) -> Tensor:
    near_P2 = torch.maximum(first_P4[:, :2], second_P4[:, :2])
    far_P2 = torch.minimum(first_P4[:, 2:], second_P4[:, 2:])
    return (far_P2 - near_P2).clamp(min=0).prod(dim=1)


def _union(first_P4: Tensor, second_P4: Tensor) -> Tensor:
    areas = [(boxes_P4[:, 2:] - boxes_P4[:, :2]).prod(dim=1) for boxes_P4 in (first_P4, second_P4)]
    return areas[0] + areas[1] - _intersection(first_P4, second_P4)


def _angle(boxes_P4: Tensor) -> Tensor:
    """Of the diagonal; defined for boxes without height, too."""
    sides_P2 = boxes_P4[:, 2:] - boxes_P4[:, :2]
    return torch.atan2(sides_P2[:, 0], sides_P2[:, 1].clamp(min=EPSILON))
