"""Which anchors of a one-stage detector learn which object: those for which it would cost least.

Source: Ge et al., YOLOX (2021), arXiv:2107.08430, section 2.1 ("SimOTA") and equation 1, with the constants
and the score of YOLOX (Apache-2.0), `yolox/models/yolo_head.py`. YOLOX has one candidate a place, and takes
those near the middle of the object; with the anchors of YOLOv7 (arXiv:2207.02696, section 4) the candidates
are those that can answer it at all: their middles reach half a cell beyond their own, and their sides go to
four times the anchor's (Scaled-YOLOv4, arXiv:2011.08036).

Legend of the suffixes: N pictures, C classes, A anchors at all places, S objects of all pictures, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from signet.architectures.box_losses import EPSILON, overlap
from signet.architectures.task_alignment import Assignment, ranks
from signet.architectures.truths import Truths

OVERLAP_COST = 3.0
"""Weight of a pair's overlap beside its classes."""
MOST = 10
"""Anchors of an object whose overlaps say how many learn it."""
RATIO = 4.0
"""Between a side of the object and of an anchor that learns it, at most."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """What the anchors are, before any picture.

    Attributes:
        middles: float32 (A, 2), of their cells in pixels.
        strides: float32 (A,), pixels of such a cell.
        kinds: int64 (A,), which of the K shapes.
        shapes: float32 (K, 2), widths and heights in pixels.
    """

    middles: Tensor
    strides: Tensor
    kinds: Tensor
    shapes: Tensor

    def boxes(self, raw_P4: Tensor, places_P: Tensor) -> Tensor:
        """float32 (P, 4): left, top, right, bottom in pixels of what some anchors answer.

        Args:
            raw_P4: their answers, before any sigmoid.
            places_P: which anchors, 0 to A - 1.
        """
        shares_P4 = raw_P4.sigmoid()
        centres_P2 = self.middles[places_P] + (shares_P4[:, :2] * 2 - 1) * self.strides[places_P, None]
        half_P2 = (shares_P4[:, 2:] * 2).square() * self.shapes[self.kinds[places_P]] / 2
        return torch.cat([centres_P2 - half_P2, centres_P2 + half_P2], dim=1)


@torch.no_grad()
def assigned_by_cost(raw_NAF: Tensor, anchors: Anchors, truths: Truths) -> Assignment:
    """For each object the anchors that would learn it at the least cost.

    As many as the sum of the ten highest overlaps, at least one; an anchor that several objects take goes to
    the one that costs least. The targets are the overlaps.

    Args:
        raw_NAF: float32 (N, A, 5 + C): answers before any sigmoid: box, objectness, classes.
        anchors: what they are.
        truths: what is there.
    """
    truth_P, place_P = _able(anchors, truths.boxes).nonzero(as_tuple=True)
    image_P = truths.images[truth_P]
    answer_PF = raw_NAF[image_P, place_P]
    overlap_P = overlap(anchors.boxes(answer_PF[:, :4], place_P), truths.boxes[truth_P])

    score_PC = (answer_PF[:, 5:].sigmoid() * answer_PF[:, 4:5].sigmoid()).sqrt()
    wanted_PC = functional.one_hot(truths.labels[truth_P], score_PC.shape[1]).bool()
    # torch's own cross-entropy of scores stops a training at a NaN, which its caller tells in better words.
    right_PC = torch.where(wanted_PC, score_PC, 1 - score_PC)
    classes_P = -(right_PC + EPSILON).log().sum(dim=1)
    cost_P = classes_P - OVERLAP_COST * (overlap_P + EPSILON).log()

    counted_P = torch.where(ranks(truth_P, overlap_P) < MOST, overlap_P, 0.0)
    count_S = overlap_P.new_zeros(len(truths)).index_add(0, truth_P, counted_P).floor().clamp(min=1)
    taken = (ranks(truth_P, -cost_P) < count_S[truth_P]).nonzero().squeeze(1)
    key = image_P[taken] * raw_NAF.shape[1] + place_P[taken]
    kept = taken[ranks(key, -cost_P[taken]) == 0]
    return Assignment(image_P[kept], place_P[kept], truth_P[kept], overlap_P[kept])


def _able(anchors: Anchors, boxes_S4: Tensor) -> Tensor:
    """Of each pair (S, A), whether the anchor can answer the object.

    An object whose sides no anchor comes near takes those of the shape that comes nearest; one without area
    takes none.
    """
    centre_S12 = ((boxes_S4[:, :2] + boxes_S4[:, 2:]) / 2).unsqueeze(1)
    near_A2 = anchors.middles - anchors.strides[:, None]
    far_A2 = anchors.middles + anchors.strides[:, None]
    sides_S12 = (boxes_S4[:, 2:] - boxes_S4[:, :2]).unsqueeze(1)
    factors_SK2 = sides_S12 / anchors.shapes
    ratio_SK = torch.maximum(factors_SK2, 1 / factors_SK2).amax(dim=2)
    fits_SK = (ratio_SK < RATIO) | (ratio_SK == ratio_SK.amin(dim=1, keepdim=True))
    fits_SK &= (sides_S12 > 0).all(dim=2)
    able_SA = fits_SK[:, anchors.kinds]
    able_SA &= centre_S12[..., 0] > near_A2[:, 0]
    able_SA &= centre_S12[..., 0] < far_A2[:, 0]
    able_SA &= centre_S12[..., 1] > near_A2[:, 1]
    able_SA &= centre_S12[..., 1] < far_A2[:, 1]
    return able_SA
