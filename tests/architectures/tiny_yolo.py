"""A network of YOLO's parts, so small that two pictures can be learned with it in seconds."""

from __future__ import annotations

import torch

from signet.architectures.yolo_blocks import C2f, ConvNorm
from signet.architectures.yolo_heads import AnchorFreeHead, MaskHead
from signet.architectures.yolo_pyramid import Backbone, Detector, PathAggregation

WIDTH = 32


def tiny(*, masks: bool = False, momentum: float = 0.1) -> Detector:
    """A network of the same parts, three classes.

    Args:
        masks: whether it gives masks.
        momentum: of the BatchNorms: with theirs, answers lag a hundred steps behind what was learned.
    """
    torch.manual_seed(0)
    stages = [ConvNorm(16, 16, 3, 2), *(ConvNorm(width, WIDTH, 3, 2) for width in (16, WIDTH, WIDTH))]

    def block() -> C2f:
        return C2f(2 * WIDTH, WIDTH, 1, shortcut=False)

    neck = PathAggregation(
        up16=block(),
        up8=block(),
        down16=ConvNorm(WIDTH, WIDTH, 3, 2),
        out16=block(),
        down32=ConvNorm(WIDTH, WIDTH, 3, 2),
        out32=block(),
    )
    widths = (WIDTH,) * 3
    detect = AnchorFreeHead(widths, 3, box_width=WIDTH, class_width=WIDTH)
    head = MaskHead(widths, detect, WIDTH) if masks else detect
    module = Detector(Backbone(ConvNorm(3, 16, 3, 2), stages, None), neck, head)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = momentum
    return module
