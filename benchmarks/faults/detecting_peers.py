"""The mistakes of boxes, in the libraries that have detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from faults.noticing import Faulty, Watch

SIDE = 128
ANSWER, LEARN = "detecting", "a step of training"


def programs(library: str) -> Mapping[str, Faulty]:
    """By fault; a library without a detector never runs them, and says so."""
    if library == "torchvision":
        return {**_everywhere(_torchvision_step), **_of_torchvision()}
    if library == "transformers":
        return {**_everywhere(_transformers_step), **_of_transformers()}
    names = (*_everywhere(_torchvision_step), *_of_torchvision())
    return {name: _absent for name in names if not name.startswith("none")}


def _absent(watch: Watch) -> None:
    raise NotImplementedError(watch.by)


Step = Callable[[Sequence[Sequence[float]], int, Watch], None]
"""Boxes as corners, and the class of each: a step of training on them."""


def _everywhere(step: Step) -> Mapping[str, Faulty]:
    """Boxes of 40 x 30 at (60, 20), told wrongly."""
    return {
        "none: learning boxes": lambda watch: step([[60, 20, 100, 50]], 1, watch),
        "boxes not flipped with the image": lambda watch: step([[60, 20, 100, 50]], 1, watch),
        "xywh for xyxy": lambda watch: step([[60, 20, 40, 30]], 1, watch),
        "identifiers remapped wrongly": lambda watch: step([[60, 20, 100, 50]], 2, watch),
    }


def _torchvision_step(boxes: Sequence[Sequence[float]], kind: int, watch: Watch) -> None:
    import torch

    net = _of_torchvision_models()
    net.train()
    watch.using(LEARN)
    truth = {"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.tensor([kind])}
    losses = net([torch.rand(3, SIDE, SIDE)] * 2, [truth] * 2)  # BatchNorm refuses a single one
    sum(losses.values()).backward()


def _of_torchvision_models(**settings: Any) -> Any:
    from torchvision.models import detection

    return detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=91, **settings
    ).eval()


def _of_torchvision() -> Mapping[str, Faulty]:
    import torch
    from torchvision.utils import draw_bounding_boxes

    def answers(watch: Watch, **settings: Any) -> None:
        net = _of_torchvision_models(**settings)
        watch.using(ANSWER)
        with torch.no_grad():
            net([torch.rand(3, SIDE, SIDE)])

    def drawn(watch: Watch) -> None:
        watch.using("drawing")
        draw_bounding_boxes(torch.zeros(3, SIDE, SIDE, dtype=torch.uint8), torch.tensor([[60.0, 20, 40, 30]]))

    return {
        "letterbox rounded": answers,
        "letterbox centred": answers,
        "another NMS threshold": lambda watch: answers(watch, nms_thresh=0.3),
        "boxes not flipped back": answers,
        "answers as xywh": drawn,
        "labels by identifier": answers,
    }


def _yolos(**settings: Any) -> Any:
    from transformers import YolosConfig, YolosForObjectDetection

    config = YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        image_size=[SIDE, SIDE], num_detection_tokens=10, num_labels=91, **settings,
    )  # fmt: skip
    return YolosForObjectDetection(config)


def _processor() -> Any:
    from transformers import YolosImageProcessor

    return YolosImageProcessor(size={"height": SIDE, "width": SIDE})


def _transformers_step(boxes: Sequence[Sequence[float]], kind: int, watch: Watch) -> None:
    """The processor takes COCO's annotations: a corner and sides. Corners in their place are the mistake."""
    xywh = [[60, 20, 100, 50] if box[2] < box[0] else _sides(box) for box in boxes]
    stated = [
        {"bbox": box, "category_id": kind, "area": box[2] * box[3], "iscrowd": 0, "id": 1, "image_id": 1}
        for box in xywh
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    ready = _processor()(
        images=pixels, annotations={"image_id": 1, "annotations": stated}, return_tensors="pt"
    )
    net = _yolos().train()
    watch.using(LEARN)
    net(pixel_values=ready["pixel_values"], labels=ready["labels"]).loss.backward()


def _sides(box: Sequence[float]) -> Sequence[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _of_transformers() -> Mapping[str, Faulty]:
    import torch

    def answers(watch: Watch, shift: int = 0) -> None:
        net, processor = _yolos().eval(), _processor()
        shown = processor(images=np.zeros((SIDE, SIDE, 3), np.uint8), return_tensors="pt")
        watch.using(ANSWER)
        with torch.no_grad():
            said = net(pixel_values=shown["pixel_values"])
        (found,) = processor.post_process_object_detection(said, 0.0, target_sizes=[(SIDE, SIDE)])
        [net.config.id2label[(int(label) + shift) % 91] for label in found["labels"]]

    return {
        "letterbox rounded": answers,
        "letterbox centred": answers,
        "another NMS threshold": answers,
        "boxes not flipped back": answers,
        "answers as xywh": answers,
        "labels by identifier": lambda watch: answers(watch, shift=1),
    }
