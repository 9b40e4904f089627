"""The networks that learn objects: a head over a backbone of timm, or a detector with other class layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from signet.architectures import yolo_table
from signet.cards import OutputContract
from signet.errors import BadRequest
from signet.finetuning import anchors
from signet.finetuning.adaptations import SCRATCH, seeded
from signet.finetuning.census import Census
from signet.finetuning.keeping import keep
from signet.naming import shown
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.recipes import Recipe
from signet.zoos import torchvision_dense

YOLO, FASTER_RCNN, MASK_RCNN = "yolo", torchvision_dense.FASTER_RCNN, torchvision_dense.MASK_RCNN
FAMILIES = {YOLO: "YOLO", FASTER_RCNN: "Faster R-CNN", MASK_RCNN: "Mask R-CNN"}
"""Heads for objects, with the names that their papers give them.

Source: J. Redmon et al. (2016), arXiv:1506.02640; S. Ren et al. (2015), arXiv:1506.01497;
    K. He et al. (2017), arXiv:1703.06870.
"""

SMALLEST_ANCHORS = (8, 32)
"""Least and greatest side of the smallest anchors, in pixels."""
REGIONS = 128
"""Proposals of an image that the second stage learns from. Source: R. Girshick, "Fast R-CNN" (2015), section
2.3: 128 for a step. torchvision's own 512 take four times as long."""
PROPOSALS = 300
"""Proposals of an image that the second stage judges. Source: S. Ren et al. (2015), section 3.3; more where
images have more objects."""
SCORE_FLOOR = 0.01
ANSWERS = 100
"""Boxes of an image, as COCO's figures count them; more where images have more objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Where the parts of a kind of network are.

    Attributes:
        head: what it is called in a recipe.
        body: the module that is the backbone.
        parts: the modules that learn at the head's rate.
    """

    head: str
    body: str
    parts: tuple[str, ...]


_OVER_TIMM = {
    YOLO: Form(head=YOLO, body="backbone.body", parts=("backbone.sides", "backbone.pool", "neck", "head")),
    FASTER_RCNN: Form(
        head=FASTER_RCNN,
        body="network.backbone.body",
        parts=("network.backbone.fpn", "network.rpn", "network.roi_heads"),
    ),
    MASK_RCNN: Form(
        head=MASK_RCNN,
        body="network.backbone.body",
        parts=("network.backbone.fpn", "network.rpn", "network.roi_heads"),
    ),
}
_OWN = {
    YOLO: Form(head=YOLO, body="backbone", parts=("head",)),
    FASTER_RCNN: Form(
        head=FASTER_RCNN, body="network.backbone.body", parts=("network.roi_heads.box_predictor",)
    ),
    MASK_RCNN: Form(
        head=MASK_RCNN,
        body="network.backbone.body",
        parts=("network.roi_heads.box_predictor", "network.roi_heads.mask_predictor"),
    ),
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DetectorNetwork:
    """A network that is to learn objects.

    Attributes:
        spec: as data.
        module: with the weights that it begins with.
        form: where its parts are.
        family: the name of its kind.
        words: what is new of it.
        all_kept: nothing is: it had these very labels.
        output: how its outputs are read.
        anchors: what its anchors are like beside the objects, in a sentence; "" where it has none.
    """

    spec: ModuleSpec
    module: Any
    form: Form
    family: str
    words: str
    output: OutputContract
    all_kept: bool = False
    anchors: str = ""


def own_head(spec: ModuleSpec) -> str | None:
    """The kind of head that a network has already, or None when it is no detector that can learn."""
    if spec.zoo == "signet":
        if spec.architecture == yolo_table.OVER_BACKBONES:
            return YOLO
        row = yolo_table.NETWORKS.get(spec.architecture)
        return YOLO if row is not None and row.kind != "classify" else None
    if spec.zoo == "torchvision":
        if spec.architecture.startswith(("fasterrcnn_", FASTER_RCNN)):
            return FASTER_RCNN
        if spec.architecture.startswith(("maskrcnn_", MASK_RCNN)):
            return MASK_RCNN
    return None


def over_backbone(
    found: Pretrained, source: ModuleSource, head: str, seen: Census, masks: bool, recipe: Recipe
) -> DetectorNetwork:
    """A head over the backbone of a classifier of timm, whose weights it takes; none from scratch.

    Raises:
        BadRequest: the backbone gives no maps of several sizes.
        BadInput: the backbone does not take the model's weights.
        MissingExtra: torch or timm is not installed.
    """
    from signet.zoos import backbones, from_architectures, from_torchvision

    if source.spec is None:
        raise BadRequest(f"{found.card.name}: expected a model that can be built from data.")
    arguments: dict[str, Any] = {"backbone": source.spec.architecture}
    if source.spec.arguments:
        arguments["backbone_arguments"] = dict(source.spec.arguments)
    form = _OVER_TIMM[head]
    if head == YOLO:
        spec = ModuleSpec("signet", YOLO, {**arguments, "instances": masks}, classes=len(seen.labels))
        build: Any = from_architectures.build
        output = yolo_output(len(seen.labels), seen, masks=masks)
    else:
        arguments |= region_arguments(arguments, seen)
        spec = ModuleSpec("torchvision", head, arguments, classes=len(seen.labels) + 1)
        build = from_torchvision.build
        output = region_output(len(seen.labels), masks=masks)
    with seeded(recipe.seed):
        module = build(spec, None)
    if recipe.strategy != SCRATCH:
        backbones.fill(module.get_submodule(form.body), source.build(), found.card.name)
    return DetectorNetwork(
        spec=spec,
        module=module,
        form=form,
        family=FAMILIES[head],
        words=f"a new {FAMILIES[head]} head",
        output=output,
    )


def with_labels(
    found: Pretrained, source: ModuleSource, seen: Census, masks: bool, recipe: Recipe
) -> DetectorNetwork:
    """A detector for other labels: every tensor that fits is kept, and the class layers are new.

    Where its labels are those of the dataset, in order, these are kept as well. From scratch nothing is.

    Raises:
        BadRequest: the network has no loss to learn by.
        MissingExtra: torch or torchvision is not installed.
    """
    from signet.zoos import from_architectures, from_torchvision

    head = None if source.spec is None else own_head(source.spec)
    if head is None or source.spec is None:
        raise BadRequest(f"{found.card.name}: expected a detector that torch can build.")
    count = len(seen.labels)
    if head == YOLO:
        spec = dataclasses.replace(source.spec, classes=count)
        build: Any = from_architectures.build
        layout = found.card.output.head
        output = yolo_output(count, seen, masks=masks, layout=layout if layout == "yolov5" else "yolov8")
    else:
        spec = dataclasses.replace(source.spec, classes=count + 1)
        build = from_torchvision.build
        output = region_output(count, masks=masks)
    with seeded(recipe.seed):
        module = build(spec, None)
    family = found.card.family or FAMILIES[head]
    same = found.card.labels == seen.labels and recipe.strategy != SCRATCH
    if recipe.strategy != SCRATCH:
        keep(source.build(), module, class_layers=same)
    elif any("FrozenBatchNorm" in type(layer).__name__ for layer in module.modules()):
        raise BadRequest(
            f"--strategy scratch: the normalisation of {found.card.name} is constants of its pretraining. "
            f"Take a classifier of timm with --head {head}, which can do without."
        )
    if not callable(getattr(module.head if head == YOLO else module, "losses", None)):
        raise BadRequest(
            f"{found.card.name}: this network has no loss here to learn by. Take another version of YOLO, or "
            "a classifier of timm with --head yolo."
        )
    return DetectorNetwork(
        spec=spec,
        module=module,
        form=_form_of(spec, head),
        family=family,
        words=f"its {family} head" if same else f"new class layers in its {family} head",
        output=output,
        all_kept=same,
        anchors=_with_anchors(module, seen, recipe),
    )


def _with_anchors(module: Any, seen: Census, recipe: Recipe) -> str:
    """Fit the anchors of a network that has some and learns from scratch; what they are then, in words.

    A pretrained network has learned for its own, and keeps them.
    """
    from signet.architectures.yolo_heads import AnchorHead

    head = getattr(module, "head", None)
    shapes_K2 = seen.shapes[(seen.shapes > 0).all(axis=1)]
    if not isinstance(head, AnchorHead) or not len(shapes_K2):
        return ""
    own_A2 = head.shapes.numpy()
    before = anchors.overlap_of(shapes_K2, own_A2)
    if recipe.strategy != SCRATCH or len(shapes_K2) < len(own_A2):
        return (
            f"its {len(own_A2)} anchors are kept; the best one overlaps an object by {before:.2f} (mean IoU)"
        )
    import torch

    fitted_A2 = anchors.fitted(shapes_K2, len(own_A2))
    head.reshape_anchors(torch.from_numpy(fitted_A2))
    after = anchors.overlap_of(shapes_K2, fitted_A2)
    return (
        f"its {len(own_A2)} anchors are fitted to the objects (k-means): the best one overlaps an object by "
        f"{after:.2f} (mean IoU), where COCO's would by {before:.2f}"
    )


def _form_of(spec: ModuleSpec, head: str) -> Form:
    """Where the parts of a detector are that is one already."""
    form = _OWN[head]
    over = spec.architecture == yolo_table.OVER_BACKBONES
    return dataclasses.replace(form, body=_OVER_TIMM[YOLO].body) if over else form


def yolo_output(count: int, seen: Census, *, masks: bool, layout: str = "yolov8") -> OutputContract:
    """How the answer of a network with a box for each cell is read."""
    after = answers_for(seen)
    nms: dict[str, Any] = {"iou": yolo_table.NMS_IOU, "class_wise": True, "score_floor": SCORE_FLOOR}
    if after > ANSWERS:
        nms |= {"before": 10 * after, "after": after}
    extra: dict[str, Any] = {"nms": nms}
    if masks:
        extra["outputs"] = {"prototypes": "prototypes"}
    return OutputContract(head=layout, tensor="predictions", classes=count, extra=extra)


def region_output(count: int, *, masks: bool) -> OutputContract:
    """How the answer of an R-CNN is read, which has suppressed what overlaps; its first class is none."""
    head = "mask_rcnn" if masks else "boxes"
    return OutputContract(head=head, tensor="boxes", classes=count + 1, drop_first=True)


def region_arguments(arguments: Mapping[str, Any], seen: Census) -> dict[str, Any]:
    """What torchvision's R-CNN is told of the images: how many objects they have, and how small these are."""
    after = answers_for(seen)
    told: dict[str, Any] = {
        "box_batch_size_per_image": REGIONS,
        "box_detections_per_img": after,
        "box_score_thresh": SCORE_FLOOR,
        "rpn_post_nms_top_n_test": int(np.clip(4 * seen.most, PROPOSALS, 1000)),
    }
    smallest = smallest_anchor(seen)
    if smallest < SMALLEST_ANCHORS[1]:
        from signet.zoos import backbones

        body = backbones.maps_of(str(arguments["backbone"]), arguments.get("backbone_arguments"))
        levels = len(body.feature_info.reduction()) + 1
        told["anchors"] = [smallest * 2**level for level in range(levels)]
    return told


def smallest_anchor(seen: Census) -> int:
    """The power of two nearest to the side below which one object in ten is."""
    low, high = SMALLEST_ANCHORS
    return high if seen.small >= high else max(low, 2 ** round(float(np.log2(max(1.0, seen.small)))))


def answers_for(seen: Census) -> int:
    """Boxes that an answer may have: twice as many as the fullest training image has objects, from 100 on."""
    return int(np.clip(2 * seen.most, ANSWERS, 1000))


def kind_words(spec: ModuleSpec | None) -> str:
    """What a model is that cannot be taken."""
    return "a graph" if spec is None else f"{shown(spec.architecture)} of {shown(spec.zoo)}"
