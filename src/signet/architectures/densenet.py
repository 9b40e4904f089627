"""DenseNet-264, the deepest network of the paper's table, which no library offers with its four blocks.

Paper: Huang et al., Densely Connected Convolutional Networks (2016), arXiv:1608.06993. Table 1, last
column: growth rate 32; dense blocks of 6, 12, 64 and 48 layers, each a 1x1 and a 3x3 convolution;
transitions that halve the channels. (By the count that gives the names 121, 169 and 201, which is the first
convolution, two for each dense layer, three transitions and the head, it has 265 layers.)

Parameters that it must reach with 1,000 classes: 33,337,704. PaddlePaddle, the only one to publish weights,
states 33.37 M; systems.csv states 22 M, which no network of this table can have (DenseNet-201 has 20.0 M).

The tensors bear the names that torch weights of the family have everywhere.

Shape suffixes: N images, C channels, H rows, W columns, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROWTH = 32
"""Channels that each dense layer adds (k of the paper)."""

BLOCKS = (6, 12, 64, 48)
"""Dense layers of each block."""

STEM = 64
"""Channels of the first convolution: twice the growth rate (section 3, implementation details)."""

WIDENING = 4
"""Channels between the two convolutions of a dense layer, as a multiple of the growth rate (section 3)."""

FEATURES = 2688
"""What the last dense block gives, one vector an image."""


class DenseNet264(nn.Module):
    """The network of table 1's last column.

    Args:
        classes: outputs of the head; 0 for features.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, STEM, 7, 2, 3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(STEM))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        channels = STEM
        for number, layers in enumerate(BLOCKS, start=1):
            if number > 1:
                self.features.add_module(f"transition{number - 1}", _transition(channels))
                channels //= 2
            self.features.add_module(f"denseblock{number}", DenseBlock(channels, layers))
            channels += layers * GROWTH
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, classes) if classes else nn.Identity()
        self.apply(_initialise)

    def forward_map(self, images_NCHW: Tensor) -> Tensor:
        """The last feature map, float32 (N, 2688, H/32, W/32), never negative."""
        return torch.relu(self.features(images_NCHW))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits, or features where there are no classes.

        Args:
            images_NCHW: float32 (N, 3, H, W), RGB, normalised as the card's program says.

        Returns:
            float32 (N, classes), or (N, 2688), never negative.
        """
        logits_NC: Tensor = self.classifier(self.forward_map(images_NCHW).mean(dim=(2, 3)))
        return logits_NC


class DenseBlock(nn.Module):
    """Layers of which each sees the maps of all before it: `inputs` channels become inputs + layers x 32."""

    def __init__(self, inputs: int, layers: int) -> None:
        super().__init__()
        for number in range(layers):
            self.add_module(f"denselayer{number + 1}", DenseLayer(inputs + number * GROWTH))

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32, what came in and after it what each layer adds."""
        for layer in self.children():
            map_NCHW = torch.cat([map_NCHW, layer(map_NCHW)], dim=1)
        return map_NCHW


class DenseLayer(nn.Module):
    """BatchNorm, ReLU, 1x1 convolution; BatchNorm, ReLU, 3x3 convolution (section 3, DenseNet-BC)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, WIDENING * GROWTH, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(WIDENING * GROWTH)
        self.conv2 = nn.Conv2d(WIDENING * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, 32, H, W)."""
        inner_NCHW = self.conv1(torch.relu(self.norm1(map_NCHW)))
        added_NCHW: Tensor = self.conv2(torch.relu(self.norm2(inner_NCHW)))
        return added_NCHW


def _transition(channels: int) -> nn.Sequential:
    """BatchNorm, ReLU, 1x1 convolution to half the channels, mean of 2x2 pixels."""
    layers = nn.Sequential()
    layers.add_module("norm", nn.BatchNorm2d(channels))
    layers.add_module("relu", nn.ReLU())
    layers.add_module("conv", nn.Conv2d(channels, channels // 2, 1, bias=False))
    layers.add_module("pool", nn.AvgPool2d(2, 2))
    return layers


def _initialise(module: nn.Module) -> None:
    """As the paper: convolutions after He et al. (2015); the head's bias zero."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
    elif isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
