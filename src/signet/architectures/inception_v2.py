"""Inception v2, known as BN-Inception: the network with which batch normalisation was introduced.

Paper: Ioffe & Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing Internal
Covariate Shift (2015), arXiv:1502.03167; figure 5 (appendix) is the table.

Two forms of it have public weights, and they are not the same network:

- `caffe` (Inspur and CUHK; ported to torch by Cadene): plain first convolution, biases beside the BatchNorms,
  128 channels after the pools of 4c and 4d where the paper has 96, inputs BGR on 0 to 255.
- `slim` (TensorFlow's research/slim): the paper's channels, a first convolution that is depthwise-separable
  with eight filters a channel and a bias but no BatchNorm, elsewhere BatchNorms without scale, SAME padding.

Parameters that it must reach: `caffe` 11,295,240 with 1,000 classes (stated 11.30 M), `slim` 11,179,361 with
its 1,001 (stated 11.2 M) and 11,178,336 with 1,000. Multiply-adds at 224 pixels: 2.03 G and 1.94 G.

Shape suffixes: N images, C channels, H rows, W columns, D features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from signet.architectures.padding import SameAveragePool, SameConv2d, SameMaxPool
from signet.errors import BadRequest

FormName = Literal["caffe", "slim"]
FEATURES = 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One line of figure 5: an inception module.

    Attributes:
        name: the paper's.
        one: channels of the 1x1 branch; 0 for none, then the module halves the map.
        three: channels of the 3x3 branch: after its 1x1 convolution, and at its end.
        double: channels of the branch with two 3x3 convolutions, likewise.
        pool: "average" or "max".
        projection: channels of the 1x1 convolution after the pool; 0 for none.
    """

    name: str
    one: int
    three: tuple[int, int]
    double: tuple[int, int]
    pool: Literal["average", "max"]
    projection: int

    @property
    def outputs(self) -> int:
        """Channels that the convolutions of the module give; a pool without projection adds its own."""
        return self.one + self.three[1] + self.double[1] + self.projection


PAPER = (
    Row("3a", 64, (64, 64), (64, 96), "average", 32),
    Row("3b", 64, (64, 96), (64, 96), "average", 64),
    Row("3c", 0, (128, 160), (64, 96), "max", 0),
    Row("4a", 224, (64, 96), (96, 128), "average", 128),
    Row("4b", 192, (96, 128), (96, 128), "average", 128),
    Row("4c", 160, (128, 160), (128, 160), "average", 96),
    Row("4d", 96, (128, 192), (160, 192), "average", 96),
    Row("4e", 0, (128, 192), (192, 256), "max", 0),
    Row("5a", 352, (192, 320), (160, 224), "average", 128),
    Row("5b", 352, (192, 320), (192, 224), "max", 128),
)

CAFFE_PROJECTION = {"4c": 128, "4d": 128}
"""Where the form of Caffe differs from the paper."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the paper leaves open, as one of the two public implementations closes it."""

    rows: tuple[Row, ...]
    same: bool
    separable: bool
    bias: bool
    scale: bool
    epsilon: float
    momentum: float
    dropout: float


FORMS: dict[FormName, Form] = {
    "caffe": Form(
        rows=tuple(replace(row, projection=CAFFE_PROJECTION.get(row.name, row.projection)) for row in PAPER),
        same=False,
        separable=False,
        bias=True,
        scale=True,
        epsilon=1e-5,
        momentum=0.1,
        dropout=0.0,
    ),
    "slim": Form(
        rows=PAPER,
        same=True,
        separable=True,
        bias=False,
        scale=False,
        epsilon=1e-3,
        momentum=0.0003,
        dropout=0.2,
    ),
}


class InceptionV2(nn.Module):
    """The network of figure 5.

    Args:
        form: which public implementation it is.
        classes: outputs of the head; 0 for features.
    """

    def __init__(self, form: FormName, classes: int) -> None:
        super().__init__()
        chosen = FORMS[form]
        self.conv1 = Unit(3, 64, 7, 2, chosen, separable=chosen.separable)
        self.pool1 = _halving_pool(chosen)
        self.conv2_reduce = Unit(64, 64, 1, 1, chosen)
        self.conv2 = Unit(64, 192, 3, 1, chosen)
        self.pool2 = _halving_pool(chosen)
        channels = 192
        self.blocks = nn.Sequential()
        for row in chosen.rows:
            self.blocks.add_module(row.name, Inception(channels, row, chosen))
            channels = row.outputs + (0 if row.projection else channels)
        self.dropout = nn.Dropout(chosen.dropout)
        self.head = nn.Linear(FEATURES, classes) if classes else nn.Identity()
        self.apply(_initialise)

    def forward_map(self, images_NCHW: Tensor) -> Tensor:
        """The last feature map, float32 (N, 1024, H/32, W/32), never negative."""
        map_NCHW = self.conv2(self.conv2_reduce(self.pool1(self.conv1(images_NCHW))))
        last_NCHW: Tensor = self.blocks(self.pool2(map_NCHW))
        return last_NCHW

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits, or features where there are no classes.

        Args:
            images_NCHW: float32 (N, 3, H, W), in the channel order and range of the card's program. The
                form of Caffe takes no size whose map is odd before 3c or 4e; multiples of 32 are even there.

        Returns:
            float32 (N, classes), or (N, 1024), never negative.

        Raises:
            BadRequest: the branches of a module that halves give different sizes.
        """
        logits_NC: Tensor = self.head(self.dropout(self.forward_map(images_NCHW).mean(dim=(2, 3))))
        return logits_NC


class Inception(nn.Module):
    """One module: up to four branches side by side; the map is halved where there is no 1x1 branch."""

    def __init__(self, inputs: int, row: Row, form: Form) -> None:
        super().__init__()
        stride = 1 if row.one else 2
        self.one = Unit(inputs, row.one, 1, 1, form) if row.one else None
        self.three_reduce = Unit(inputs, row.three[0], 1, 1, form)
        self.three = Unit(*row.three, 3, stride, form)
        self.double_reduce = Unit(inputs, row.double[0], 1, 1, form)
        self.double1 = Unit(*row.double, 3, 1, form)
        self.double2 = Unit(row.double[1], row.double[1], 3, stride, form)
        self.pool: nn.Module
        if stride == 2:
            self.pool = _halving_pool(form)
        elif row.pool == "max":
            self.pool = SameMaxPool(1)
        else:
            self.pool = SameAveragePool(1, "left out" if form.same else "zeros")
        self.projection = Unit(inputs, row.projection, 1, 1, form) if row.projection else None

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32, never negative, from the map of the module before."""
        branches = [] if self.one is None else [self.one(map_NCHW)]
        branches.append(self.three(self.three_reduce(map_NCHW)))
        branches.append(self.double2(self.double1(self.double_reduce(map_NCHW))))
        pooled_NCHW = self.pool(map_NCHW)
        branches.append(pooled_NCHW if self.projection is None else self.projection(pooled_NCHW))
        if branches[0].shape[2:] != pooled_NCHW.shape[2:]:
            raise BadRequest(
                f"Inception v2 in the form of Caffe cannot halve a map of {map_NCHW.shape[2]} by "
                f"{map_NCHW.shape[3]}; give images whose height and width are multiples of 32."
            )
        return torch.cat(branches, dim=1)


class Unit(nn.Module):
    """Convolution, BatchNorm, ReLU.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        kernel: height and width of the convolution.
        stride: its step.
        form: biases, BatchNorm and padding.
        separable: eight filters for each channel by itself, then a 1x1 convolution with a bias; the
            authors of slim normalise its plain convolutions only.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, form: Form, *, separable: bool = False
    ) -> None:
        super().__init__()
        self.depthwise: nn.Module = nn.Identity()
        if separable:
            self.depthwise = SameConv2d(inputs, inputs * 8, kernel, stride, groups=inputs)
            inputs, kernel, stride = inputs * 8, 1, 1
        bias = form.bias or separable
        self.conv: nn.Conv2d
        if form.same:
            self.conv = SameConv2d(inputs, outputs, kernel, stride, bias=bias)
        else:
            self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias)
        self.norm: nn.Module = nn.Identity() if separable else _norm(outputs, form)

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """float32, never negative."""
        return torch.relu(self.norm(self.conv(self.depthwise(map_NCHW))))


class CaffeMaxPool(nn.Module):
    """The largest of 3x3 pixels, every second one; a window that sticks out at the end counts too."""

    def forward(self, map_NCHW: Tensor) -> Tensor:
        """(N, C, ceil((H - 1) / 2), ceil((W - 1) / 2)), float32."""
        return functional.max_pool2d(map_NCHW, 3, 2, ceil_mode=True)


def _norm(channels: int, form: Form) -> nn.Module:
    norm = nn.BatchNorm2d(channels, form.epsilon, form.momentum)
    if not form.scale:
        del norm.weight
        norm.register_buffer("weight", torch.ones(channels), persistent=False)
    return norm


def _halving_pool(form: Form) -> nn.Module:
    return SameMaxPool(2) if form.same else CaffeMaxPool()


CAFFE_STEM = {
    "conv1": "conv1_7x7_s2",
    "conv2_reduce": "conv2_3x3_reduce",
    "conv2": "conv2_3x3",
}
CAFFE_BRANCHES = {
    "one": "1x1",
    "three_reduce": "3x3_reduce",
    "three": "3x3",
    "double_reduce": "double_3x3_reduce",
    "double1": "double_3x3_1",
    "double2": "double_3x3_2",
    "projection": "pool_proj",
}


def caffe_names() -> dict[str, str]:
    """From each of our modules that has tensors to its name in the public `bn_inception` weights."""
    units = dict(CAFFE_STEM)
    for row in FORMS["caffe"].rows:
        for ours, theirs in CAFFE_BRANCHES.items():
            if (ours != "one" or row.one) and (ours != "projection" or row.projection):
                units[f"blocks.{row.name}.{ours}"] = f"inception_{row.name}_{theirs}"
    names = {f"{ours}.conv": theirs for ours, theirs in units.items()}
    names |= {f"{ours}.norm": f"{theirs}_bn" for ours, theirs in units.items()}
    return {**names, "head": "last_linear"}


def _initialise(module: nn.Module) -> None:
    """The paper does not say; normal over the fan in (He et al., 2015), biases zero."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
