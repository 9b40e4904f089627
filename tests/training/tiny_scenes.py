"""Pictures with a label for each pixel, and a segmenter so small that a run takes a second."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor, nn

from signet.datasets import from_masks
from signet.programs import Program
from signet.steps import Layout, Pad, Range, Read, Resize
from signet.training import PixelData, TrainSettings

LABELS = ("ground", "square", "disc")
COLOURS = np.array([(60, 70, 60), (200, 60, 50), (50, 80, 210)])
UNLABELLED = 255
PROGRAM = Program(
    (
        Read(),
        Resize(size=(48, 64), fit="pad", rounding="round"),
        Pad(to=(48, 64), value=128),
        Range(scale=1 / 127.5, offset=-1),
        Layout(),
    )
)
HEAD = ("neck", "head")


class Segmenter(nn.Module):
    """A backbone of two blocks with BatchNorm, a neck with BatchNorm, a head; logits at a quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(OrderedDict(stem=_block(3, 8), body=_block(8, 12)))
        self.neck = nn.Sequential(nn.Conv2d(12, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.head = nn.Conv2d(16, len(LABELS), 1)

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Logits (N, C, H / 4, W / 4)."""
        logits: Tensor = self.head(self.neck(self.backbone(images_N3HW)))
        return logits


def network(seed: int = 0) -> nn.Module:
    """A segmenter whose backbone has statistics as a pretrained one has."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Segmenter()
        for name, layer in module.named_modules():
            if isinstance(layer, nn.BatchNorm2d) and name.startswith("backbone"):
                layer.running_mean.uniform_(-0.1, 0.1)
                layer.running_var.uniform_(0.5, 1.5)
    return module.eval()


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def scene(seed: int, size: tuple[int, int] = (72, 96)) -> tuple[np.ndarray, np.ndarray]:
    """(pixels, values): a square and a disc somewhere, a stripe at the left that nobody labelled."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    values = np.zeros(size, np.uint8)
    top, left = generator.integers(2, size[0] - 32), generator.integers(8, size[1] - 32)
    values[top : top + 28, left : left + 28] = 1
    row, column = generator.integers(14, size[0] - 14), generator.integers(20, size[1] - 14)
    values[(rows - row) ** 2 + (columns - column) ** 2 < 13**2] = 2
    pixels = COLOURS[values] + generator.integers(-15, 16, (*size, 3))
    values[:, :4] = UNLABELLED
    return pixels.clip(0, 255).astype(np.uint8), values


def write(folder: Path, count: int) -> Path:
    """A folder that `from_masks` reads."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join(LABELS) + "\n")
    for place in range(count):
        # Every third picture is upright: a program that pads shows it beside grey.
        pixels, values = scene(place, (96, 72) if place % 3 == 2 else (72, 96))
        PillowImage.fromarray(pixels).save(folder / "images" / f"{place:02d}.png")
        PillowImage.fromarray(values).save(folder / "masks" / f"{place:02d}.png")
    return folder


def data_in(folder: Path, **changes: Any) -> PixelData:
    """The last two for validation."""
    rows = from_masks(folder, labels=LABELS)
    count = len(rows)
    fields = {"train": rows.subset(range(count - 2)), "validation": rows.subset([count - 2, count - 1])}
    return PixelData(**{**fields, "program": PROGRAM, **changes})


def settings(**changes: Any) -> TrainSettings:
    """Three short epochs, and a checkpoint after every step."""
    fields: dict[str, Any] = {
        "classifier": HEAD,
        "epochs": 3,
        "batch": 2,
        "head_rate": 2e-2,
        "backbone_rate": 1e-2,
        "checkpoint_seconds": 0.0,
        "threads": 1,
        "patience": 0,
    }
    return TrainSettings(**{**fields, **changes})
