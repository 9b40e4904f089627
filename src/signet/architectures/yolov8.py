"""YOLOv8: one-stage detectors without anchors, with masks, or classifiers of the same backbone.

No paper of its authors describes it. Sources: Terven et al., A Comprehensive Review of YOLO (2023),
arXiv:2304.00501, section 14 and figure 17; keras-cv (Apache-2.0), `yolo_v8_backbone.py`, `yolo_v8_layers.py`
and `yolo_v8_detector.py`, for blocks, neck and head. Widths and depths are read off the shapes of the tensors
of the original package, which was run as a black box (docs/decisions/0024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn

from signet.architectures.yolo_blocks import C2f, ConvNorm, PyramidPool
from signet.architectures.yolo_heads import DISTANCES, AnchorFreeHead, LabelHead, MaskHead
from signet.architectures.yolo_pyramid import Backbone, Detector, PathAggregation

WIDTHS = (64, 128, 256, 512, 1024)
DEPTHS = (3, 6, 6, 3)
CLASS_WIDTH = 100
PROTOTYPE_WIDTH = 256


@dataclass(frozen=True, slots=True)
class Scale:
    """Of one variant.

    Attributes:
        depth: factor on the bottlenecks.
        width: factor on the channels.
        most: channels at most, before that factor; a classifier has no such limit.
    """

    depth: float
    width: float
    most: int


SCALES: dict[str, Scale] = {
    "n": Scale(1 / 3, 0.25, 1024),
    "s": Scale(1 / 3, 0.50, 1024),
    "m": Scale(2 / 3, 0.75, 768),
    "l": Scale(1.0, 1.00, 512),
    "x": Scale(1.0, 1.25, 512),
}
Kind = Literal["detect", "instances", "classify"]


def build(variant: str, kind: Kind, classes: int) -> nn.Module:
    """The network with random weights.

    Args:
        variant: a key of `SCALES`.
        kind: what it answers.
        classes: how many; 0 gives a classifier without its last layer.
    """
    scale = SCALES[variant]
    if kind == "classify":
        return Classifier(scale, classes)
    widths = [_width(width, scale, scale.most) for width in WIDTHS]
    pool = PyramidPool(widths[4], widths[4], widths[4] // 2)
    near, middle, far = widths[2:]
    block = partial(C2f, count=_depth(3, scale), shortcut=False)
    neck = PathAggregation(
        up16=block(far + middle, middle),
        up8=block(middle + near, near),
        down16=ConvNorm(near, near, 3, 2),
        out16=block(near + middle, middle),
        down32=ConvNorm(middle, middle, 3, 2),
        out32=block(middle + far, far),
    )
    detect = AnchorFreeHead(
        widths[2:],
        classes,
        box_width=max(4 * DISTANCES, widths[2] // 4),
        class_width=max(widths[2], min(classes, CLASS_WIDTH)),
    )
    head: nn.Module = detect
    if kind == "instances":
        head = MaskHead(widths[2:], detect, _width(PROTOTYPE_WIDTH, scale, PROTOTYPE_WIDTH))
    return Detector(_backbone(widths, scale, pool), neck, head)


class Classifier(nn.Module):
    """The backbone without its pooling, and one label; its BatchNorms have torch's own constants.

    The original's classifiers differ from its detectors in that, as its networks say when asked (`eps`).
    """

    def __init__(self, scale: Scale, classes: int) -> None:
        super().__init__()
        widths = [_width(width, scale, WIDTHS[-1]) for width in WIDTHS]
        self.backbone = _backbone(widths, scale, None)
        self.head = LabelHead(widths[-1], classes)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eps, part.momentum = 1e-5, 0.1

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """float32 (N, 3, H, W), 0 to 1, RGB, to logits (N, C)."""
        logits_NC: Tensor = self.head(self.backbone(images_N3HW)[-1])
        return logits_NC


def _backbone(widths: Sequence[int], scale: Scale, pool: nn.Module | None) -> Backbone:
    stages = [
        nn.Sequential(
            ConvNorm(inputs, outputs, 3, 2), C2f(outputs, outputs, _depth(depth, scale), shortcut=True)
        )
        for inputs, outputs, depth in zip(widths, widths[1:], DEPTHS, strict=False)
    ]
    return Backbone(ConvNorm(3, widths[0], 3, 2), stages, pool)


def _width(channels: int, scale: Scale, most: int) -> int:
    """Channels of a layer, a multiple of 8."""
    return 8 * -(-round(min(channels, most) * scale.width) // 8)


def _depth(count: int, scale: Scale) -> int:
    return max(1, round(count * scale.depth))
