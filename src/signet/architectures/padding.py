"""TensorFlow's SAME padding, which torch has only for stride 1, and the pools that need it.

SAME makes the output ceil(size / stride) long. What is missing is padded half before and half after, and
the odd pixel goes after; so a stride of 2 pads an even size unevenly, where torch's own padding pads both
sides. Weights that were trained one way give other answers the other way.

Shape suffixes: N images, C channels, H rows, W columns.

Source: TensorFlow, tf.nn, "Notes on padding".
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Border = Literal["left out", "zeros"]
"""What a pool sees beyond the border: nothing, or zeros that count."""


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels to add before and after one axis of length `size`.

    Example:
        >>> same_padding(224, kernel=3, stride=2), same_padding(225, kernel=3, stride=2)
        ((0, 1), (1, 1))
    """
    missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return missing // 2, missing - missing // 2


def padded(map_NCHW: Tensor, kernel: int, stride: int, value: float) -> Tensor:
    """The map with SAME padding of `value` around it; the map itself where nothing is missing."""
    top, bottom = same_padding(map_NCHW.shape[-2], kernel, stride)
    left, right = same_padding(map_NCHW.shape[-1], kernel, stride)
    if top or bottom or left or right:
        return functional.pad(map_NCHW, (left, right, top, bottom), value=value)
    return map_NCHW


class SameConv2d(nn.Conv2d):
    """A convolution with a square kernel and SAME padding; its tensors are those of `nn.Conv2d`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1, bias: bool = False
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=bias)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """(N, `outputs`, ceil(H / stride), ceil(W / stride)), float32."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        return super().forward(padded(map_NCHW, kernel, stride, 0.0))


class SameMaxPool(nn.Module):
    """The largest of 3x3 pixels, with SAME padding.

    Args:
        stride: step of the window.
        border: "left out" as TensorFlow's own pool; "zeros" where the source pads the map beforehand.
    """

    def __init__(self, stride: int, border: Border = "left out") -> None:
        super().__init__()
        self.stride = stride
        self.value = float("-inf") if border == "left out" else 0.0

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """(N, C, ceil(H / stride), ceil(W / stride)), float32."""
        return functional.max_pool2d(padded(map_NCHW, 3, self.stride, self.value), 3, self.stride)


class SameAveragePool(nn.Module):
    """The mean of 3x3 pixels, with SAME padding.

    Args:
        stride: step of the window.
        border: "left out" divides by the pixels that there are, as TensorFlow's own pool; "zeros" by nine.
    """

    def __init__(self, stride: int, border: Border = "left out") -> None:
        super().__init__()
        self.stride = stride
        self.counted = border == "zeros"

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """(N, C, ceil(H / stride), ceil(W / stride)), float32."""
        if self.stride == 1 and not self.counted:
            return functional.avg_pool2d(map_NCHW, 3, 1, 1, count_include_pad=False)
        mean_NCHW = functional.avg_pool2d(padded(map_NCHW, 3, self.stride, 0.0), 3, self.stride)
        if self.counted:
            return mean_NCHW
        present_11HW = padded(torch.ones_like(map_NCHW[:1, :1]), 3, self.stride, 0.0)
        return mean_NCHW / functional.avg_pool2d(present_11HW, 3, self.stride)
