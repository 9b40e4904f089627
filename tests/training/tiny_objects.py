"""Pictures of squares and discs with boxes and masks, and a detector so small that a run takes a second.

Shape suffixes: N pictures, A cells, C labels, P prototypes, T objects, H rows, W columns.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor, nn
from torch.nn import functional

from signet.architectures.truths import Target
from signet.cards import OutputContract
from signet.datasets import from_coco
from signet.masks import Mask
from signet.programs import Program
from signet.steps import Layout, Pad, Range, Read, Resize
from signet.training import ObjectData, Optimisation, TrainSettings

LABELS = ("square", "disc")
COLOURS = np.array([(70, 70, 70), (210, 60, 50), (50, 80, 220)])
SIZE = (48, 64)
PROGRAM = Program(
    (
        Read(),
        Resize(size=SIZE, fit="pad", rounding="round"),
        Pad(to=SIZE, value=128),
        Range(scale=1 / 127.5, offset=-1),
        Layout(),
    )
)
HEAD = ("head", "maps")
STRIDE = 4


class Network(nn.Module):
    """A backbone of two blocks and one cell for each 4 x 4 pixels: a score for each label, and a box.

    With `instances` each cell has also a weight for each of as many prototypes as there are labels.
    """

    def __init__(self, instances: bool) -> None:
        super().__init__()
        self.backbone = nn.Sequential(OrderedDict(stem=_block(3, 8), body=_block(8, 16)))
        wide = 4 + len(LABELS) + (len(LABELS) if instances else 0)
        self.head = nn.Sequential(
            nn.Conv2d(16, 24, 5, padding=2), nn.ReLU(), nn.Conv2d(24, wide, 5, padding=2)
        )
        self.maps = nn.Conv2d(16, len(LABELS), 3, padding=1) if instances else None
        nn.init.constant_(self.head[2].bias[4 : 4 + len(LABELS)], -4.0)

    def forward(self, images_N3HW: Tensor) -> tuple[Tensor, ...]:
        """predictions (N, 4 + C + P, A), prototypes (N, P, H / 4, W / 4), as the head "yolov8" has them."""
        raw_NVA, prototypes_NPHW = self._cells(images_N3HW)
        boxes_N4A, logits_NCA, weights_NPA = raw_NVA.split([4, len(LABELS), raw_NVA.shape[1] - 6], 1)
        found = torch.cat([boxes_N4A, logits_NCA.sigmoid(), weights_NPA], 1)
        return (found,) if prototypes_NPHW is None else (found, prototypes_NPHW)

    def losses(self, images_N3HW: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """The cell under an object's centre is to have its score, its box and its mask."""
        raw_NVA, prototypes_NPHW = self._cells(images_N3HW)
        wanted_NCA = torch.zeros_like(raw_NVA[:, 4:6])
        boxes, masks = [raw_NVA.sum() * 0], [raw_NVA.sum() * 0]
        columns = images_N3HW.shape[-1] // STRIDE
        for place, target in enumerate(targets):
            for box, label, mask in self._objects(target):
                centre = (box[:2] + box[2:]) / 2
                cell = int(centre[1]) // STRIDE * columns + int(centre[0]) // STRIDE
                wanted_NCA[place, label, cell] = 1
                row = raw_NVA[place, :, cell]
                boxes.append(functional.l1_loss(row[:4], torch.cat([centre, box[2:] - box[:2]])))
                if prototypes_NPHW is not None:
                    small = functional.max_pool2d(mask[None].float(), STRIDE)[0]
                    logits = torch.tensordot(row[6:], prototypes_NPHW[place], 1)
                    masks.append(functional.binary_cross_entropy_with_logits(logits, small))
        scores = functional.binary_cross_entropy_with_logits(raw_NVA[:, 4:6], wanted_NCA, reduction="sum")
        count = len(images_N3HW)
        return {
            "scores": scores / count,
            "boxes": 0.3 * torch.stack(boxes).sum() / count,
            "masks": torch.stack(masks).sum() / count,
        }

    def _objects(self, target: Target) -> zip[Any]:
        return zip(target["boxes"], target["labels"], target.get("masks", target["labels"]), strict=True)

    def _cells(self, images_N3HW: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, 4 + C + P, A) with boxes as centre and sides in pixels; the prototypes."""
        maps_NCHW = self.backbone(images_N3HW)
        raw_NVHW = self.head(maps_NCHW)
        down, right = (torch.arange(side) * float(STRIDE) + STRIDE / 2 for side in raw_NVHW.shape[-2:])
        centres_2HW = torch.stack(torch.meshgrid(right, down, indexing="xy"))
        middles_N2HW, sides_N2HW = raw_NVHW[:, :2] * STRIDE + centres_2HW, raw_NVHW[:, 2:4] * STRIDE + 16
        raw_NVHW = torch.cat([middles_N2HW, sides_N2HW, raw_NVHW[:, 4:]], 1)
        return raw_NVHW.flatten(2), None if self.maps is None else self.maps(maps_NCHW)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def network(seed: int = 0, *, instances: bool = False) -> Network:
    """A detector whose backbone has statistics as a pretrained one has."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Network(instances)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.1, 0.1)
                layer.running_var.uniform_(0.5, 1.5)
    return module.eval()


def scene(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """(pixels, [(label, inside), ...]) of a square and a disc beside each other; every fourth has none."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    shapes: list[tuple[int, np.ndarray]] = []
    if seed % 4 != 3:
        half = size[0] // 2
        top, left = generator.integers(2, half - 22), generator.integers(2, size[1] - 26)
        shapes.append((0, (rows >= top) & (rows < top + 20) & (columns >= left) & (columns < left + 24)))
        row, column = generator.integers(half + 12, size[0] - 12), generator.integers(12, size[1] - 12)
        shapes.append((1, (rows - row) ** 2 + (columns - column) ** 2 < 11**2))
    values = np.zeros(size, np.int64)
    for label, inside in shapes:
        values[inside] = label + 1
    pixels = COLOURS[values] + generator.integers(-15, 16, (*size, 3))
    return pixels.clip(0, 255).astype(np.uint8), shapes


def write(folder: Path, count: int) -> Path:
    """A folder with a COCO file; every third picture is upright, so that a program that pads shows grey."""
    folder.mkdir(parents=True)
    images, annotations = [], []
    for place in range(count):
        size = (96, 72) if place % 3 == 2 else (72, 96)
        pixels, shapes = scene(place, size)
        PillowImage.fromarray(pixels).save(folder / f"{place:02d}.png")
        images.append({"id": place, "file_name": f"{place:02d}.png", "height": size[0], "width": size[1]})
        for label, inside in shapes:
            mask = Mask.of(inside)
            left, top, right, bottom = mask.bounds.tolist()
            annotations.append({
                "id": len(annotations) + 1, "image_id": place, "category_id": label + 1, "iscrowd": 0,
                "bbox": [left, top, right - left, bottom - top], "area": mask.area,
                "segmentation": mask.to_coco(),
            })  # fmt: skip
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(LABELS)]
    stated = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(stated))
    return folder


def rows_in(folder: Path, *, instances: bool = False) -> Any:
    """The dataset, as that of a task."""
    return from_coco(folder / "instances.json").as_task("instances" if instances else "detect")


def data_in(folder: Path, *, instances: bool = False, **changes: Any) -> ObjectData:
    """The last two for validation."""
    rows = rows_in(folder, instances=instances)
    count = len(rows)
    fields = {
        "train": rows.subset(range(count - 2)),
        "validation": rows.subset([count - 2, count - 1]),
        "program": PROGRAM,
        "output": OutputContract(head="yolov8", classes=len(LABELS), extra={"nms": {"iou": 0.5}}),
    }
    return ObjectData(**{**fields, **changes})


def settings(**changes: Any) -> TrainSettings:
    """Three short epochs, and a checkpoint after every step."""
    fields: dict[str, Any] = {
        "classifier": HEAD[:1],
        "epochs": 3,
        "batch": 2,
        "head_rate": 2e-2,
        "backbone_rate": 1e-2,
        "optimisation": Optimisation(clip=10.0),
        "checkpoint_seconds": 0.0,
        "threads": 1,
        "patience": 0,
    }
    return TrainSettings(**{**fields, **changes})
