"""YOLOv7 and YOLOv7-tiny: ELAN blocks, a pyramid pool with a way past it, three anchors at every place.

Source: Wang et al., YOLOv7: Trainable Bag-of-Freebies Sets New State-of-the-Art for Real-Time Object
Detectors (2022), arXiv:2207.02696; section 3 and figure 2 (ELAN), section 4.1 (planned re-parameterisation).
The layers of YOLOv7, their widths and its anchors are those of MultimediaTechLab/YOLO (MIT),
`yolo/config/model/v7.yaml`; those of tiny, for which it has no table, are the shapes of its tensors in the
original package, run as a black box (docs/decisions/0024).

Tiny has LeakyReLU where the other has SiLU. Neither has an auxiliary head; larger variants do (section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from signet.architectures.yolo_blocks import ConvNorm, RepConv, doubled
from signet.architectures.yolo_heads import AnchorHead
from signet.architectures.yolo_pyramid import Detector

ANCHORS = ((12, 16, 19, 36, 40, 28), (36, 75, 76, 55, 72, 146), (142, 110, 192, 243, 459, 401))
TINY_ANCHORS = ((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 119), (116, 90, 156, 198, 373, 326))
"""Widths and heights in pixels, three pairs for each map, of COCO at 640 pixels."""
SLOPE = 0.1
"""Of tiny's LeakyReLU below zero."""


def build(variant: str, classes: int) -> Detector:
    """The network with random weights.

    Args:
        variant: "" or "tiny".
        classes: how many.
    """
    if variant == "tiny":
        return Detector(TinyBackbone(), TinyNeck(), AnchorHead((128, 256, 512), classes, TINY_ANCHORS))
    return Detector(FullBackbone(), FullNeck(), AnchorHead((256, 512, 1024), classes, ANCHORS))


class ELAN(nn.Module):
    """Two 1x1 convolutions, a chain of 3x3 convolutions behind the second, and some of all that merged.

    Args:
        inputs: channels.
        outputs: channels.
        widths: channels of each of the two, and of each convolution of the chain.
        count: length of the chain.
        every: which of the chain are merged, counted from its end: 1 for all, 2 for every second.
        tiny: with LeakyReLU.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        widths: tuple[int, int],
        count: int,
        every: int,
        *,
        tiny: bool = False,
    ) -> None:
        super().__init__()
        sides, chained = widths
        self.past = _conv(inputs, sides, tiny=tiny)
        self.enter = _conv(inputs, sides, tiny=tiny)
        self.chain = nn.ModuleList(
            _conv(chained if place else sides, chained, 3, tiny=tiny) for place in range(count)
        )
        self.every = every
        self.merge = _conv(2 * sides + chained * len(range(0, count, every)), outputs, tiny=tiny)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H, W)."""
        chained = [self.enter(map_NCHW)]
        for layer in self.chain:
            chained.append(layer(chained[-1]))
        kept = [*chained[:0:-1][:: self.every], chained[0], self.past(map_NCHW)]
        merged_NCHW: Tensor = self.merge(torch.cat(kept, dim=1))
        return merged_NCHW


class TwoWays(nn.Module):
    """Half the size: pooled and convolved beside convolved twice, the second of stride 2.

    Args:
        inputs: channels.
        outputs: channels of each of the two ways.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pooled = ConvNorm(inputs, outputs)
        self.before = ConvNorm(inputs, outputs)
        self.halved = ConvNorm(outputs, outputs, 3, 2)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, 2 `outputs`, H/2, W/2)."""
        pooled_NCHW = self.pooled(functional.max_pool2d(map_NCHW, 2))
        return torch.cat([self.halved(self.before(map_NCHW)), pooled_NCHW], dim=1)


class PoolCSP(nn.Module):
    """Maxima over 5, 9 and 13 pixels of what three convolutions make, and a way past them: SPPCSPC.

    Source: He et al., SPP (2014), arXiv:1406.4729; Wang et al., CSPNet (2019), arXiv:1911.11929.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.before = nn.Sequential(
            ConvNorm(inputs, outputs), ConvNorm(outputs, outputs, 3), ConvNorm(outputs, outputs)
        )
        self.past = ConvNorm(inputs, outputs)
        self.after = nn.Sequential(ConvNorm(4 * outputs, outputs), ConvNorm(outputs, outputs, 3))
        self.merge = ConvNorm(2 * outputs, outputs)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H, W)."""
        after_NCHW = self.after(torch.cat(_maxima(self.before(map_NCHW)), dim=1))
        merged_NCHW: Tensor = self.merge(torch.cat([after_NCHW, self.past(map_NCHW)], dim=1))
        return merged_NCHW


class TinyPoolCSP(nn.Module):
    """The same of tiny, one convolution before the maxima and one after them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.past = _conv(inputs, outputs, tiny=True)
        self.before = _conv(inputs, outputs, tiny=True)
        self.after = _conv(4 * outputs, outputs, tiny=True)
        self.merge = _conv(2 * outputs, outputs, tiny=True)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H, W)."""
        after_NCHW = self.after(torch.cat(_maxima(self.before(map_NCHW))[::-1], dim=1))
        merged_NCHW: Tensor = self.merge(torch.cat([after_NCHW, self.past(map_NCHW)], dim=1))
        return merged_NCHW


def _maxima(map_NCHW: Tensor) -> list[Tensor]:
    """The map, and its maxima over 5, 9 and 13 pixels; two windows of 5 in a row are one of 9."""
    maps = [map_NCHW]
    for _ in range(3):
        maps.append(functional.max_pool2d(maps[-1], 5, stride=1, padding=2))
    return maps


class FullBackbone(nn.Module):
    """Four layers, then four stages of ELAN."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvNorm(3, 32, 3), ConvNorm(32, 64, 3, 2), ConvNorm(64, 64, 3), ConvNorm(64, 128, 3, 2)
        )
        widths = ((256, 64), (512, 128), (1024, 256), (1024, 256))
        self.stages = nn.ModuleList()
        inputs = 128
        for place, (outputs, inner) in enumerate(widths):
            down = [TwoWays(inputs, inputs // 2)] if place else []
            self.stages.append(nn.Sequential(*down, ELAN(inputs, outputs, (inner, inner), 4, 2)))
            inputs = outputs
        self.pool = PoolCSP(inputs, inputs // 2)

    def forward(self, images_N3HW: Tensor) -> tuple[Tensor, ...]:
        """float32 (N, 3, H, W) to the maps of all stages, the last one pooled."""
        map_NCHW = self.stem(images_N3HW)
        maps = []
        for stage in self.stages:
            map_NCHW = stage(map_NCHW)
            maps.append(map_NCHW)
        return (*maps[:-1], self.pool(maps[-1]))


class FullNeck(nn.Module):
    """Up and down as in v8, with 1x1 convolutions before each map is joined."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow32 = ConvNorm(512, 256)
        self.side16 = ConvNorm(1024, 256)
        self.up16 = ELAN(512, 256, (256, 128), 4, 1)
        self.narrow16 = ConvNorm(256, 128)
        self.side8 = ConvNorm(512, 128)
        self.up8 = ELAN(256, 128, (128, 64), 4, 1)
        self.down16 = TwoWays(128, 128)
        self.out16 = ELAN(512, 256, (256, 128), 4, 1)
        self.down32 = TwoWays(256, 256)
        self.out32 = ELAN(1024, 512, (512, 256), 4, 1)
        self.last = nn.ModuleList(RepConv(width, 2 * width) for width in (128, 256, 512))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Three maps to three, at strides 8, 16 and 32."""
        map8, map16, map32 = maps
        middle = self.up16(torch.cat([self.side16(map16), doubled(self.narrow32(map32))], dim=1))
        out8 = self.up8(torch.cat([self.side8(map8), doubled(self.narrow16(middle))], dim=1))
        out16 = self.out16(torch.cat([self.down16(out8), middle], dim=1))
        out32 = self.out32(torch.cat([self.down32(out16), map32], dim=1))
        return tuple(layer(out) for layer, out in zip(self.last, (out8, out16, out32), strict=True))


class TinyBackbone(nn.Module):
    """Two layers, then four stages of a short ELAN with pools between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 32, 3, 2, tiny=True), _conv(32, 64, 3, 2, tiny=True))
        self.stages = nn.ModuleList()
        inputs = 64
        for outputs, inner in ((64, 32), (128, 64), (256, 128), (512, 256)):
            self.stages.append(ELAN(inputs, outputs, (inner, inner), 2, 1, tiny=True))
            inputs = outputs
        self.pool = TinyPoolCSP(inputs, inputs // 2)

    def forward(self, images_N3HW: Tensor) -> tuple[Tensor, ...]:
        """float32 (N, 3, H, W) to the maps of all stages, the last one pooled."""
        map_NCHW = self.stem(images_N3HW)
        maps = []
        for place, stage in enumerate(self.stages):
            map_NCHW = stage(functional.max_pool2d(map_NCHW, 2) if place else map_NCHW)
            maps.append(map_NCHW)
        return (*maps[:-1], self.pool(maps[-1]))


class TinyNeck(nn.Module):
    """The same way up and down with a short ELAN, halved by plain convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow32 = _conv(256, 128, tiny=True)
        self.side16 = _conv(256, 128, tiny=True)
        self.up16 = ELAN(256, 128, (64, 64), 2, 1, tiny=True)
        self.narrow16 = _conv(128, 64, tiny=True)
        self.side8 = _conv(128, 64, tiny=True)
        self.up8 = ELAN(128, 64, (32, 32), 2, 1, tiny=True)
        self.down16 = _conv(64, 128, 3, 2, tiny=True)
        self.out16 = ELAN(256, 128, (64, 64), 2, 1, tiny=True)
        self.down32 = _conv(128, 256, 3, 2, tiny=True)
        self.out32 = ELAN(512, 256, (128, 128), 2, 1, tiny=True)
        self.last = nn.ModuleList(_conv(width, 2 * width, 3, tiny=True) for width in (64, 128, 256))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Three maps to three, at strides 8, 16 and 32."""
        map8, map16, map32 = maps
        middle = self.up16(torch.cat([self.side16(map16), doubled(self.narrow32(map32))], dim=1))
        out8 = self.up8(torch.cat([self.side8(map8), doubled(self.narrow16(middle))], dim=1))
        out16 = self.out16(torch.cat([self.down16(out8), middle], dim=1))
        out32 = self.out32(torch.cat([self.down32(out16), map32], dim=1))
        return tuple(layer(out) for layer, out in zip(self.last, (out8, out16, out32), strict=True))


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, tiny: bool) -> ConvNorm:
    """A layer with the activation of the network."""
    activation = nn.LeakyReLU(SLOPE, inplace=True) if tiny else None
    return ConvNorm(inputs, outputs, kernel, stride, activation=activation)
