"""A network small enough to be computed by hand, and pictures to show to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signet.arrays import Array, Floats
from signet.errors import MissingExtra
from signet.images import Image
from signet.networks import GraphFile

SHAPES: Mapping[str, tuple[int, ...]] = {
    "kernel": (8, 3, 3, 3),
    "bias": (8,),
    "head": (5, 8),
    "head_bias": (5,),
}


@dataclass(frozen=True, slots=True)
class TinyNetwork:
    """A convolution, a rectifier, the mean over all positions (the features), and a linear head.

    Attributes:
        weights: float32 arrays: `kernel` (8, 3, 3, 3), `bias` (8,), `head` (5, 8), `head_bias` (5,).
    """

    weights: Mapping[str, Array]

    @classmethod
    def made(cls) -> TinyNetwork:
        """With the same weights each time."""
        random = np.random.default_rng(11)
        return cls({name: random.normal(0, 0.5, shape).astype("f4") for name, shape in SHAPES.items()})

    def answer(self, images: Floats) -> dict[str, Array]:
        """What any engine must find: `logits` (N, 5) and `features` (N, 8) of float32 (N, 3, H, W).

        The convolution has a stride of 2 and no padding.
        """
        windows = np.lib.stride_tricks.sliding_window_view(images.astype("f8"), (3, 3), axis=(2, 3))
        maps = np.einsum("nchwij,ocij->nohw", windows[:, :, ::2, ::2], self.weights["kernel"])
        features = np.maximum(maps + self.weights["bias"][:, None, None], 0).mean(axis=(2, 3))
        logits = features @ self.weights["head"].T + self.weights["head_bias"]
        return {"logits": logits.astype("f4"), "features": features.astype("f4")}

    def write(self, to: Path) -> GraphFile:
        """As an ONNX graph with free batch, height and width.

        Raises:
            MissingExtra: `onnx` is not installed.
        """
        try:
            import onnx
            from onnx import TensorProto, helper, numpy_helper
        except ImportError as error:
            raise MissingExtra("The network of the contract suite", "fit", "onnx") from error
        nodes = [
            helper.make_node("Conv", ["images", "kernel", "bias"], ["maps"], strides=[2, 2]),
            helper.make_node("Relu", ["maps"], ["positive"]),
            helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
            helper.make_node("Gemm", ["features", "head", "head_bias"], ["logits"], transB=1),
        ]
        shapes = {"images": ["batch", 3, "height", "width"], "logits": ["batch", 5], "features": ["batch", 8]}
        ports = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
        ]
        constants = [numpy_helper.from_array(array, name) for name, array in self.weights.items()]
        graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), to)
        return GraphFile(to, "onnx", hashlib.sha256(to.read_bytes()).hexdigest())


def made_images(count: int) -> list[Image]:
    """Procedural pictures of odd sizes, the same ones each time."""
    images = []
    for place in range(count):
        random = np.random.default_rng(place)
        height, width = 20 + 7 * (place % 5), 41 - 5 * (place % 7)
        tiles = random.integers(0, 256, (height // 5 + 1, width // 5 + 1, 3), np.uint8)
        pixels = tiles.repeat(5, axis=0).repeat(5, axis=1)[:height, :width]
        images.append(Image(pixels, f"made {place}"))
    return images
