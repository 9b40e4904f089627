"""NASNet-A, mobile (4 @ 1056) and large (6 @ 4032): cells that were found by search, stacked by hand.

Paper: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2017),
arXiv:1707.07012: figure 2 right the stack, figure 4 the cells, tables 2 and 3 the figures. N @ P is N normal
cells between two reductions, and P channels at the end. What the paper leaves open (SAME padding, two stem
cells at a quarter and a half of the width, which map a cell sees past a reduction) is as in the authors' code
(tensorflow/models, research/slim/nets/nasnet).

Parameters that it must reach with 1,000 classes, as torch counts them, and with the 2 x channels running
statistics of the BatchNorms, as Keras does:

| network        | learned    | as Keras counts | stated | multiply-adds stated |
|----------------|------------|-----------------|--------|----------------------|
| mobile, 4@1056 | 5,289,978  | 5,326,716       | 5.3 M  | 564 M at 224 pixels  |
| large, 6@4032  | 88,753,150 | 88,949,818      | 88.9 M | 23.8 G at 331 pixels |

ScheduledDropPath and the auxiliary head belong to the authors' training and are not part of the network here.

Shape suffixes: N images, C channels, H rows, W columns, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from signet.architectures.nasnet_cells import INPUTS, NORMAL_A, REDUCTION_A, CellTable, Operation
from signet.architectures.padding import Border, SameAveragePool, SameConv2d, SameMaxPool

T = TypeVar("T")

Borders = Literal["tensorflow", "keras", "timm"]

EPSILON = 1e-3
MOMENTUM = 0.0003
"""Of the BatchNorms: the authors' decay of 0.9997, as torch writes it."""

DROPOUT = 0.5
"""Part of the features that is dropped before the head, in training (appendix A.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One NASNet.

    Attributes:
        cells: normal cells in each of the three stacks: N of N @ P.
        channels: of the last map: P of N @ P.
        stem: channels of the first convolution.
        skip_reduction: whether the cell after a reduction sees, as its second input, what the reduction saw
            as its second, and not what it saw as its first.
        borders: what the pools of the reduction cells see beyond the border. TensorFlow leaves it out; Keras
            puts zeros into both pools, timm into the average only. Zero and left out differ where a
            map is negative, so weights go with the convention that their accuracy was measured with.
    """

    cells: int
    channels: int
    stem: int
    skip_reduction: bool
    borders: Borders = "tensorflow"


MOBILE = Settings(cells=4, channels=1056, stem=32, skip_reduction=False)
LARGE = Settings(cells=6, channels=4032, stem=96, skip_reduction=True)


@dataclass(frozen=True, slots=True)
class Map:
    """Of a map, known before any image: its channels, and how often it was halved."""

    channels: int
    halvings: int


class NASNet(nn.Module):
    """A convolution, two reduction cells, and three stacks of normal cells with a reduction between them.

    Args:
        settings: its size and its conventions.
        classes: outputs of the head; 0 for features.
    """

    def __init__(self, settings: Settings, classes: int) -> None:
        super().__init__()
        self.skip_reduction = settings.skip_reduction
        self.stem = nn.Sequential()
        self.stem.add_module("conv", nn.Conv2d(3, settings.stem, 3, 2, bias=False))
        self.stem.add_module("norm", _norm(settings.stem))
        filters = settings.channels // (4 * len(NORMAL_A.outputs))
        self.cells = nn.ModuleList()
        current, previous = Map(settings.stem, 1), Map(settings.stem, 1)
        for number, (table, width) in enumerate(plan(settings.cells, filters)):
            raw = (
                number == 0
            )  # there is nothing before the stem; its map is both inputs, one of them as it is
            cell = Cell(table, current, previous, width, settings.borders, raw=raw)
            self.cells.append(cell)
            current, previous = cell.gives, self._after(number, table, current, previous)
        self.features = current.channels
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(self.features, classes) if classes else nn.Identity()
        self.apply(_initialise)

    def _after(self, number: int, table: CellTable, current: T, previous: T) -> T:
        """The second input of the next cell, from both inputs of this one."""
        skipped = self.skip_reduction and table.kind == "reduction" and number >= STEM_CELLS
        return previous if skipped else current

    def forward_map(self, images_NCHW: Tensor) -> Tensor:
        """The last feature map, float32 (N, D, about H/32, about W/32), never negative."""
        current_NCHW = previous_NCHW = self.stem(images_NCHW)
        for number, cell in enumerate(self.cells):
            assert isinstance(cell, Cell)  # noqa: S101  (for the type checker)
            next_NCHW = cell(current_NCHW, previous_NCHW)
            previous_NCHW = self._after(number, cell.table, current_NCHW, previous_NCHW)
            current_NCHW = next_NCHW
        return torch.relu(current_NCHW)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits, or features where there are no classes.

        Args:
            images_NCHW: float32 (N, 3, H, W), RGB, normalised as the card's program says (-1 to 1).

        Returns:
            float32 (N, classes), or (N, D), never negative.
        """
        logits_NC: Tensor = self.head(self.dropout(self.forward_map(images_NCHW).mean(dim=(2, 3))))
        return logits_NC


STEM_CELLS = 2
"""Reduction cells that follow the first convolution, at a quarter and a half of the width."""


def plan(cells: int, filters: int) -> Iterator[tuple[CellTable, int]]:
    """Every cell in order with its filters (channels of one state)."""
    yield REDUCTION_A, filters // 4
    yield REDUCTION_A, filters // 2
    for stack in range(3):
        if stack:
            yield REDUCTION_A, filters * 2**stack
        for _ in range(cells):
            yield NORMAL_A, filters * 2**stack


class Cell(nn.Module):
    """One cell, as its table says.

    Args:
        table: the table.
        current: of the first input.
        previous: of the second input.
        filters: channels of every state.
        borders: see `Settings`.
        raw: whether the second input is used as it is, whatever its channels.
    """

    def __init__(
        self, table: CellTable, current: Map, previous: Map, filters: int, borders: Borders, *, raw: bool
    ) -> None:
        super().__init__()
        self.table = table
        stride = 2 if table.kind == "reduction" else 1
        self.gives = Map(filters * len(table.outputs), current.halvings + stride - 1)
        self.squeeze = Projection(current.channels, filters)
        self.adjust: nn.Module = nn.Identity()
        if not raw and previous.halvings != current.halvings:
            self.adjust = Halving(previous.channels, filters)
        elif not raw and previous.channels != filters:
            self.adjust = Projection(previous.channels, filters)
        inputs = (filters, previous.channels if raw else filters)
        self.left, self.right = nn.ModuleList(), nn.ModuleList()
        for block in table.blocks:
            for side, state, name in (
                (self.left, block.left, block.left_operation),
                (self.right, block.right, block.right_operation),
            ):
                channels, step = (inputs[state], stride) if state < INPUTS else (filters, 1)
                side.append(_operation(name, channels, filters, step, borders))

    def forward(self, current_NCHW: Tensor, previous_NCHW: Tensor) -> Tensor:
        """float32 (N, filters x outputs, H, W), or half of H and W, rounded up, from a reduction."""
        states = [self.squeeze(current_NCHW), self.adjust(previous_NCHW)]
        for block, left, right in zip(self.table.blocks, self.left, self.right, strict=True):
            states.append(left(states[block.left]) + right(states[block.right]))
        return torch.cat([states[number] for number in self.table.outputs], dim=1)


class Projection(nn.Module):
    """ReLU, 1x1 convolution, BatchNorm: another number of channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = _norm(outputs)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H, W)."""
        projected_NCHW: Tensor = self.norm(self.conv(torch.relu(map_NCHW)))
        return projected_NCHW


class Halving(nn.Module):
    """ReLU, every second pixel by two 1x1 convolutions, one of them a pixel further, BatchNorm.

    Source: the authors' code, `factorized_reduction`.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.odd = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.norm = _norm(outputs // 2 * 2)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, ceil(H/2), ceil(W/2))."""
        map_NCHW = torch.relu(map_NCHW)
        moved_NCHW = functional.pad(map_NCHW[..., 1:, 1:], (0, 1, 0, 1))
        halves_NCHW = [self.even(map_NCHW[..., ::2, ::2]), self.odd(moved_NCHW[..., ::2, ::2])]
        joined_NCHW: Tensor = self.norm(torch.cat(halves_NCHW, dim=1))
        return joined_NCHW


class Separable(nn.Module):
    """ReLU, separable convolution and BatchNorm, twice; the first may halve the map (appendix A.4)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.depthwise1 = SameConv2d(inputs, inputs, kernel, stride, groups=inputs)
        self.pointwise1 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm1 = _norm(outputs)
        self.depthwise2 = SameConv2d(outputs, outputs, kernel, groups=outputs)
        self.pointwise2 = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.norm2 = _norm(outputs)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, ceil(H / stride), ceil(W / stride))."""
        inner_NCHW = self.norm1(self.pointwise1(self.depthwise1(torch.relu(map_NCHW))))
        outer_NCHW: Tensor = self.norm2(self.pointwise2(self.depthwise2(torch.relu(inner_NCHW))))
        return outer_NCHW


def _operation(name: Operation, inputs: int, outputs: int, stride: int, borders: Borders) -> nn.Module:
    """The module of an operation."""
    zeros: Border = "zeros"
    halving = stride == 2
    match name:
        case "identity":
            return nn.Identity()
        case "average 3x3":
            return SameAveragePool(stride, zeros if halving and borders != "tensorflow" else "left out")
        case "max 3x3":
            return SameMaxPool(stride, zeros if halving and borders == "keras" else "left out")
        case "separable 3x3" | "separable 5x5" | "separable 7x7":
            return Separable(inputs, outputs, int(name[-1]), stride)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON, momentum=MOMENTUM)


def _initialise(module: nn.Module) -> None:
    """Convolutions normal over the fan in (He et al., 2015), the head uniform (Glorot & Bengio, 2010)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
