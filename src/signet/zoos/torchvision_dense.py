"""torchvision's detectors and segmenters: built empty, filled strictly, wrapped for the engines.

A detector of torchvision resizes, normalises and pastes by itself. Here the card's program does the first
two and the answer the last, so that every engine gets the same tensor and every box comes home the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from signet.errors import UnknownName
from signet.networks import ModuleSpec
from signet.zoos import modules

FASTER_RCNN, MASK_RCNN = "faster-rcnn", "mask-rcnn"
"""Names of the two over any backbone of timm (`pyramids`); torchvision's own have underscores."""
_DETECTORS = (
    "fasterrcnn_",
    "fcos_",
    "maskrcnn_",
    "retinanet_",
    "ssd300_",
    "ssdlite320_",
    FASTER_RCNN,
    MASK_RCNN,
)
_SEGMENTERS = ("deeplabv3_", "fcn_", "lraspp_")
_FROZEN = (
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_resnet50_fpn",
    "fcos_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "retinanet_resnet50_fpn",
)
"""Detectors whose published weights have batch normalisation as four constants for each channel.

Source: `norm_layer = FrozenBatchNorm2d if is_trained else BatchNorm2d` in their builders.
"""
_WITH_AUXILIARY_HEADS = ("deeplabv3_", "fcn_")
_FIXED_SIZE = ("ssd300_", "ssdlite320_")
_RESERVED = (
    "aux_loss",
    "num_classes",
    "progress",
    "weights",
    "weights_backbone",
    "trainable_backbone_layers",
)
EPSILON = "epsilon"
"""An argument of ours: what is added to the variances of the frozen normalisation."""


def has(architecture: str) -> bool:
    """Whether an architecture's name is one of a detector or a segmenter."""
    return architecture.startswith((*_DETECTORS, *_SEGMENTERS))


def is_segmenter(architecture: str) -> bool:
    """Whether an architecture's name is one of a segmenter."""
    return architecture.startswith(_SEGMENTERS)


def outputs_of(architecture: str) -> tuple[str, ...]:
    """Names of what the built module returns."""
    if is_segmenter(architecture):
        return ("logits",)
    masks = architecture.startswith(("maskrcnn_", MASK_RCNN))
    return ("boxes", "scores", "classes", "masks") if masks else ("boxes", "scores", "classes")


def takes_any_size(architecture: str) -> bool:
    """Whether pictures of any height and width go in; SSD has anchors for one size."""
    return not architecture.startswith(_FIXED_SIZE)


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """The wrapped module in evaluation mode, filled strictly from `weights`; random when that is None.

    Raises:
        UnknownName: torchvision has no such detector or segmenter.
        BadInput: torchvision refuses the arguments; a tensor is missing, unexpected, or of another shape.
    """
    what = f"torchvision/{spec.architecture}"
    if spec.architecture in (FASTER_RCNN, MASK_RCNN):
        from signet.zoos import pyramids

        what = f"{spec.architecture} over {spec.arguments.get('backbone')}"
        module = modules.made(lambda: pyramids.region_network(spec), spec, _RESERVED)
    else:
        module = modules.made(lambda: _made(spec), spec, _RESERVED)
    if weights is not None:
        fill(module, weights, what)
    return module


def _made(spec: ModuleSpec) -> Any:
    from torchvision import models

    from signet.zoos.detectors import Detector
    from signet.zoos.segmenters import PixelLogits

    known = [*models.list_models(module=models.detection), *models.list_models(module=models.segmentation)]
    if spec.architecture not in known:
        raise UnknownName("torchvision detector or segmenter", spec.architecture, known)
    arguments = dict(spec.arguments)
    epsilon = arguments.pop(EPSILON, None)
    if spec.architecture.startswith(_WITH_AUXILIARY_HEADS):
        # The head that only trains is in the weight files; it never answers.
        arguments["aux_loss"] = True
    network = models.get_model(
        spec.architecture, weights=None, weights_backbone=None, num_classes=spec.classes, **arguments
    )
    if spec.architecture in _FROZEN:
        _freeze(network.backbone.body, epsilon)
    elif epsilon is not None:
        raise ValueError(f"{EPSILON} is of detectors with frozen batch normalisation")
    if is_segmenter(spec.architecture):
        return PixelLogits(network)
    return Detector(network, spec.classes)


def fill(module: Any, weights: Path, what: str) -> None:
    """Load a weight file into a wrapped module, strictly; its tensors have torchvision's names or ours.

    Raises:
        BadInput: a tensor is missing, unexpected, or of another shape.
    """
    modules.fill(module.network, weights, what, lambda key: key.removeprefix("network."))


def _freeze(body: Any, epsilon: float | None) -> None:
    """Put frozen batch normalisation where a backbone has one that learns, as torchvision's builders do."""
    from torch import nn
    from torchvision.ops.misc import FrozenBatchNorm2d

    for owner, leaf, part in list(_children(body)):
        if isinstance(part, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(part.num_features, part.eps if epsilon is None else float(epsilon))
            setattr(owner, leaf, frozen)


def _children(module: Any) -> Iterator[tuple[Any, str, Any]]:
    for owner in module.modules():
        for leaf, part in owner.named_children():
            yield owner, leaf, part
