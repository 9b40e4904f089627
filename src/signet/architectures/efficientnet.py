"""EfficientNet at any compound coefficient: width, depth and resolution scaled together.

Paper: Tan & Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (2019),
arXiv:1905.11946. Table 1 is B0, equation 3 the compound coefficient, table 2 the figures; L2 is
Xie et al., Self-training with Noisy Student (2019), arXiv:1911.04252, table 7; B8 is Xie et al.,
Adversarial Examples Improve Image Recognition (2019), arXiv:1911.09665. Coefficients of B1 to L2:
the authors' code (tensorflow/tpu, models/official/efficientnet).

Parameters that it must reach with 1,000 classes: B0 5,288,548; B1 7,794,184; B2 9,109,994;
B3 12,233,232; B4 19,341,616; B5 30,389,784; B6 43,040,704; B7 66,347,960; B8 87,413,142;
L2 480,309,308. Learned numbers, as torch counts them: the running statistics of the BatchNorms are not
among them.

Shape suffixes: N images, C channels, H rows, W columns, D features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from signet.architectures.padding import SameConv2d

Padding = Literal["same", "symmetric"]

STAGES = (
    # expansion, channels, blocks, stride, kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""Stages 2 to 8 of table 1, B0."""

STEM, NECK = 32, 1280
"""Channels of stage 1 and of stage 9, in B0."""

SQUEEZE = 0.25
"""Channels inside squeeze-and-excitation, as a part of those that enter the block."""

MOMENTUM = 0.01
"""What a batch adds to the running statistics (the authors' 0.99, as torch writes it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One EfficientNet.

    Attributes:
        width: factor on every number of channels.
        depth: factor on the blocks of every stage; the result is rounded up.
        dropout: part of the features that is dropped before the head, in training.
        drop_path: part of the images whose last block is skipped, in training; earlier blocks less.
        padding: "same" as TensorFlow pads (the authors' weights), "symmetric" as torch does.
        epsilon: of the BatchNorms; the authors' 1e-3, torch's own trainings 1e-5.
    """

    width: float = 1.0
    depth: float = 1.0
    dropout: float = 0.2
    drop_path: float = 0.2
    padding: Padding = "same"
    epsilon: float = 1e-3


def rounded_channels(channels: int, width: float) -> int:
    """Channels times width, to the nearest multiple of 8, but never below 0.9 of the product.

    Source: the authors' code, `round_filters`.

    Example:
        >>> rounded_channels(32, 1.1), rounded_channels(40, 1.4)
        (32, 56)
    """
    product = channels * width
    rounded = max(8, int(product + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * product else rounded


def rounded_blocks(blocks: int, depth: float) -> int:
    """Blocks times depth, rounded up."""
    return math.ceil(blocks * depth)


class EfficientNet(nn.Module):
    """The network of table 1 at a width and a depth.

    Args:
        settings: its coefficients and numerical conventions.
        classes: outputs of the head; 0 for features.
    """

    def __init__(self, settings: Settings, classes: int) -> None:
        super().__init__()
        channels = rounded_channels(STEM, settings.width)
        self.stem = _convolution(Shape(3, channels, 1, 3, 2), settings)
        shapes = list(_shapes(settings, channels))
        stages: list[list[nn.Module]] = [[] for _ in STAGES]
        for number, (stage, shape) in enumerate(shapes):
            stages[stage].append(Block(shape, settings, settings.drop_path * number / len(shapes)))
        self.stages = nn.Sequential(*(nn.Sequential(*blocks) for blocks in stages))
        self.features = rounded_channels(NECK, settings.width)
        self.neck = _convolution(Shape(shapes[-1][1].outputs, self.features, 1, 1, 1), settings)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.features, classes) if classes else nn.Identity()
        self.apply(_initialise)

    def forward_map(self, images_NCHW: Tensor) -> Tensor:
        """The last feature map, float32 (N, D, H/32, W/32), from images as `forward` takes them."""
        map_NCHW: Tensor = self.neck(self.stages(self.stem(images_NCHW)))
        return map_NCHW

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits, or features where there are no classes.

        Args:
            images_NCHW: float32 (N, 3, H, W), RGB, normalised as the card's program says.

        Returns:
            float32 (N, classes), or (N, D).
        """
        logits_NC: Tensor = self.head(self.dropout(self.forward_map(images_NCHW).mean(dim=(2, 3))))
        return logits_NC


@dataclass(frozen=True, slots=True)
class Shape:
    """Of one block: channels in, channels out, expansion, kernel, stride."""

    inputs: int
    outputs: int
    expansion: int
    kernel: int
    stride: int


class Block(nn.Module):
    """MBConv: expand, convolve each channel by itself, weigh the channels, project, add what came in.

    Source: section 4 of the paper, after Sandler et al., MobileNetV2 (2018), and Hu et al.,
    Squeeze-and-Excitation Networks (2018).

    Args:
        shape: its numbers.
        settings: padding and BatchNorm.
        drop: part of the images that skip the block in training, where it has a shortcut.
    """

    def __init__(self, shape: Shape, settings: Settings, drop: float) -> None:
        super().__init__()
        inner = shape.inputs * shape.expansion
        self.expand: nn.Module = nn.Identity()
        if shape.expansion > 1:
            self.expand = _convolution(Shape(shape.inputs, inner, 1, 1, 1), settings)
        depthwise = Shape(inner, inner, 1, shape.kernel, shape.stride)
        self.depthwise = _convolution(depthwise, settings, groups=inner)
        self.squeeze = SqueezeExcitation(inner, max(1, int(shape.inputs * SQUEEZE)))
        self.project = _convolution(Shape(inner, shape.outputs, 1, 1, 1), settings)[:2]
        self.shortcut = shape.stride == 1 and shape.inputs == shape.outputs
        self.drop = drop

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32 (N, `outputs`, H/stride, W/stride)."""
        inner_NCHW: Tensor = self.project(self.squeeze(self.depthwise(self.expand(map_NCHW))))
        if not self.shortcut:
            return inner_NCHW
        if self.training and self.drop:
            # An image keeps the block or skips it; dividing keeps the mean what it is without training.
            keep_N111 = torch.rand_like(inner_NCHW[:, :1, :1, :1]) >= self.drop
            inner_NCHW = inner_NCHW * keep_N111 / (1 - self.drop)
        return map_NCHW + inner_NCHW


class SqueezeExcitation(nn.Module):
    """Each channel times a weight between 0 and 1 that is computed from the means of all channels."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.widen = nn.Conv2d(inner, channels, 1)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32, of the shape that came in."""
        mean_NC11 = map_NCHW.mean(dim=(2, 3), keepdim=True)
        weights_NC11 = torch.sigmoid(self.widen(nn.functional.silu(self.reduce(mean_NC11))))
        return map_NCHW * weights_NC11


def timm_names(settings: Settings) -> dict[str, str]:
    """From each of our modules that has tensors to timm's name of it."""
    names = {
        "stem.conv": "conv_stem",
        "stem.norm": "bn1",
        "neck.conv": "conv_head",
        "neck.norm": "bn2",
        "head": "classifier",
    }
    counts = [0] * len(STAGES)
    for stage, shape in _shapes(settings, rounded_channels(STEM, settings.width)):
        ours, theirs = f"stages.{stage}.{counts[stage]}", f"blocks.{stage}.{counts[stage]}"
        counts[stage] += 1
        expanded = shape.expansion > 1
        parts = ("expand", "depthwise", "project") if expanded else ("depthwise", "project")
        convolutions = ("conv_pw", "conv_dw", "conv_pwl") if expanded else ("conv_dw", "conv_pw")
        for number, (part, convolution) in enumerate(zip(parts, convolutions, strict=True), start=1):
            names[f"{ours}.{part}.conv"] = f"{theirs}.{convolution}"
            names[f"{ours}.{part}.norm"] = f"{theirs}.bn{number}"
        names[f"{ours}.squeeze.reduce"] = f"{theirs}.se.conv_reduce"
        names[f"{ours}.squeeze.widen"] = f"{theirs}.se.conv_expand"
    return names


def _shapes(settings: Settings, channels: int) -> Iterator[tuple[int, Shape]]:
    """Stage and shape of every block, in order."""
    for stage, (expansion, base, blocks, stride, kernel) in enumerate(STAGES):
        outputs = rounded_channels(base, settings.width)
        for number in range(rounded_blocks(blocks, settings.depth)):
            yield stage, Shape(channels, outputs, expansion, kernel, stride if number == 0 else 1)
            channels = outputs


def _convolution(shape: Shape, settings: Settings, *, groups: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm and SiLU; the expansion of `shape` is not its matter."""
    inputs, outputs, kernel, stride = shape.inputs, shape.outputs, shape.kernel, shape.stride
    layers = nn.Sequential()
    if settings.padding == "same":
        layers.add_module("conv", SameConv2d(inputs, outputs, kernel, stride, groups=groups))
    else:
        padding = kernel // 2
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        layers.add_module("conv", convolution)
    layers.add_module("norm", nn.BatchNorm2d(outputs, eps=settings.epsilon, momentum=MOMENTUM))
    layers.add_module("act", nn.SiLU())
    return layers


def _initialise(module: nn.Module) -> None:
    """As the authors' code: convolutions normal over the fan out, the head uniform, biases zero."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
    elif isinstance(module, nn.Linear):
        bound = 1.0 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -bound, bound)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
