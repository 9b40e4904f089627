"""A classifier of colours that int8 bears, one that is built to collapse, and pictures to judge by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import signet
from signet.compression import Compressed, CompressSettings, compress
from signet.datasets import Dataset, open_dataset
from signet.engines.contract import EngineSettings
from signet.seals import Seal

LABELS = ("blue", "green", "red")
SIDE = 16
OUTLIER = 4000.0
"""What one channel is next to the others, which lie between 0 and 1: a step of int8 over it is 16."""


@dataclass(frozen=True)
class Place:
    """Seals and pictures for all tests of this folder."""

    root: Path
    data: Dataset
    others: Path

    def seal(self, name: str) -> Path:
        """`plain` or `outlier`."""
        return self.root / f"{name}.signet"

    def settings(self, **changes: object) -> CompressSettings:
        """On one thread, calibrated on `others`."""
        given = {
            "calibration": sorted(self.others.iterdir()),
            "running": EngineSettings(threads=1, cache=self.root / "cache"),
        }
        return CompressSettings(**(given | changes))


def network(outlier: float) -> onnx.ModelProto:
    """1x1 convolutions: colours beside a channel of another size, then each label's colour less the others.

    The second convolution does not look at the odd channel, yet a range for all channels must hold it.
    """
    first = np.zeros((4, 3, 1, 1), np.float32)
    first[:3, :, 0, 0] = np.eye(3)
    first[3, :, 0, 0] = outlier
    second = np.zeros((3, 4, 1, 1), np.float32)
    second[:, :3, 0, 0] = (1.5 * np.eye(3) - 0.5)[::-1] * 8
    weights = {"first": first, "second": second, "bias": np.array([0.1, 0, 0], np.float32)}
    nodes = [
        helper.make_node("Conv", ["images", "first"], ["maps"], name="spread"),
        helper.make_node("Relu", ["maps"], ["positive"], name="positive"),
        helper.make_node("Conv", ["positive", "second", "bias"], ["scored"], name="judge"),
        helper.make_node("GlobalAveragePool", ["scored"], ["pooled"], name="mean"),
        helper.make_node("Flatten", ["pooled"], ["scores"], name="flat"),
    ]
    ports = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3]),
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "colours", ports[:1], ports[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def card(name: str) -> dict[str, object]:
    return {
        "format": {"major": 1, "minor": 0},
        "name": f"tests/{name}",
        "task": "classify",
        "labels": list(LABELS),
        "program": [
            {"step": "read", "channels": "RGB", "orient": True},
            {"step": "resize", "size": [SIDE, SIDE], "fit": "stretch", "filter": "bilinear"},
            {"step": "type", "dtype": "float32"},
            {"step": "range", "scale": 1 / 255, "offset": 0.0},
            {"step": "layout", "order": "NCHW"},
        ],
        "inputs": [{"name": "images", "kind": "image", "dtype": "float32", "shape": [None, 3, SIDE, SIDE]}],
        "output": {"head": "softmax", "tensor": "scores", "classes": 3},
        "licence": {"weights": "Apache-2.0", "stated": True},
    }


def picture(random: np.random.Generator, label: str) -> Image.Image:
    """Noise in which one colour is stronger than the others, at times by little."""
    pixels = random.integers(20, 160, (24, 32, 3))
    strength = int(random.integers(15, 90))
    pixels[..., {"red": 0, "green": 1, "blue": 2}[label]] += strength
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("compression")
    random = np.random.default_rng(3)
    for label in LABELS:
        (root / "data" / label).mkdir(parents=True)
        for number in range(10):
            picture(random, label).save(root / "data" / label / f"{number}.png")
    (root / "others").mkdir()
    for number in range(12):
        picture(random, LABELS[number % 3]).save(root / "others" / f"{number}.png")
    for name, outlier in (("plain", 1.0), ("outlier", OUTLIER)):
        path = root / f"{name}.onnx"
        onnx.save(network(outlier), path)
        path.with_name(f"{name}.onnx.card.json").write_text(json.dumps(card(name)), "utf-8")
        signet.seal(path, sorted((root / "others").iterdir())[:3], out=root / f"{name}.signet")
    return Place(root, open_dataset(root / "data"), root / "others")


@pytest.fixture(scope="session")
def plain(place: Place) -> Compressed:
    """The classifier that int8 bears, delivered."""
    return compress(
        place.seal("plain"), place.data, out=place.root / "small.signet", settings=place.settings()
    )


@pytest.fixture(scope="session")
def rescued(place: Place) -> Compressed:
    """The one that is built to collapse, with layers taken back to floats."""
    out = place.root / "mixed.signet"
    return compress(place.seal("outlier"), place.data, out=out, settings=place.settings())


@pytest.fixture(scope="session")
def sealed(plain: Compressed) -> Seal:
    assert plain.seal is not None
    return plain.seal
