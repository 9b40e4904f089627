"""Models small enough to be made in each test: graphs and modules behind one card."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from signet.cards import Card, InputSpec, OutputContract
from signet.images import Image
from signet.networks import ModuleSource, Pretrained
from signet.programs import Program
from signet.steps import Layout, Range, Read, Resize, Type
from signet.testing import TinyNetwork

SIZE = (16, 12)
LABELS = ("ant", "bee", "cat", "dog", "elk")
PROGRAM = Program(
    (Read(), Resize(size=SIZE, fit="stretch"), Type("float32"), Range(1 / 255, 0.0), Layout("NCHW"))
)


def card(**changes: Any) -> Card:
    """A classifier of five labels with features."""
    whole = Card(
        name="tests/tiny",
        task="classify",
        program=PROGRAM,
        output=OutputContract(head="softmax", tensor="logits", classes=5, features="features"),
        inputs=(InputSpec(name="images", shape=(None, 3, *SIZE)),),
        labels=LABELS,
        origin="made by a test",
    )
    return dataclasses.replace(whole, **changes)


def graph_model(folder: Path, **changes: Any) -> Pretrained:
    """The tiny network as a graph."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = TinyNetwork.made().write(folder / "tiny.onnx")
    return Pretrained(card(**changes), (graph,), graph.digest, "package")


def torch_module() -> Any:
    """The tiny network as a torch module."""
    import torch

    module = torch.nn.Sequential()
    module.add_module("convolution", torch.nn.Conv2d(3, 8, 3, stride=2))
    module.add_module("rectifier", torch.nn.ReLU())
    module.add_module("pool", torch.nn.AdaptiveAvgPool2d(1))
    module.add_module("flat", torch.nn.Flatten())
    module.add_module("head", torch.nn.Linear(8, 5))
    names = {
        "kernel": "convolution.weight",
        "bias": "convolution.bias",
        "head": "head.weight",
        "head_bias": "head.bias",
    }
    weights = TinyNetwork.made().weights
    module.load_state_dict({names[name]: torch.from_numpy(array) for name, array in weights.items()})
    return module.eval()


def module_source(digest: str = "a" * 64) -> ModuleSource:
    """The tiny network, built when asked for."""
    return ModuleSource(torch_module, digest, (3, *SIZE), classifier="head")


def module_model(**changes: Any) -> Pretrained:
    """The tiny network as a module only."""
    source = module_source()
    return Pretrained(card(**changes), (source,), source.digest, "mirror")


def picture(seed: int = 0, size: tuple[int, int] = (20, 30)) -> Image:
    """Noise, the same for each seed."""
    random = np.random.default_rng(seed)
    return Image(random.integers(0, 256, (*size, 3), np.uint8), f"picture {seed}")
