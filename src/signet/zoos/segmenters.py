"""Semantic segmenters of other libraries as the engines expect one: pictures in, logits for each pixel out.

Legend of the suffixes: N pictures, C labels, H and W pixels.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class PixelLogits(nn.Module):
    """A segmenter of torchvision.

    Attributes:
        network: torchvision's module, its weights under its own names, the head that only trains among them.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """float32 (N, 3, H, W), prepared, to logits float32 (N, C, H, W)."""
        logits: Tensor = self.network(images_N3HW)["out"]
        return logits


class PaddedSegmenter(nn.Module):
    """A segmenter that takes sides of whole multiples only, made to take any.

    Pictures are padded right and below with zeros, and the logits cut back; where nothing is to be padded,
    the answer is the network's own.

    Attributes:
        network: the module, its weights under its own names.
        multiple: of which its sides must be.
    """

    def __init__(self, network: Any, multiple: int) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """float32 (N, 3, H, W), prepared, to logits float32 (N, C, H, W)."""
        height, width = images_N3HW.shape[-2:]
        padded = functional.pad(images_N3HW, (0, -width % self.multiple, 0, -height % self.multiple))
        logits: Tensor = self.network(padded)[..., :height, :width]
        return logits
