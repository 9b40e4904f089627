"""The public network that the starter learns from, run by OpenVINO on one thread.

Shape suffixes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import timm
import torch
from torch import Tensor, nn

SIZE = 128


@dataclass(frozen=True)
class Answers:
    """What the teacher says of a batch.

    Attributes:
        logits: float32 (N, 1000).
        features: float32 (N, 1280), after pooling, what its classifier sees.
        maps: float32 (N, 320, 4, 4), the last narrow map, before it is widened and pooled.
    """

    logits: Tensor
    features: Tensor
    maps: Tensor


class Teacher:
    """A MobileNetV2 of a folder with `config.json` and `model.safetensors`.

    Args:
        folder: that folder; its input must be normalised with mean 0.5 and deviation 0.5, as the crops are.
        precision: "bf16" or "f32"; bf16 is half the time on processors that have it.
        threads: how many the engine may use.
    """

    def __init__(self, folder: Path, precision: str = "bf16", threads: int = 1) -> None:
        config = json.loads((folder / "config.json").read_text())
        expected = config["pretrained_cfg"]
        if expected["mean"] != [0.5] * 3 or expected["std"] != [0.5] * 3:
            raise SystemExit(f"The teacher in {folder} wants another normalisation than the crops have.")
        self.name = str(config["architecture"]) + "." + str(expected["tag"])
        module = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        example = torch.zeros(2, 3, SIZE, SIZE)
        graph = openvino.convert_model(_Outputs(module), example_input=example, input=[-1, 3, SIZE, SIZE])
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
        }
        self._compiled = openvino.Core().compile_model(graph, "CPU", settings)

    def __call__(self, images_NCHW: Tensor) -> Answers:
        """Answers for float32 (N, 3, 128, 128) of -1 to 1."""
        results = self._compiled(np.ascontiguousarray(images_NCHW.numpy()))
        logits, features, maps = (torch.from_numpy(np.array(value)) for value in results.values())
        return Answers(logits, features, maps)


class _Outputs(nn.Module):
    """timm's MobileNetV2, with its inner maps as outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        network: Any = self.network
        maps = network.blocks(network.bn1(network.conv_stem(images_NCHW)))
        features = network.bn2(network.conv_head(maps)).mean(dim=(2, 3))
        return network.classifier(features), features, maps
