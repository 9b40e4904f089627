"""Two drawn pictures with rectangles of three kinds, and how well a network answers them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from signet.answers.boxes import Reading, boxes, instances
from signet.boxes import Boxes
from signet.cards import OutputContract
from signet.geometry import Geometry
from signet.heads import Head
from signet.instances import Instances
from signet.masks import Mask
from signet.metrics.average_precision import label_figures
from signet.metrics.matching import match

SIDE = 96
LABELS = ("red", "green", "blue")
OBJECTS = (
    (((6, 8, 40, 36), 0), ((50, 10, 90, 60), 1), ((12, 60, 32, 90), 2)),
    (((20, 20, 76, 70), 2), ((4, 78, 30, 92), 0)),
)
"""Of each picture: left, top, right, bottom, and the label."""


def pictures() -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    """float32 (2, 3, SIDE, SIDE), grey with noise where nothing is, and the targets with masks.

    A mask is what remains of the rectangle without its upper right quarter, which is grey.
    """
    noise = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    images, targets = 0.4 + 0.1 * noise, []
    for image, objects in zip(images, OBJECTS, strict=True):
        masks = torch.zeros(len(objects), SIDE, SIDE, dtype=torch.uint8)
        for mask, ((left, top, right, bottom), label) in zip(masks, objects, strict=True):
            mask[top:bottom, left:right] = 1
            mask[top : (top + bottom) // 2, (left + right) // 2 : right] = 0
            image[:, mask.bool()] = 0.05
            image[label, mask.bool()] = 0.95
        corners = torch.tensor([box for box, _ in objects], dtype=torch.float32)
        labels = torch.tensor([label for _, label in objects])
        targets.append({"boxes": corners, "labels": labels, "masks": masks})
    return images, targets


def learned(module: Any, steps: int, rate: float = 2e-3) -> list[float]:
    """Train on the two pictures, then evaluation mode; the sum of the losses at every step."""
    images, targets = pictures()
    optimizer = torch.optim.AdamW(module.train().parameters(), rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    sums = []
    for _ in range(steps):
        losses = module.losses(images, targets)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()
        sums.append(float(total.detach()))
    module.eval()
    return sums


def precision(module: Any, head: str) -> dict[str, float]:
    """AP50 of the boxes, and "masks" where there are any, on the two pictures."""
    images, targets = pictures()
    with torch.inference_mode():
        outputs = [output.numpy() for output in module(images)]
    stated: dict[str, Any] = {"nms": {"iou": 0.5, "class_wise": True}}
    if len(outputs) > 1:
        stated["outputs"] = {"prototypes": "prototypes"}
    reading = Reading(
        Head.of(head, stated, "predictions"),
        OutputContract(head=head, tensor="predictions", classes=len(LABELS), extra=stated),
        LABELS,
    )
    pairs = []
    for place, target in enumerate(targets):
        arrays = dict(zip(("predictions", "prototypes"), (output[place] for output in outputs), strict=False))
        found = (instances if len(outputs) > 1 else boxes)(arrays, Geometry.of((SIDE, SIDE)), reading, "")
        pairs.append((found, _truth(target, len(outputs) > 1)))
    figures = {"boxes": _ap50(pairs, masks=False)}
    if len(outputs) > 1:
        figures["masks"] = _ap50(pairs, masks=True)
    return figures


def _truth(target: dict[str, torch.Tensor], masks: bool) -> Boxes | Instances:
    indices = target["labels"].numpy()
    truth = Boxes(
        target["boxes"].double().numpy(),
        np.ones(len(indices)),
        indices,
        tuple(LABELS[index] for index in indices),
        (SIDE, SIDE),
    )
    if not masks:
        return truth
    return Instances(truth, tuple(Mask.of(mask.numpy()) for mask in target["masks"]))


def _ap50(pairs: Any, masks: bool) -> float:
    return float(label_figures(match(pairs, len(LABELS), masks=masks)).means()["ap50"][0])
