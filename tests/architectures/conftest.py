"""Weights and images by formula, so that another program in another framework can make the same ones."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def rule() -> Any:
    """The rule that golden tensors are drawn by (`yolo_tensors.py`, which a tool shares)."""
    spec = importlib.util.spec_from_file_location("yolo_tensors", Path(__file__).with_name("yolo_tensors.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """float64 from 0 to 1: the fraction of 43758.5453 sin(12.9898 j + 78.233 seed), j counting in C order."""
    places = np.arange(int(np.prod(shape)), dtype=np.float64)
    values = np.sin(places * 12.9898 + seed * 78.233) * 43758.5453
    return (values - np.floor(values)).reshape(shape)


def weights(seed: int, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 that keep a deep network's maps in range: He's spread, BatchNorms near one."""
    values, leaf = numbers(seed, shape), key.rsplit(".", 1)[-1]
    if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
        values = 0.5 + values
    elif len(shape) == 1:
        values = 0.2 * (values - 0.5)
    else:
        values = (2 * values - 1) * np.sqrt(6 / np.prod(shape[1:]))
    return values.astype(np.float32)


@pytest.fixture(scope="session")
def filled() -> Callable[[Any], Any]:
    """Fills a module by formula, the seed of a tensor being its place in the state; in evaluation mode."""

    def fill(module: Any) -> Any:
        import torch

        state = {
            key: tensor
            if key.endswith("num_batches_tracked")
            else torch.from_numpy(weights(place, key, tuple(tensor.shape)))
            for place, (key, tensor) in enumerate(module.state_dict().items())
        }
        module.load_state_dict(state, strict=True)
        return module.eval()

    return fill


@pytest.fixture(scope="session")
def pictures() -> Callable[[int, int], Any]:
    """Two images from -1 to 1 by formula: float32 (2, 3, height, width)."""

    def make(height: int, width: int) -> Any:
        import torch

        return torch.from_numpy((2 * numbers(7, (2, 3, height, width)) - 1).astype(np.float32))

    return make


@pytest.fixture(scope="session")
def difference() -> Callable[[Any, Any], float]:
    """The largest difference, relative to the largest number expected."""

    def between(received: Any, expected: Any) -> float:
        received, expected = np.asarray(received, np.float64), np.asarray(expected, np.float64)
        assert received.shape == expected.shape
        return float(np.abs(received - expected).max() / np.abs(expected).max())

    return between


@pytest.fixture(scope="session")
def exported(difference: Any) -> Callable[[Any, Any, str, Path], tuple[float, float]]:
    """Differences of logits and of features between torch and ONNX Runtime, for three images at once."""

    def compare(module: Any, images: Any, classifier: str, folder: Path) -> tuple[float, float]:
        import onnxruntime
        import torch

        from signet.networks import ModuleSource
        from signet.tracing import export

        shape = (3, int(images.shape[2]), int(images.shape[3]))
        source = ModuleSource(module.eval, "0" * 64, shape, classifier=classifier)
        export(source, folder / "graph.onnx")
        three = torch.cat([images, images[:1] * 0.5])
        received: list[Any] = []
        head = module.get_submodule(classifier)
        handle = head.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0].detach()))
        with torch.no_grad():
            logits = module(three)
        handle.remove()
        session = onnxruntime.InferenceSession(folder / "graph.onnx", providers=["CPUExecutionProvider"])
        found = session.run(["logits", "features"], {"images": three.numpy()})
        return difference(found[0], logits), difference(found[1], received[0])

    return compare
