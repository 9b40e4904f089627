"""Faster R-CNN and Mask R-CNN over a feature pyramid on any backbone of timm.

The networks are torchvision's; what is ours is the backbone, and that the whole can be named by data, so that
it can be trained, sealed and built again.

Source: Lin et al. 2017, "Feature Pyramid Networks for Object Detection", section 3 and 5.2 for the anchors:
one size for each level, three shapes, a last level by subsampling.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from signet.networks import ModuleSpec
from signet.zoos import backbones
from signet.zoos.detectors import Detector

CHANNELS = 256
SMALLEST_ANCHOR = 32
SHAPES = (0.5, 1.0, 2.0)
"""Height over width of the anchors."""


class PyramidBackbone(nn.Module):
    """A timm network with a feature pyramid on its maps.

    Attributes:
        body: gives a list of maps, finest first.
        fpn: makes maps of one depth of them, and one more.
        out_channels: that depth.
    """

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body
        self.channels_last = getattr(body, "output_fmt", None) == "NHWC"
        self.out_channels = CHANNELS
        widths = body.feature_info.channels()
        self.fpn = FeaturePyramidNetwork(widths, CHANNELS, extra_blocks=LastLevelMaxPool())
        self.levels = tuple(str(place) for place in range(len(widths)))

    def forward(self, images_N3HW: Tensor) -> dict[str, Tensor]:
        """float32 (N, 3, H, W) to maps by name: "0", "1" ..., and "pool"."""
        maps = self.body(images_N3HW)
        if self.channels_last:
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        pyramid: dict[str, Tensor] = self.fpn(OrderedDict(zip(self.levels, maps, strict=True)))
        return pyramid


def region_network(spec: ModuleSpec) -> Detector:
    """The empty network that a spec describes.

    Args:
        spec: architecture "faster-rcnn" or "mask-rcnn"; classes with the background; arguments: `backbone`,
            timm's name; `backbone_arguments`, what is passed to it; `anchors`, the side in pixels of the
            anchors of each level (32, 64 ... by default); all others go to torchvision's class.

    Raises:
        UnknownName: timm has no such backbone.
        BadRequest: the backbone has no maps of several sizes.
        ValueError, TypeError: torchvision refuses an argument.
    """
    arguments = dict(spec.arguments)
    given: Mapping[str, Any] = arguments.pop("backbone_arguments", {})
    backbone = PyramidBackbone(backbones.maps_of(str(arguments.pop("backbone")), given))
    sides = _sides(arguments.pop("anchors", None), len(backbone.levels) + 1)
    anchors = AnchorGenerator(tuple((side,) for side in sides), (SHAPES,) * len(sides))
    boxes = MultiScaleRoIAlign(list(backbone.levels), output_size=7, sampling_ratio=2)
    parts = {"rpn_anchor_generator": anchors, "box_roi_pool": boxes}
    if spec.architecture == "faster-rcnn":
        return Detector(FasterRCNN(backbone, spec.classes, **parts, **arguments), spec.classes)
    masks = MultiScaleRoIAlign(list(backbone.levels), output_size=14, sampling_ratio=2)
    network = MaskRCNN(backbone, spec.classes, **parts, mask_roi_pool=masks, **arguments)
    return Detector(network, spec.classes)


def _sides(stated: Sequence[int] | None, levels: int) -> tuple[int, ...]:
    if stated is None:
        return tuple(SMALLEST_ANCHOR * 2**level for level in range(levels))
    if len(stated) != levels:
        raise ValueError(f"expected {levels} sides of anchors, one for each level, got {list(stated)}")
    return tuple(int(side) for side in stated)
