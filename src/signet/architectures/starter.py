"""The network of the starter: a plain small residual network for images of 128 by 128 pixels.

Shape suffixes: N images, C channels, H rows, W columns, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

INPUT_SIZE = 128
"""Height and width, in pixels, for which the weights were trained."""

WIDTH = 512
"""Features that come out of the network, one vector an image."""

PARAMETERS = 1_899_136
"""Learned numbers (weights, and scale and shift of each BatchNorm)."""


class StarterNet(nn.Module):
    """A ResNet of four stages with one basic block each, and a 1x1 convolution before the pooling.

    Most of the small pictures that it meets are enlarged to its input size, so full resolution holds
    little; the network goes down to a quarter of it at once and spends its time and parameters on the
    coarse maps.

    For an input of shape (N, 3, 128, 128) the stages give:

    | stage  | output            | stride | parameters |
    |--------|-------------------|--------|------------|
    | stem   | (N, 32, 64, 64)   | 2      | 928        |
    | stage1 | (N, 48, 32, 32)   | 2      | 36,384     |
    | stage2 | (N, 96, 16, 16)   | 2      | 129,600    |
    | stage3 | (N, 192, 8, 8)    | 2      | 517,248    |
    | stage4 | (N, 256, 8, 8)    | 1      | 1,082,880  |
    | neck   | (N, 512, 8, 8)    | 1      | 132,096    |

    and the mean over the last map's positions gives the features, (N, 512). All sizes that are multiples of
    16 work.

    Source: He et al., Deep Residual Learning for Image Recognition (2015), section 3.3 and option B.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(3, 32, kernel=3, stride=2), nn.ReLU())
        self.stage1 = BasicBlock(32, 48, stride=2)
        self.stage2 = BasicBlock(48, 96, stride=2)
        self.stage3 = BasicBlock(96, 192, stride=2)
        self.stage4 = BasicBlock(192, 256, stride=1)
        self.neck = nn.Sequential(*_convolution(256, WIDTH, kernel=1, stride=1), nn.ReLU())

    def forward_map(self, images_NCHW: Tensor) -> Tensor:
        """The last feature map, before pooling.

        Args:
            images_NCHW: float32 (N, 3, H, W), RGB, normalised as the card's program says (-1 to 1).

        Returns:
            float32 (N, 512, H/16, W/16), never negative.
        """
        map_NCHW: Tensor = self.stage2(self.stage1(self.stem(images_NCHW)))
        map_NCHW = self.neck(self.stage4(self.stage3(map_NCHW)))
        return map_NCHW

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """One feature vector an image.

        Args:
            images_NCHW: float32 (N, 3, H, W), RGB, normalised as the card's program says (-1 to 1).

        Returns:
            float32 (N, 512), never negative.
        """
        return self.forward_map(images_NCHW).mean(dim=(2, 3))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: (N, `inputs`, H, W) to (N, `outputs`, H/stride, W/stride).

    Args:
        inputs: channels that come in.
        outputs: channels that go out; always differs from `inputs` here, so the shortcut is a 1x1
            convolution.
        stride: step of the first convolution and of the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(inputs, outputs, kernel=3, stride=stride)
        self.conv2, self.bn2 = _convolution(outputs, outputs, kernel=3, stride=1)
        self.conv3, self.bn3 = _convolution(inputs, outputs, kernel=1, stride=stride)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """Non-negative float32 map, from the map of the stage before."""
        inner_NCHW = torch.relu(self.bn1(self.conv1(map_NCHW)))
        return torch.relu(self.bn2(self.conv2(inner_NCHW)) + self.bn3(self.conv3(map_NCHW)))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution that keeps the size (but for the stride), and the BatchNorm that stands for its bias."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution, nn.BatchNorm2d(outputs)
