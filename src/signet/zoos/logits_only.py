"""A module of transformers as the engines expect one: a picture in, logits out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class LogitsOnly(nn.Module):
    """Takes `pixel_values` by position and returns the tensor `logits` of the answer."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """float32 (N, 3, H, W), prepared, to logits float32 (N, C), of a segmenter (N, C, h, w)."""
        logits: Tensor = self.network(pixel_values=images_NCHW).logits
        return logits
