"""A one-stage detector without anchors, with masks or without, over any backbone of timm.

Neck and head are those of `architectures.yolov8` at the widths of its smallest variant, light enough to be
trained without a GPU; what is ours is that they take the maps of any backbone, and that the whole can be
named by data, so that it can be trained, sealed and built again.

Sources: as `architectures.yolo_pyramid` and `architectures.yolo_heads` state them.

Legend of the suffixes: N pictures, C channels, H and W pixels or cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from signet.architectures.yolo_blocks import C2f, ConvNorm, PyramidPool
from signet.architectures.yolo_heads import DISTANCES, STRIDES, AnchorFreeHead, MaskHead
from signet.architectures.yolo_pyramid import Detector, PathAggregation
from signet.errors import BadRequest
from signet.naming import shown
from signet.networks import ModuleSpec
from signet.zoos import backbones

WIDTHS = (64, 128, 256)
"""Channels of the maps at strides 8, 16 and 32. Source: YOLOv8n, `architectures.yolov8`."""
MOST_CLASS_WIDTH = 100
PROTOTYPE_WIDTH = 64
MOMENTUM = 0.1
"""Of the BatchNorms that are not the backbone's. With the 0.03 of long trainings from nothing, the statistics
that answers are made with are still those of random weights after a hundred steps, when a network over a
trained backbone already finds its objects (tests/architectures/test_yolo_losses.py)."""
FALL = 3.0
"""Cells in which the probability of a side's distance falls by e, before anything is learned: boxes begin
five cells wide, 40, 80 and 160 pixels at the three strides. With all distances alike they begin 15 wide,
and small objects, which such boxes hardly overlap, weigh next to nothing (docs/decisions/0031)."""
_ARGUMENTS = ("backbone", "backbone_arguments", "instances")


class TimmMaps(nn.Module):
    """Three maps of a timm network at the widths of the neck, the last one pooled.

    Attributes:
        body: gives a list of maps, finest first.
        sides: 1x1 convolutions to the widths.
        pool: the same for the coarsest map, with maxima of its surroundings.
    """

    def __init__(self, body: Any, what: str) -> None:
        super().__init__()
        reductions = list(body.feature_info.reduction())
        if missing := sorted(set(STRIDES) - set(reductions)):
            raise BadRequest(
                f"backbone {shown(what)}: expected maps at strides 8, 16 and 32, got {reductions}; "
                f"{', '.join(map(str, missing))} is missing. Take another backbone."
            )
        self.body = body
        self.channels_last = getattr(body, "output_fmt", None) == "NHWC"
        self.places = tuple(reductions.index(stride) for stride in STRIDES)
        widths = [body.feature_info.channels()[place] for place in self.places]
        self.sides = nn.ModuleList(ConvNorm(width, WIDTHS[at]) for at, width in enumerate(widths[:2]))
        self.pool = PyramidPool(widths[2], WIDTHS[2], WIDTHS[2] // 2)

    def forward(self, images_N3HW: Tensor) -> tuple[Tensor, ...]:
        """float32 (N, 3, H, W) to maps of exactly H/8, H/16 and H/32 rows, as many columns of W."""
        height, width = images_N3HW.shape[-2:]
        maps = self.body(images_N3HW)
        chosen = [maps[place] for place in self.places]
        if self.channels_last:
            chosen = [map_NHWC.permute(0, 3, 1, 2) for map_NHWC in chosen]
        layers = (*self.sides, self.pool)
        return tuple(
            _of_size(layer(map_NCHW), height // stride, width // stride)
            for layer, map_NCHW, stride in zip(layers, chosen, STRIDES, strict=True)
        )


def _of_size(map_NCHW: Tensor, height: int, width: int) -> Tensor:
    """The map itself; of a network that does not pad (Inception) one with the rows that it lacks."""
    if tuple(map_NCHW.shape[-2:]) == (height, width):
        return map_NCHW
    return functional.interpolate(map_NCHW, size=(height, width), mode="bilinear", align_corners=False)


def one_stage_network(spec: ModuleSpec) -> Detector:
    """The empty network that a spec describes, in training mode.

    Args:
        spec: architecture "yolo"; its classes, without a background; arguments: `backbone`, timm's name;
            `backbone_arguments`, what is passed to it; `instances`, whether it gives masks, too.

    Raises:
        UnknownName: timm has no such backbone.
        BadRequest: the backbone has no maps at strides 8, 16 and 32; there is no class.
        ValueError: an argument that it does not have.
    """
    arguments = dict(spec.arguments)
    if unknown := sorted(set(arguments) - set(_ARGUMENTS)):
        raise ValueError(
            f"expected no other arguments than {', '.join(_ARGUMENTS)}, got {', '.join(unknown)}"
        )
    if spec.classes < 1:
        raise BadRequest(f"{spec.architecture}: expected 1 class or more, got {spec.classes}.")
    name = str(arguments.get("backbone", ""))
    given: Mapping[str, Any] = arguments.get("backbone_arguments") or {}
    backbone = TimmMaps(backbones.maps_of(name, given), name)
    near, middle, far = WIDTHS
    block = partial(C2f, count=1, shortcut=False)
    neck = PathAggregation(
        up16=block(far + middle, middle),
        up8=block(middle + near, near),
        down16=ConvNorm(near, near, 3, 2),
        out16=block(near + middle, middle),
        down32=ConvNorm(middle, middle, 3, 2),
        out32=block(middle + far, far),
    )
    detect = AnchorFreeHead(
        WIDTHS,
        spec.classes,
        box_width=4 * DISTANCES,
        class_width=max(near, min(spec.classes, MOST_CLASS_WIDTH)),
    )
    _start_small(detect)
    head = MaskHead(WIDTHS, detect, PROTOTYPE_WIDTH) if arguments.get("instances") else detect
    for part in (*backbone.sides.modules(), *backbone.pool.modules(), *neck.modules(), *head.modules()):
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = MOMENTUM
    return Detector(backbone, neck, head)


def _start_small(detect: AnchorFreeHead) -> None:
    """Distances of the sides begin as `FALL` says."""
    falling_R = -torch.arange(DISTANCES) / FALL
    layers: Any = detect.boxes
    with torch.no_grad():
        for layer in layers:
            layer[-1].bias.copy_(falling_R.repeat(4))


def fill_backbone(module: Any, classifier: Any, what: str) -> None:
    """Copy the weights of a timm classifier into the backbone of a detector of `one_stage_network`.

    Args:
        module: the detector.
        classifier: the whole timm module of the same architecture.
        what: its name, for messages.

    Raises:
        BadInput: the backbone has a tensor that the classifier lacks, or has in another shape.
    """
    backbones.fill(module.backbone.body, classifier, what)
