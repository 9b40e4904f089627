"""What goes into each layer of an ONNX graph: the patches that its weights meet, as their second moments.

Shape suffixes: P patches, K values of a patch (channels of the group x kernel), O outputs, G groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array

PATCHES = 256
"""Patches of an image that a layer's moments are made of: neighbours say the same."""
LARGEST = 4608
"""Values of a patch beyond which a layer is left out: 512 channels under a 3x3 kernel. Work grows with the
cube, memory with the square."""


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """A layer that multiplies what comes in with constant weights.

    Attributes:
        name: of the node.
        source: the value that comes in.
        weights: name of the constant: (O, C / G, kh, kw) of a convolution, (O, K) or (K, O) of a product.
        bias: name of the constant; None where there is none.
        outputs_last: the weights are (K, O).
        groups: G; 1 of a product.
        kernel: (kh, kw); None of a product.
        strides: of a convolution.
        dilations: of a convolution.
        pads: (top, left, bottom, right).
    """

    name: str
    source: str
    weights: str
    bias: str | None
    outputs_last: bool = False
    groups: int = 1
    kernel: tuple[int, int] | None = None
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    def rows(self, weights: Array) -> Array:
        """Weights as (G, O / G, K)."""
        matrix = weights.T if self.outputs_last else weights.reshape(len(weights), -1)
        return matrix.reshape(self.groups, -1, matrix.shape[1])

    def as_before(self, rows: Array, shape: Sequence[int]) -> Array:
        """The inverse of `rows`."""
        matrix = rows.reshape(-1, rows.shape[-1])
        return np.ascontiguousarray(matrix.T if self.outputs_last else matrix.reshape(tuple(shape)))


@dataclass(slots=True, eq=False)
class Moments:
    """Of the patches of one layer.

    Attributes:
        second: float64 (G, K, K), sums of products.
        first: float64 (G, K), sums.
        count: patches of each group.
    """

    second: Array
    first: Array
    count: int = 0

    def add(self, patches_GPK: Array) -> None:
        """Take in more patches."""
        self.second += np.einsum("gpk,gpl->gkl", patches_GPK, patches_GPK, optimize=True)
        self.first += patches_GPK.sum(1)
        self.count += patches_GPK.shape[1]


def weighted_layers(model: Any) -> tuple[Weighted, ...]:
    """The convolutions over two axes and products of a float model whose weights are constants."""
    constants = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or len(node.input) < 2:
            continue
        shape = constants.get(node.input[1])
        if shape is None or node.input[0] in constants:
            continue
        layer = _convolution(node, shape) if node.op_type == "Conv" else _product(node, shape)
        if layer is not None and (layer.bias is None or layer.bias in constants):
            found.append(layer)
    return tuple(found)


def with_inputs_told(model: Any, found: Sequence[Weighted]) -> Any:
    """A copy of a model that gives what goes into some layers, too, beside its own outputs."""
    import onnx

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    told = {value.name for value in (*model.graph.output, *model.graph.input)}
    for name in dict.fromkeys(layer.source for layer in found):
        if name not in told:
            copied.graph.output.append(onnx.ValueInfoProto(name=name))
    return copied


def moments_of(model: Any, batches: Iterable[Array], folder: Path, seed: int = 0) -> dict[str, Moments]:
    """The second moments of what goes into each layer of a float model.

    Args:
        model: `onnx.ModelProto`, its nodes with names.
        batches: prepared images, one each, (1, ...).
        folder: for the graph that tells its inner values.
        seed: of the draw of patches.

    Returns:
        By name of the node; layers with patches of more than `LARGEST` values are left out.
    """
    import onnx
    import onnxruntime

    layers = [layer for layer in weighted_layers(model) if _width(model, layer) <= LARGEST]
    path = folder / "told.onnx"
    onnx.save(with_inputs_told(model, layers), path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    names = [name for name in dict.fromkeys(layer.source for layer in layers) if name != entry]
    random = np.random.default_rng(seed)
    found: dict[str, Moments] = {}
    for batch in batches:
        # Asked for no names it would tell all of its outputs.
        told = session.run(names, {entry: batch}) if names else []
        values = {entry: batch, **dict(zip(names, told, strict=True))}
        for layer in layers:
            patches = patches_of(layer, np.asarray(values[layer.source]), random)
            groups, _, width = patches.shape
            kept = found.setdefault(
                layer.name, Moments(np.zeros((groups, width, width)), np.zeros((groups, width)))
            )
            kept.add(patches)
    return found


def patches_of(layer: Weighted, value: Array, random: np.random.Generator) -> Array:
    """Some of the patches that a layer's weights meet, float64 (G, P, K).

    Args:
        layer: whose weights.
        value: what comes in: (N, C, H, W) of a convolution, (..., K) of a product.
        random: draws them.
    """
    if layer.kernel is None:
        rows = value.reshape(-1, value.shape[-1]).astype(np.float64)
        return rows[_some(len(rows), random)][None]
    top, left, bottom, right = layer.pads
    padded = np.pad(value[0], ((0, 0), (top, bottom), (left, right)))
    reach = [(side - 1) * step + 1 for side, step in zip(layer.kernel, layer.dilations, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))
    windows = windows[
        :, :: layer.strides[0], :: layer.strides[1], :: layer.dilations[0], :: layer.dilations[1]
    ]
    channels, height, width = windows.shape[:3]
    places = _some(height * width, random)
    picked = windows[:, places // width, places % width].astype(np.float64)
    grouped = picked.reshape(layer.groups, channels // layer.groups, len(places), -1)
    return grouped.transpose(0, 2, 1, 3).reshape(layer.groups, len(places), -1)


def _some(count: int, random: np.random.Generator) -> Array:
    return random.choice(count, min(count, PATCHES), replace=False)


def _width(model: Any, layer: Weighted) -> int:
    dims = next(tuple(one.dims) for one in model.graph.initializer if one.name == layer.weights)
    return int(dims[0]) if layer.outputs_last else int(np.prod(dims[1:]))


def _convolution(node: Any, shape: tuple[int, ...]) -> Weighted | None:
    """A convolution over two axes whose padding is stated in numbers."""
    given = {attribute.name: attribute for attribute in node.attribute}
    padding = given["auto_pad"].s if "auto_pad" in given else b"NOTSET"
    if len(shape) != 4 or padding not in (b"", b"NOTSET"):
        return None

    def whole(name: str, usual: list[int]) -> tuple[int, ...]:
        return tuple(given[name].ints) if name in given else tuple(usual)

    return Weighted(
        name=node.name,
        source=node.input[0],
        weights=node.input[1],
        bias=node.input[2] if len(node.input) > 2 and node.input[2] else None,
        groups=given["group"].i if "group" in given else 1,
        kernel=(shape[2], shape[3]),
        strides=whole("strides", [1, 1]),  # type: ignore[arg-type]
        dilations=whole("dilations", [1, 1]),  # type: ignore[arg-type]
        pads=whole("pads", [0, 0, 0, 0]),  # type: ignore[arg-type]
    )


def _product(node: Any, shape: tuple[int, ...]) -> Weighted | None:
    """A product of two matrices as it stands: no scales of its own, what comes in not turned."""
    given = {attribute.name: attribute for attribute in node.attribute}
    plain = all(name not in given or given[name].f == 1.0 for name in ("alpha", "beta"))
    turned = "transA" in given and given["transA"].i
    if len(shape) != 2 or not plain or turned:
        return None
    outputs_first = node.op_type == "Gemm" and "transB" in given and bool(given["transB"].i)
    bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
    return Weighted(
        name=node.name,
        source=node.input[0],
        weights=node.input[1],
        bias=bias,
        outputs_last=not outputs_first,
    )
