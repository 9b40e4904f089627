"""Which way each weight is rounded: so that the layer's answer stays, not so that the weight does.

Rounded to nearest, each weight is off by at most half a step; but what comes into a layer is anything but
noise: neighbouring pixels are alike, and all are above zero after a ReLU. Errors that such inputs add up are
taken back in the weights that are rounded after, by the inputs' second moments.

Shape suffixes: K values of a patch, O outputs, G groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.compression.layer_inputs import Moments, Weighted, weighted_layers

DAMPING = 0.01
"""Share of the mean of the diagonal that is added to it, so that directions that no image showed stay still.
Source: E. Frantar et al., arXiv:2210.17323 (2022), section 3.3, step 2."""
GREATEST = 127
"""The codes are symmetric: -127 to 127."""


def rounded(quantized: Any, original: Any, moments: Mapping[str, Moments]) -> Any:
    """A copy of a quantized model whose weights are rounded so that the layers' answers stay.

    Scales, ranges and everything else stay as they are. An output is taken only where it errs less than
    before on the moments; its bias is the original's and the mean of the error that is left.

    Args:
        quantized: an `onnx.ModelProto` with weights in int8 behind `DequantizeLinear`.
        original: the model that it was made of.
        moments: of what goes into its layers, by name of the node.

    Source: E. Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
        Transformers", arXiv:2210.17323 (2022), equations 2 and 3; the bias: M. Nagel et al., "Data-Free
        Quantization Through Weight Equalization and Bias Correction", arXiv:1906.04721 (2019), section 4.2.
    """
    import onnx
    from onnx import numpy_helper

    found = onnx.ModelProto()
    found.CopyFrom(quantized)
    floats = {tensor.name: tensor for tensor in original.graph.initializer}
    constants = {tensor.name: tensor for tensor in found.graph.initializer}
    makers = {output: node for node in found.graph.node for output in node.output}
    nodes = {node.name: node for node in found.graph.node}
    for layer in weighted_layers(original):
        node, known = nodes.get(layer.name), moments.get(layer.name)
        maker = None if node is None else makers.get(node.input[1])
        codes = None if maker is None else _codes(maker, constants)
        if node is None or maker is None or codes is None or known is None:
            continue
        scales = numpy_helper.to_array(constants[maker.input[1]]).astype(np.float64).reshape(-1)
        wanted = numpy_helper.to_array(floats[layer.weights])
        if codes.shape != wanted.shape or len(scales) not in (1, wanted.shape[_axis(layer, wanted)]):
            continue
        better, shift = _better(layer, wanted, codes, scales, known)
        constants[maker.input[0]].CopyFrom(numpy_helper.from_array(better, maker.input[0]))
        bias = constants.get(node.input[2]) if len(node.input) > 2 else None
        if bias is not None and layer.bias is not None and bias.data_type == onnx.TensorProto.FLOAT:
            moved = numpy_helper.to_array(floats[layer.bias]) + shift.astype(np.float32)
            bias.CopyFrom(numpy_helper.from_array(moved, bias.name))
    return found


def rounded_rows(wanted_OK: Array, scales_O: Array, second_KK: Array) -> Array:
    """Codes of the rows of a matrix, float64 (O, K), whole numbers from -127 to 127.

    Args:
        wanted_OK: float64.
        scales_O: float64, what a code of 1 stands for.
        second_KK: float64, the mean of the products of what the rows are multiplied with.
    """
    width = len(second_KK)
    diagonal = second_KK.diagonal()
    # What was zero in every image has no part in any answer; some number must stand there all the same.
    ridge = DAMPING * float(diagonal.mean()) or 1.0
    inverse = np.linalg.inv(second_KK + ridge * np.eye(width))
    upper = np.linalg.cholesky((inverse + inverse.T) / 2).T
    left = wanted_OK.copy()
    codes = np.zeros_like(left)
    for place in range(width):
        column = left[:, place]
        codes[:, place] = np.clip(np.rint(column / scales_O), -GREATEST, GREATEST)
        error = (column - codes[:, place] * scales_O) / upper[place, place]
        left[:, place + 1 :] -= np.outer(error, upper[place, place + 1 :])
    return codes


def _better(
    layer: Weighted, wanted: Array, codes: Array, scales: Array, known: Moments
) -> tuple[Array, Array]:
    """(codes, each output's as they stood or rounded anew, whichever errs less; what the bias gains)."""
    rows_GOK = layer.rows(wanted.astype(np.float64))
    before_GOK = layer.rows(codes).astype(np.float64)
    groups, outputs, _ = rows_GOK.shape
    scales_GO = np.broadcast_to(scales, groups * outputs).reshape(groups, outputs)
    chosen = before_GOK.copy()
    for group in range(groups):
        second = known.second[group] / known.count
        after = rounded_rows(rows_GOK[group], scales_GO[group], second)
        errs = [
            _error(rows_GOK[group] - one * scales_GO[group][:, None], second)
            for one in (before_GOK[group], after)
        ]
        taken = errs[1] < errs[0]
        chosen[group][taken] = after[taken]
    apart = rows_GOK - chosen * scales_GO[..., None]
    shift = np.einsum("gok,gk->go", apart, known.first / known.count).reshape(-1)
    return layer.as_before(chosen.astype(codes.dtype), codes.shape), shift


def _error(apart_OK: Array, second_KK: Array) -> Array:
    """Mean of the squared error of each output."""
    found: Array = np.einsum("ok,ok->o", apart_OK @ second_KK, apart_OK)
    return found


def _codes(maker: Any, constants: Mapping[str, Any]) -> Array | None:
    """Weights in int8 whose zero is 0; None for anything else."""
    from onnx import numpy_helper

    stored = constants.get(maker.input[0]) if maker.op_type == "DequantizeLinear" else None
    if stored is None or maker.input[1] not in constants:
        return None
    codes = numpy_helper.to_array(stored)
    if codes.dtype != np.int8:
        return None
    if len(maker.input) > 2 and maker.input[2]:
        zero = constants.get(maker.input[2])
        if zero is None or numpy_helper.to_array(zero).any():
            return None
    return np.asarray(codes)


def _axis(layer: Weighted, weights: Array) -> int:
    """Which axis of the weights is the outputs'."""
    return weights.ndim - 1 if layer.outputs_last else 0
