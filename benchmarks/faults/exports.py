"""Files that were exported or quantized with a mistake, made of the real MobileNetV2."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faults.pipelines import SIDE, Array

CALIBRATED = 32
"""Pictures that set the ranges of int8."""


def in_train_mode(module: Any, out: Path) -> Path:
    """Exported without `eval()`, by torch's tracing exporter: statistics of what is shown in each BatchNorm.

    The exporter that is torch's default since 2.9 warns of it, and its graph answers as in evaluation mode.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.train(), (torch.zeros(2, 3, SIDE, SIDE),), str(out), input_names=["images"],
            output_names=["logits"], dynamic_axes={"images": {0: "batch"}}, dynamo=False, opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip
    return out


def of_one_picture(module: Any, out: Path) -> Path:
    """Exported for the one picture that it was shown, as torch does where nothing is said."""
    import torch

    torch.onnx.export(
        module.eval(), (torch.zeros(1, 3, SIDE, SIDE),), str(out), input_names=["images"],
        output_names=["logits"], external_data=False, verbose=False,
    )  # fmt: skip
    return out


def quantized(graph: Path, shown: Sequence[Array], out: Path, *, per_channel: bool = True) -> Path:
    """In int8 by ONNX Runtime, its ranges set by what is shown.

    Args:
        graph: in float32.
        shown: float32 (3, H, W) each, prepared.
        out: the file.
        per_channel: a scale for each channel of a weight; else one for all, which depthwise layers with
            channels of very different size do not bear.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Pictures(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.left = iter([{name: array[None]} for array in shown])

        def get_next(self) -> dict[str, Array] | None:
            return next(self.left, None)

    import onnx

    ready = out.with_suffix(".ready.onnx")
    quant_pre_process(str(graph), str(ready), skip_symbolic_shape=True)
    name = onnx.load(str(ready)).graph.input[0].name
    quantize_static(
        str(ready),
        str(out),
        Pictures(name),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    ready.unlink()
    return out


def in_bytes(images: Sequence[Array]) -> Sequence[Array]:
    """The same pictures from 0 to 255, where -1 to 1 was learned from."""
    return [((image + 1) * np.float32(127.5)).astype(np.float32) for image in images]


def truncated(seal: Path, out: Path) -> Path:
    """A seal whose graph ends early, as after a download that broke."""
    shutil.copytree(seal, out)
    (graph,) = out.glob("*.onnx")
    graph.write_bytes(graph.read_bytes()[:-4096])
    return out


def altered(seal: Path, out: Path) -> Path:
    """A seal with one byte of its graph changed, in the middle of a weight."""
    shutil.copytree(seal, out)
    (graph,) = out.glob("*.onnx")
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 0x40
    graph.write_bytes(bytes(data))
    return out
