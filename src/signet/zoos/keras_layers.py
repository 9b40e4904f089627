"""Layers of Keras as torch modules: the same function, with torch's own layers where they exist.

Keras's own layers run on torch too, but hold their weights twice and their running statistics as parameters:
nothing that freezes layers, replaces heads or traces graphs could trust them. Images go through as NCHW, the
order of the weights' channels is unchanged.

A layer, or a setting of a layer, that is not known here is refused: none is guessed.

Shape suffixes: N images, C channels, H rows, W columns, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from signet.errors import BadInput

EPSILON = 1e-7
"""Source: keras `backend.epsilon()`, below which `Normalization` divides by no deviation."""


class SameConv2d(nn.Conv2d):
    """A convolution with stride that pads as TensorFlow does: the odd row below, the odd column right."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, F, ceil(H / stride), ceil(W / stride))."""
        pads = same_padding(input, self.kernel_size, self.stride, self.dilation)
        return super().forward(functional.pad(input, pads) if any(pads) else input)


class SameMaxPool2d(nn.MaxPool2d):
    """A max pooling that pads as TensorFlow does; edges are repeated, which no maximum sees."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        pads = same_padding(input, pair(self.kernel_size), pair(self.stride), (1, 1))
        pooled: Tensor = super().forward(
            functional.pad(input, pads, mode="replicate") if any(pads) else input
        )
        return pooled


class BatchNorm2d(nn.BatchNorm2d):
    """A batch normalisation that may have no scale, or no shift, to learn.

    Keras weighs the moving statistics by `momentum`, torch the new ones. In training, torch's moving variance
    is the unbiased one (n / (n - 1) of Keras's).
    """

    def __init__(self, layer: Any) -> None:
        super().__init__(layer.moving_mean.shape[0], eps=layer.epsilon, momentum=1 - layer.momentum)
        for name, variable in (("weight", layer.gamma), ("bias", layer.beta)):
            value = getattr(self, name).detach() if variable is None else value_of(variable)
            if variable is None:
                delattr(self, name)
                self.register_buffer(name, value, persistent=False)
            else:
                setattr(self, name, nn.Parameter(value))
        self.running_mean, self.running_var = value_of(layer.moving_mean), value_of(layer.moving_variance)


class ChannelLinear(nn.Linear):
    """A linear layer over the channels of a map: (N, C, H, W) to (N, F, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ChannelNorm(nn.LayerNorm):
    """A layer normalisation over the channels of a map (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ChannelScale(nn.Module):
    """A learned factor for each channel (ConvNeXt's layer scale)."""

    def __init__(self, gamma_C: Tensor) -> None:
        super().__init__()
        self.gamma = nn.Parameter(gamma_C)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return maps * self.gamma[:, None, None]


class Standardise(nn.Module):
    """`(x - mean) / deviation` for each channel, inside the network; nothing of it is learned."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean_C: Tensor, variance_C: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean_C.reshape(-1, 1, 1))
        self.register_buffer("deviation", variance_C.reshape(-1, 1, 1).sqrt().clamp(min=EPSILON))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return (maps - self.mean) / self.deviation


class Affine(nn.Module):
    """`x * scale + offset` with constants: a number, as exact as Python holds it, or one for each channel."""

    scale: Tensor | float
    offset: Tensor | float

    def __init__(self, scale: Any, offset: Any) -> None:
        super().__init__()
        for name, constant in (("scale", scale), ("offset", offset)):
            if isinstance(constant, int | float):
                setattr(self, name, float(constant))
            else:
                value = torch.as_tensor(constant, dtype=torch.float32).reshape(-1, 1, 1)
                self.register_buffer(name, value, persistent=False)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"scale={self.scale}, offset={self.offset}" if isinstance(self.scale, float) else ""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return maps * self.scale + self.offset


class DropPath(nn.Module):
    """Leaves out a whole branch for some images of a batch, while training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        if not self.training or not self.rate:
            return maps
        kept = torch.empty(len(maps), 1, 1, 1, device=maps.device).bernoulli_(1 - self.rate)
        return maps * (kept / (1 - self.rate)).to(maps.dtype)


class Function(nn.Module):
    """A layer without weights: a function of one tensor or several, told by name and constants."""

    def __init__(self, kind: str, *constants: Any) -> None:
        super().__init__()
        self.kind, self.constants = kind, constants

    def extra_repr(self) -> str:
        """What `print` shows."""
        return ", ".join([self.kind, *map(str, self.constants)])

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the function says."""
        return FUNCTIONS[self.kind](*inputs, *self.constants)


def _sum(*parts: Any) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _product(*parts: Any) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total * part
    return total


FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "linear": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": functional.hardsigmoid,
    "hard_swish": functional.hardswish,
    "sum": _sum,
    "product": _product,
    "scaled_sum": lambda x, y, scale: x + y * scale,
    "concatenate": lambda *parts: torch.cat(parts, dim=1),
    "pad": functional.pad,
    "mean": lambda x: x.mean(dim=(2, 3)),
    "mean_map": lambda x: x.mean(dim=(2, 3), keepdim=True),
    # Keras flattens (H, W, C), and the weights behind it are in that order.
    "flatten": lambda x: x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x,
    "to_map": lambda x: x[:, :, None, None],
}
ACTIVATIONS = {
    "linear": "linear",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "sigmoid": "sigmoid",
    "hard_sigmoid": "hard_sigmoid",
    "hard_silu": "hard_swish",
    "hard_swish": "hard_swish",
}


def same_padding(
    maps: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[int, int, int, int]:
    """(left, right, above, below) to add so that the output has ceil(side / stride) rows and columns.

    Source: TensorFlow, `tf.nn.convolution`, padding "SAME".
    """
    pads = []
    for axis in (1, 0):
        side = int(maps.shape[2 + axis])
        reach = (kernel[axis] - 1) * dilation[axis] + 1
        total = max((-(-side // stride[axis]) - 1) * stride[axis] + reach - side, 0)
        pads += [total // 2, total - total // 2]
    return pads[0], pads[1], pads[2], pads[3]


def value_of(variable: Any) -> Tensor:
    """A copy of a Keras variable's value: float32, on the CPU, without gradient."""
    value: Tensor = variable.value.detach().to("cpu", torch.float32).clone()
    return value


def pair(value: Any) -> tuple[int, int]:
    """One number for both axes, or two."""
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)


def required(layer: Any, stated: Mapping[str, Any], **expected: Any) -> None:
    """Refuse a layer that has one of its settings at another value than those that are translated.

    Raises:
        BadInput: naming layer, setting and value.
    """
    for key, value in expected.items():
        allowed = value if isinstance(value, tuple) else (value,)
        got = stated.get(key, allowed[0])
        if got not in allowed:
            raise BadInput(
                f"Keras layer {layer.name!r} ({type(layer).__name__}): expected {key} "
                f"{' or '.join(map(repr, allowed))}, got {got!r}; this version does not translate it."
            )
