"""What the adapted starter is compared with: the same network untrained, and no network at all."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from safetensors.numpy import load_file, save_file

from signet.arrays import Array, Floats
from signet.decoding import read
from signet.graphs.opening import open_graph
from signet.networks import Pretrained
from signet.zoos import from_package

BINS = 32
THUMBNAIL = 8


def untrained(folder: Path, seed: int = 0) -> Pretrained:
    """The starter's own network with random weights, so that the two differ in nothing but training.

    Convolutions are drawn as He et al. (2015) do, normalisations are the identity.

    Args:
        folder: where its graph and weights are written.
        seed: of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    drawn = {
        name: _drawn(name, tensor.shape, random).astype(tensor.dtype)
        for name, tensor in load_file(from_package.folder() / "model.safetensors").items()
    }
    save_file(drawn, folder / "model.safetensors")
    # The graph points into the weight file beside it by position: the same names, shapes and dtypes
    # give the same positions.
    shutil.copy(from_package.folder() / "graph.onnx", folder / "graph.onnx")
    starter = from_package.pretrained()
    graph = open_graph(folder / "graph.onnx")
    card = dataclasses.replace(starter.card, name="starter, untrained", claims=(), lineage={})
    return Pretrained(card, (graph,), graph.digest, "file")


def _drawn(name: str, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if len(shape) > 1:
        fan_in = int(np.prod(shape[1:]))
        return random.normal(0, np.sqrt(2 / fan_in), shape)
    return np.ones(shape) if name.endswith(("running_var", "weight")) else np.zeros(shape)


def histograms(paths: list[Path]) -> Floats:
    """What an image shows without a network: its grey histogram and its 8x8 thumbnail, float32 (N, 96)."""
    return np.stack([_histogram(path) for path in paths])


def _histogram(path: Path) -> Floats:
    grey = PillowImage.fromarray(read(path).pixels).convert("L")
    counts, _ = np.histogram(np.asarray(grey), bins=BINS, range=(0, 256), density=True)
    small = np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), PillowImage.Resampling.BOX), np.float32) / 255
    return np.concatenate([counts * 256, small.ravel()]).astype(np.float32)
