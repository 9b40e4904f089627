"""DenseNet-264, the deepest network of the paper's table, which no library offers with its four blocks.

Paper: Huang et al., Densely Connected Convolutional Networks (2016), arXiv:1608.06993. Table 1, last
column: growth rate 32; dense blocks of 6, 12, 64 and 48 layers, each a 1x1 and a 3x3 convolution;
transitions that halve the channels. (By the count that gives the names 121, 169 and 201, which is the first
convolution, two for each dense layer, three transitions and the head, it has 265 layers.)

Parameters that it must reach with 1,000 classes: 33,337,704. PaddlePaddle, the only one to publish weights,
states 33.37 M; systems.csv states 22 M, which no network of this table can have (DenseNet-201 has 20.0 M).

The blocks are torchvision's `DenseNet`, which is built for any configuration of the family; the names of its
tensors are the ones that all torch weights of the family bear.
"""

from __future__ import annotations

from typing import Any

from torch import nn

GROWTH = 32
BLOCKS = (6, 12, 64, 48)
STEM = 64
"""Channels of the first convolution: twice the growth rate (section 3, implementation details)."""

FEATURES = 2688
"""What the last dense block gives, one vector an image."""


def build(classes: int) -> nn.Module:
    """The network with random weights, in training mode.

    It takes float32 (N, 3, H, W), RGB, normalised as the card's program says, and returns float32
    (N, classes): the logits; or (N, 2688): features, never negative, when `classes` is 0. The head is
    `classifier`. Weights are drawn as in the paper (He et al., 2015).
    """
    from torchvision.models.densenet import DenseNet

    module: Any = DenseNet(
        growth_rate=GROWTH, block_config=BLOCKS, num_init_features=STEM, num_classes=classes or 1
    )
    if not classes:
        module.classifier = nn.Identity()
    network: nn.Module = module
    return network
