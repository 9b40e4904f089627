"""Tensors by a rule that `tools/yolo_golden.py` shares, so that golden files hold answers and no weights.

Each tensor is drawn by its place among the sorted names, so two programs that agree on the names agree on
all of them. Numpy promises that a `Philox` generator with a stated key gives the same numbers everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

SHAPE = (1, 3, 64, 96)
"""Of the picture."""
COUNT = 48
"""Numbers of an answer that are kept, evenly spaced."""
CONSTANT = ("dfl.conv.weight", "anchors", "anchor_grid", "num_batches_tracked")
"""Tensors that are not learned keep their values."""


def drawn(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """float32 tensors for all names but the constant ones, in a range that keeps deep maps near one."""
    tensors = {}
    for place, name in enumerate(sorted(shapes)):
        if name.endswith(CONSTANT):
            continue
        shape, leaf = shapes[name], name.rsplit(".", 1)[-1]
        values = np.random.Generator(np.random.Philox(key=place)).random(shape, dtype=np.float32)
        if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
            values = np.float32(0.5) + values
        elif leaf == "implicit":
            values = np.float32(0.75) + np.float32(0.5) * values
        elif len(shape) == 1:
            values = np.float32(0.4) * (values - np.float32(0.5))
        else:
            # What is added to what came in is smaller, or long chains of it would end in scores of 0 and 1.
            gain = np.float32(0.4 if ".m." in name else 1.0)
            spread = gain * np.float32(np.sqrt(6 / np.prod(shape[1:])))
            values = (np.float32(2) * values - np.float32(1)) * spread
        tensors[name] = values
    return tensors


def picture() -> np.ndarray:
    """float32 from 0 to 1, of `SHAPE`."""
    return np.random.Generator(np.random.Philox(key=2**32)).random(SHAPE, dtype=np.float32)


def names_digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Of all names and shapes, the counters of BatchNorm left out."""
    lines = [
        f"{name} {tuple(shapes[name])}" for name in sorted(shapes) if not name.endswith("num_batches_tracked")
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def kept(answer: np.ndarray) -> dict[str, object]:
    """What a golden file holds of an answer: its shape, its mean and spread, evenly spaced numbers."""
    flat = np.asarray(answer, np.float64).ravel()
    places = np.linspace(0, flat.size - 1, COUNT).astype(int)
    return {
        "shape": list(answer.shape),
        "mean": float(f"{flat.mean():.10g}"),
        "deviation": float(f"{flat.std():.10g}"),
        "values": [float(f"{value:.10g}") for value in flat[places]],
    }
