"""What the answers of a one-stage detector with anchors cost: boxes, objectness, classes.

Sources: Zheng et al. (2020), arXiv:1911.08287, for the boxes; Redmon et al., You Only Look Once (2016),
arXiv:1506.02640, section 2: the objectness is the overlap; YOLOX (Apache-2.0), `yolox/models/yolo_head.py`,
for the weights and for dividing by the anchors that learn an object. The loss of YOLOv7 without its auxiliary
head (arXiv:2207.02696, section 4.3).

Legend of the suffixes: N pictures, A anchors at all places, C classes, F numbers of an answer, P pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from signet.architectures.box_losses import complete_overlap
from signet.architectures.cost_assignment import Anchors, assigned_by_cost
from signet.architectures.truths import Truths

BOXES = 5.0
"""Weight of the boxes; objectness and classes weigh 1."""


def anchor_losses(raw_NAF: Tensor, anchors: Anchors, truths: Truths) -> dict[str, Tensor]:
    """The parts of the loss, each float32 (), divided by the anchors that learn an object.

    Args:
        raw_NAF: float32 (N, A, 5 + C): answers before any sigmoid: box, objectness, classes.
        anchors: what they are.
        truths: what is there.

    Returns:
        "boxes": complete IoU; "objectness": binary cross-entropy at all anchors, with the overlap as the
        target of those that learn an object; "classes": binary cross-entropy of these.
    """
    pairs = assigned_by_cost(raw_NAF.detach(), anchors, truths)
    total = max(1, len(pairs))
    answer_PF = raw_NAF[pairs.images, pairs.places]
    boxes_P4 = anchors.boxes(answer_PF[:, :4], pairs.places)
    apart_P = 1 - complete_overlap(boxes_P4, truths.boxes[pairs.truths])

    objectness_NA = torch.zeros_like(raw_NAF[..., 4])
    objectness_NA[pairs.images, pairs.places] = pairs.targets
    entropy = functional.binary_cross_entropy_with_logits(raw_NAF[..., 4], objectness_NA, reduction="sum")

    logits_PC = answer_PF[:, 5:]
    wanted_PC = functional.one_hot(truths.labels[pairs.truths], logits_PC.shape[1]).to(logits_PC)
    classes = functional.binary_cross_entropy_with_logits(logits_PC, wanted_PC, reduction="sum")
    return {
        "boxes": BOXES * apart_P.sum() / total,
        "objectness": entropy / total,
        "classes": classes / total,
    }
