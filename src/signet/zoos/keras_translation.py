"""One layer of Keras to the torch modules that do the same, its weights copied. See `keras_layers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from signet.errors import BadInput
from signet.zoos.keras_layers import (
    ACTIVATIONS,
    Affine,
    BatchNorm2d,
    ChannelLinear,
    ChannelNorm,
    ChannelScale,
    DropPath,
    Function,
    SameConv2d,
    SameMaxPool2d,
    Standardise,
    pair,
    required,
    value_of,
)

Translated = tuple[nn.Module, ...]
"""Modules that are applied one after the other; the first one takes all inputs of the layer."""


def translated(layer: Any, rank: int) -> Translated:
    """The modules that do what a layer, or an operation of a Keras graph, does.

    Args:
        layer: built, with its weights.
        rank: axes of its (first) input: 4 for maps, 2 for features.

    Raises:
        BadInput: a kind or a setting of a layer that is not translated.
    """
    kind = type(layer).__name__
    if kind not in _KINDS:
        raise BadInput(
            f"Keras layer {layer.name!r}: a layer of kind {kind} is not translated; known: "
            f"{', '.join(sorted(_KINDS))}."
        )
    stated = layer.get_config() if hasattr(layer, "get_config") else {}
    required(layer, stated, data_format="channels_last")
    modules: Translated = _KINDS[kind](layer, stated, rank)
    activation = stated.get("activation", "linear") if kind not in ("Activation",) else "linear"
    if activation != "linear":
        modules += (_activation(layer, stated, rank)[0],)
    return modules


def _convolution(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del rank
    kernel = value_of(layer.kernel).permute(3, 2, 0, 1)
    return (_conv(layer, stated, kernel, stated["groups"], layer.bias),)


def _depthwise(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del rank
    return (_conv(layer, stated, *_one_by_one(value_of(layer.kernel)), layer.bias),)


def _separable(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del rank
    depthwise = _conv(layer, stated, *_one_by_one(value_of(layer.depthwise_kernel)), None)
    plain = {**stated, "strides": (1, 1), "dilation_rate": (1, 1), "padding": "valid"}
    pointwise = _conv(layer, plain, value_of(layer.pointwise_kernel).permute(3, 2, 0, 1), 1, layer.bias)
    both = nn.Sequential()
    both.add_module("depthwise", depthwise)
    both.add_module("pointwise", pointwise)
    return (both,)


def _one_by_one(kernel_HWCM: Tensor) -> tuple[Tensor, int]:
    """(kernel as torch wants it for one group a channel, number of groups)."""
    height, width, channels, several = kernel_HWCM.shape
    return kernel_HWCM.reshape(height, width, 1, channels * several).permute(3, 2, 0, 1), channels


def _conv(layer: Any, stated: Mapping[str, Any], kernel: Tensor, groups: int, bias: Any) -> nn.Conv2d:
    required(layer, stated, padding=("same", "valid"))
    strides, dilation = pair(stated["strides"]), pair(stated["dilation_rate"])
    size = (kernel.shape[2], kernel.shape[3])
    reach = [(side - 1) * spread for side, spread in zip(size, dilation, strict=True)]
    symmetric = strides == (1, 1) and all(each % 2 == 0 for each in reach)
    plain = stated["padding"] == "valid" or symmetric
    made = (nn.Conv2d if plain else SameConv2d)(
        kernel.shape[1] * groups,
        kernel.shape[0],
        size,
        stride=strides,
        padding=(reach[0] // 2, reach[1] // 2) if stated["padding"] == "same" and symmetric else 0,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    made.weight = nn.Parameter(kernel.contiguous())
    if bias is not None:
        made.bias = nn.Parameter(value_of(bias))
    return made


def _dense(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    required(layer, stated, quantization_config=None, lora_rank=None)
    kernel_CF = value_of(layer.kernel)
    inputs, outputs = kernel_CF.shape
    kind = nn.Linear if rank == 2 else ChannelLinear
    made = kind(inputs, outputs, bias=layer.use_bias, device="meta")
    made.weight = nn.Parameter(kernel_CF.t().contiguous())
    if layer.use_bias:
        made.bias = nn.Parameter(value_of(layer.bias))
    return (made,)


def _batch_norm(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    required(layer, stated, axis=(rank - 1, -1), renorm=False, synchronized=False)
    _maps_only(layer, rank)
    return (BatchNorm2d(layer),)


def _layer_norm(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    required(layer, stated, axis=([-1], -1, [rank - 1]), rms_scaling=False, center=True, scale=True)
    gamma = value_of(layer.gamma)
    made = (nn.LayerNorm if rank == 2 else ChannelNorm)(len(gamma), eps=layer.epsilon)
    made.weight, made.bias = nn.Parameter(gamma), nn.Parameter(value_of(layer.beta))
    return (made,)


def _activation(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del rank
    name = stated["activation"]
    required(layer, stated, activation=tuple(ACTIVATIONS))
    return (Function(ACTIVATIONS[name]),)


def _relu(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del rank
    required(layer, stated, max_value=(None, 6.0), negative_slope=0.0, threshold=0.0)
    return (Function("relu" if stated["max_value"] is None else "relu6"),)


def _max_pool(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del rank
    required(layer, stated, padding=("same", "valid"))
    kind = SameMaxPool2d if stated["padding"] == "same" else nn.MaxPool2d
    return (kind(pair(stated["pool_size"]), pair(stated["strides"])),)


def _average_pool(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del rank
    size, strides = pair(stated["pool_size"]), pair(stated["strides"])
    same = stated["padding"] == "same"
    if same:
        required(layer, {"strides": strides}, strides=((1, 1),))
        required(layer, {"pool_size": size}, pool_size=((1, 1), (3, 3), (5, 5), (7, 7)))
    padding = (size[0] // 2, size[1] // 2) if same else 0
    return (nn.AvgPool2d(size, strides, padding=padding, count_include_pad=False),)


def _global_average(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    _maps_only(layer, rank)
    return (Function("mean_map" if stated["keepdims"] else "mean"),)


def _padding(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del layer, rank
    rows, columns = stated["padding"]
    return (Function("pad", (*columns, *rows)),)


def _cropping(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del layer, rank
    rows, columns = stated["cropping"]
    return (Function("pad", tuple(-side for side in (*columns, *rows))),)


def _reshape(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    target = tuple(stated["target_shape"])
    if rank == 4 and len(target) == 1:
        required(layer, {"input": tuple(layer.input.shape[1:3])}, input=((1, 1),))
        return (Function("flatten"),)
    if rank == 2 and target[:2] == (1, 1):
        return (Function("to_map"),)
    raise BadInput(f"Keras layer {layer.name!r}: a Reshape to {target} is not translated.")


def _dropout(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    shape = stated["noise_shape"]
    if shape is None:
        return (nn.Dropout(stated["rate"]),)
    required(layer, {"noise_shape": tuple(shape)}, noise_shape=((None, 1, 1, 1),))
    _maps_only(layer, rank)
    return (DropPath(stated["rate"]),)


def _normalization(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    _maps_only(layer, rank)
    required(layer, stated, invert=False, axis=((3,), (-1,), -1, 3))
    mean, variance = (value.detach().clone().float().reshape(-1) for value in (layer.mean, layer.variance))
    return (Standardise(mean, variance),)


def _rescaling(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del stated, rank
    return (Affine(layer.scale, layer.offset),)


def _concatenate(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    _maps_only(layer, rank)
    required(layer, stated, axis=(3, -1))
    return (Function("concatenate"),)


def _scaled_sum(layer: Any, stated: Mapping[str, Any], rank: int) -> Translated:
    del layer, rank
    return (Function("scaled_sum", float(stated["scale"])),)


def _maps_only(layer: Any, rank: int) -> None:
    required(layer, {"input rank": rank}, **{"input rank": 4})


def _function(kind: str) -> Callable[[Any, Mapping[str, Any], int], Translated]:
    def made(*_: Any) -> Translated:
        return (Function(kind),)

    return made


_KINDS: Mapping[str, Callable[[Any, Mapping[str, Any], int], Translated]] = {
    "Activation": _activation,
    "Add": _function("sum"),
    "AveragePooling2D": _average_pool,
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _convolution,
    "Cropping2D": _cropping,
    "CustomScaleLayer": _scaled_sum,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Dropout": _dropout,
    "Flatten": _function("flatten"),
    "GlobalAveragePooling2D": _global_average,
    "LayerNormalization": _layer_norm,
    "LayerScale": lambda layer, *_: (ChannelScale(value_of(layer.gamma)),),
    "MaxPooling2D": _max_pool,
    "Multiply": _function("product"),
    "Normalization": _normalization,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "SeparableConv2D": _separable,
    "ZeroPadding2D": _padding,
}
