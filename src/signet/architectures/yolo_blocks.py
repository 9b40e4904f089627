"""What the one-stage detectors of the v7, v8 and v9 generations are built of.

Sources: Wang et al., Designing Network Design Strategies Through Gradient Path Analysis (2022),
arXiv:2211.04800, for ELAN; Wang et al., YOLOv9 (2024), arXiv:2402.13616, section 4.2 and appendix A, for
GELAN, RepNCSPELAN, ADown and SPPELAN; Ding et al., RepVGG (2021), arXiv:2101.03697, section 3.3, for branches
that become one convolution; Terven et al., A Comprehensive Review of YOLO (2023), arXiv:2304.00501, figure
17, for C2f and SPPF. Details that these leave open are those of keras-cv (Apache-2.0, `yolo_v8_layers.py`)
and of MultimediaTechLab/YOLO (MIT, `yolo/model/module.py`).

Shape suffixes: N images, C channels, H rows, W columns, O outputs of a convolution, I inputs, K sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-3
MOMENTUM = 0.03
"""Of every BatchNorm. Source: keras-cv `BATCH_NORM_EPSILON`, and 1 - `BATCH_NORM_MOMENTUM`."""


class ConvNorm(nn.Module):
    """Convolution without bias, BatchNorm, activation; padded so that stride 1 keeps the size.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: sides of the window, odd.
        stride: of the window.
        groups: parts that do not see each other.
        activation: what follows; a new one is made where none is given.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON, momentum=MOMENTUM)
        self.act = nn.SiLU(inplace=True) if activation is None else activation

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H/stride, W/stride)."""
        activated_NCHW: Tensor = self.act(self.norm(self.conv(map_NCHW)))
        return activated_NCHW


class RepConv(nn.Module):
    """A 3x3 and a 1x1 convolution side by side, added: two in training, one in evaluation mode.

    Both are linear, so their sum is a 3x3 convolution whose kernel is the sum of theirs. In evaluation mode
    it is computed so, and a graph that is traced then has one convolution whose kernel follows from
    constants: engines compute it once, as they load. The tensors stay those of the two branches, so that the
    weights can be trained further and keep their names.

    Source: Ding et al. (2021), section 3.3; without the identity branch: YOLOv7, arXiv:2207.02696, section
    4.1 (RepConvN).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = ConvNorm(inputs, outputs, 3, activation=nn.Identity())
        self.point = ConvNorm(inputs, outputs, 1, activation=nn.Identity())
        self.act = nn.SiLU(inplace=True)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H, W)."""
        if self.training:
            both_NCHW = self.dense(map_NCHW) + self.point(map_NCHW)
        else:
            kernel_OIKK, bias_O = self.merged()
            both_NCHW = functional.conv2d(map_NCHW, kernel_OIKK, bias_O, padding=1)
        activated_NCHW: Tensor = self.act(both_NCHW)
        return activated_NCHW

    def merged(self) -> tuple[Tensor, Tensor]:
        """Kernel (O, I, 3, 3) and bias (O) of the one convolution that both branches are."""
        dense_OIKK, dense_O = folded(self.dense)
        point_OI11, point_O = folded(self.point)
        return dense_OIKK + functional.pad(point_OI11, [1, 1, 1, 1]), dense_O + point_O


def folded(layer: ConvNorm) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution with its BatchNorm's running statistics folded in."""
    norm: Any = layer.norm
    factor_O = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return layer.conv.weight * factor_O[:, None, None, None], norm.bias - norm.running_mean * factor_O


class Bottleneck(nn.Module):
    """Two 3x3 convolutions; what came in is added where `shortcut` says so.

    Args:
        channels: in and out.
        shortcut: add what came in.
        branched: the first is a `RepConv`, as in v9.
    """

    def __init__(self, channels: int, *, shortcut: bool, branched: bool = False) -> None:
        super().__init__()
        self.first = RepConv(channels, channels) if branched else ConvNorm(channels, channels, 3)
        self.second = ConvNorm(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32, of the shape that came in."""
        inner_NCHW: Tensor = self.second(self.first(map_NCHW))
        return map_NCHW + inner_NCHW if self.shortcut else inner_NCHW


class C2f(nn.Module):
    """Two halves; bottlenecks follow the second, and all that came out anywhere is merged.

    Args:
        inputs: channels.
        outputs: channels; half of them in each bottleneck.
        count: bottlenecks.
        shortcut: of the bottlenecks.
    """

    def __init__(self, inputs: int, outputs: int, count: int, *, shortcut: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.split = ConvNorm(inputs, 2 * half)
        self.chain = nn.ModuleList(Bottleneck(half, shortcut=shortcut) for _ in range(count))
        self.merge = ConvNorm((2 + count) * half, outputs)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H, W)."""
        parts = list(self.split(map_NCHW).chunk(2, dim=1))
        for bottleneck in self.chain:
            parts.append(bottleneck(parts[-1]))
        merged_NCHW: Tensor = self.merge(torch.cat(parts, dim=1))
        return merged_NCHW


class PyramidPool(nn.Module):
    """Maximum over 5, 9 and 13 pixels, as three windows of 5 one after another: SPPF, and SPPELAN of v9.

    Args:
        inputs: channels.
        outputs: channels.
        inner: channels of what is pooled.
    """

    def __init__(self, inputs: int, outputs: int, inner: int) -> None:
        super().__init__()
        self.reduce = ConvNorm(inputs, inner)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)
        self.merge = ConvNorm(4 * inner, outputs)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H, W)."""
        parts = [self.reduce(map_NCHW)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        merged_NCHW: Tensor = self.merge(torch.cat(parts, dim=1))
        return merged_NCHW


class BranchedCSP(nn.Module):
    """Half of the channels through bottlenecks with branches, half past them: RepNCSP of v9."""

    def __init__(self, inputs: int, outputs: int, count: int) -> None:
        super().__init__()
        half = outputs // 2
        self.through = ConvNorm(inputs, half)
        self.past = ConvNorm(inputs, half)
        self.merge = ConvNorm(2 * half, outputs)
        self.chain = nn.Sequential(*(Bottleneck(half, shortcut=True, branched=True) for _ in range(count)))

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H, W)."""
        both = [self.chain(self.through(map_NCHW)), self.past(map_NCHW)]
        merged_NCHW: Tensor = self.merge(torch.cat(both, dim=1))
        return merged_NCHW


class GELAN(nn.Module):
    """Two halves, two blocks one after another behind the second, all merged: RepNCSPELAN of v9.

    Args:
        inputs: channels.
        outputs: channels.
        inner: channels of both halves together; half of them in each block.
        count: bottlenecks in each block; 0 for plain 3x3 convolutions (ELAN of v9's small variants).
    """

    def __init__(self, inputs: int, outputs: int, inner: int, count: int) -> None:
        super().__init__()
        half = inner // 2
        self.split = ConvNorm(inputs, inner)
        self.first = _gelan_block(half, count)
        self.second = _gelan_block(half, count)
        self.merge = ConvNorm(2 * inner, outputs)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H, W)."""
        parts = list(self.split(map_NCHW).chunk(2, dim=1))
        parts.append(self.first(parts[-1]))
        parts.append(self.second(parts[-1]))
        merged_NCHW: Tensor = self.merge(torch.cat(parts, dim=1))
        return merged_NCHW


def _gelan_block(channels: int, count: int) -> nn.Module:
    if not count:
        return ConvNorm(channels, channels, 3)
    return nn.Sequential(BranchedCSP(channels, channels, count), ConvNorm(channels, channels, 3))


class AverageDown(nn.Module):
    """Half the size: the mean of 2x2 pixels at every place, then a 3x3 convolution of stride 2 (AConv)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvNorm(inputs, outputs, 3, 2)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H/2, W/2)."""
        halved_NCHW: Tensor = self.conv(functional.avg_pool2d(map_NCHW, 2, stride=1))
        return halved_NCHW


class TwoWayDown(nn.Module):
    """Half the size: the mean as above, then half of the channels convolved and half pooled (ADown)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolved = ConvNorm(inputs // 2, outputs // 2, 3, 2)
        self.pooled = ConvNorm(inputs // 2, outputs // 2)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H/2, W/2)."""
        first_NCHW, second_NCHW = functional.avg_pool2d(map_NCHW, 2, stride=1).chunk(2, dim=1)
        pooled_NCHW = functional.max_pool2d(second_NCHW, 3, stride=2, padding=1)
        return torch.cat([self.convolved(first_NCHW), self.pooled(pooled_NCHW)], dim=1)


class Reversible(nn.Module):
    """A 1x1 convolution with bias whose channels go to several places: CBLinear of v9."""

    def __init__(self, inputs: int, outputs: Sequence[int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, sum(outputs), 1)
        self.outputs = tuple(outputs)

    def forward(self, map_NCHW: Tensor) -> tuple[Tensor, ...]:
        """float32, as many maps as `outputs`."""
        return tuple(torch.split(self.conv(map_NCHW), list(self.outputs), dim=1))


def fused_maps(others: Sequence[Tensor], map_NCHW: Tensor) -> Tensor:
    """A map and others of its channels, brought to its size by nearest pixels, added: CBFuse of v9."""
    height, width = map_NCHW.shape[-2:]
    brought = [functional.interpolate(other, size=(height, width), mode="nearest") for other in others]
    return torch.stack([*brought, map_NCHW]).sum(dim=0)


def doubled(map_NCHW: Tensor) -> Tensor:
    """Twice the rows and columns, each pixel four times."""
    return functional.interpolate(map_NCHW, scale_factor=2.0, mode="nearest")
