"""A backbone of four stages, maps that see each other up and down, a head: what v8 and v9 have in common.

Sources: Lin et al., Feature Pyramid Networks (2017), arXiv:1612.03144, for the way up; Liu et al., Path
Aggregation Network (2018), arXiv:1803.01534, section 3.1, for the way down; Terven et al. (2023),
arXiv:2304.00501, figure 17, and Wang et al., YOLOv9 (2024), arXiv:2402.13616, appendix A, for the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from signet.architectures.truths import Target
from signet.architectures.yolo_blocks import doubled
from signet.errors import BadInput

COARSEST = 32
"""Sides of pictures are a multiple of it."""


class Backbone(nn.Module):
    """A stem, and stages that each halve the size and then look.

    Args:
        stem: halves the size of the images.
        stages: each halves it again.
        pool: follows the last stage; None for none.
    """

    def __init__(self, stem: nn.Module, stages: Sequence[nn.Module], pool: nn.Module | None) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.pool = nn.Identity() if pool is None else pool

    def forward(self, images_N3HW: Tensor) -> tuple[Tensor, ...]:
        """float32 (N, 3, H, W) to the maps of all stages, the first at stride 4."""
        map_NCHW = self.stem(images_N3HW)
        maps = []
        for stage in self.stages:
            map_NCHW = stage(map_NCHW)
            maps.append(map_NCHW)
        return (*maps[:-1], self.pool(maps[-1]))


class PathAggregation(nn.Module):
    """From coarse to fine, then from fine to coarse, each map joined with the one of its size.

    Args:
        up16: looks at what comes up to stride 16.
        up8: looks at what comes up to stride 8.
        down16: halves the size of that.
        out16: looks at what comes down to stride 16.
        down32: halves the size of that.
        out32: looks at what comes down to stride 32.
    """

    def __init__(
        self,
        *,
        up16: nn.Module,
        up8: nn.Module,
        down16: nn.Module,
        out16: nn.Module,
        down32: nn.Module,
        out32: nn.Module,
    ) -> None:
        super().__init__()
        self.up16 = up16
        self.up8 = up8
        self.down16 = down16
        self.out16 = out16
        self.down32 = down32
        self.out32 = out32

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Three maps to three, at strides 8, 16 and 32."""
        map8, map16, map32 = maps
        middle = self.up16(torch.cat([doubled(map32), map16], dim=1))
        out8 = self.up8(torch.cat([doubled(middle), map8], dim=1))
        out16 = self.out16(torch.cat([self.down16(out8), middle], dim=1))
        return out8, out16, self.out32(torch.cat([self.down32(out16), map32], dim=1))


class Detector(nn.Module):
    """Backbone, neck and head in one.

    Args:
        backbone: gives at least three maps, the last three at strides 8, 16 and 32.
        neck: from three maps to three.
        head: answers.
    """

    def __init__(self, backbone: nn.Module, neck: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head

    def maps(self, images_N3HW: Tensor) -> tuple[Tensor, ...]:
        """What the head is given: maps at strides 8, 16 and 32. Sides of images are multiples of 32."""
        maps: tuple[Tensor, ...] = self.neck(self.backbone(images_N3HW)[-3:])
        return maps

    def forward(self, images_N3HW: Tensor) -> tuple[Tensor, ...]:
        """float32 (N, 3, H, W), 0 to 1, RGB, to what the head answers, as a tuple."""
        answers = self.head(self.maps(images_N3HW))
        return answers if isinstance(answers, tuple) else (answers,)

    def losses(self, images_N3HW: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """What is to be made small, in training mode: named parts, each float32 (), weighted.

        Args:
            images_N3HW: float32, 0 to 1, RGB; sides are multiples of 32.
            targets: of each picture; boxes in its pixels, labels from 0, masks where the head gives masks.

        Raises:
            BadInput: the sides of the pictures, or a target, are not as stated.
        """
        height, width = images_N3HW.shape[-2:]
        if height % COARSEST or width % COARSEST:
            raise BadInput(
                f"pictures: expected sides that are multiples of {COARSEST}, got {height} x {width}."
            )
        head: Any = self.head
        losses: dict[str, Tensor] = head.losses(self.maps(images_N3HW), images_N3HW, targets)
        return losses
