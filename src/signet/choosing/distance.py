"""Whether images are far from what pretrained networks know, and what random features do then.

The rule is measured: pretrained features take away mistakes that a probe on bare thumbnails makes. On 300
pictures of each of four sets (photographs, objects, streets, blood cells) the better of two networks took
0.35 to 0.77 of them away, the same network with random weights none (-0.47 to 0.02). Where the best takes
less than `NEAR`, the images are called far.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from signet.arrays import Floats
from signet.choosing.evidence import Measured, Rows, measure
from signet.decoding import read
from signet.errors import BadInput, SignetError
from signet.features import extract
from signet.models import Model, load
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.streaming import settings_for
from signet.zoos import by_name

SIDE = 12
"""Pixels of a thumbnail's sides."""

NEAR = 0.15
"""The share of a pixel probe's mistakes that the best network's features must take away."""


def pixels_of(paths: Sequence[Path]) -> Floats:
    """Float32 (N, SIDE * SIDE * 3), thumbnails from 0 to 1; zeros for a file that cannot be read."""
    table = np.zeros((len(paths), SIDE * SIDE * 3), np.float32)
    for place, path in enumerate(paths):
        try:
            pixels = read(path).pixels
        except BadInput:
            continue
        small = PillowImage.fromarray(pixels).resize((SIDE, SIDE), PillowImage.Resampling.BOX)
        table[place] = np.asarray(small, np.float32).ravel() / 255
    return table


def measure_plain(paths: Sequence[Path], rows: Rows) -> Measured:
    """The probe on bare thumbnails."""
    return measure(pixels_of(paths), rows)


SOLVED = 0.02
"""The share of mistakes up to which features solve a task: such images are near, whatever thumbnails do."""


def taken_away(best: Measured, plain: Measured) -> float:
    """The share of the pixel probe's mistakes that the best one's features take away, on the same rows.

    Above 1 never, below 0 where they add some; 1 where features solve the task by themselves, since an easy
    task leaves no mistakes that could be taken away.
    """
    count = min(len(best.right), len(plain.right))
    if float((1 - best.right[:count]).sum()) <= SOLVED * count:
        return 1.0
    # One mistake is added on both sides, so that a handful of them decides nothing by itself.
    left = float((1 - best.right[:count]).sum()) + 1
    made = float((1 - plain.right[:count]).sum()) + 1
    return 1 - left / made


def random_twin(pretrained: Pretrained, seed: int) -> Pretrained | None:
    """The same network with random weights, drawn by the seed; None for one that only a graph describes.

    Raises:
        MissingExtra: torch or the zoo's library is not installed.
    """
    for network in pretrained.networks:
        if isinstance(network, ModuleSource) and network.spec is not None:
            digest = hashlib.sha256(f"random weights {seed} {network.spec.to_dict()}".encode()).hexdigest()
            build = partial(_built, network.spec, seed)
            twin = dataclasses.replace(network, build=build, weights=None, digest=digest)
            return dataclasses.replace(
                pretrained, networks=(twin,), digest=digest, where="untrained", variants=()
            )
    return None


def _built(spec: ModuleSpec, seed: int) -> Any:
    import torch

    builder = by_name.zoo(spec.zoo, spec.architecture)
    with torch.random.fork_rng(devices=[]):  # the caller's own numbers stay as they are
        torch.manual_seed(seed)
        return builder.build(spec, None)


def measure_random(twin: Pretrained, paths: Sequence[Path], rows: Rows, threads: int | None) -> Measured:
    """The probe on a random network's features; nothing is kept on disk.

    Raises:
        SignetError: the network cannot be built or run.
    """
    settings = settings_for(many=True, threads=threads, engine="torch")
    opened: Model[Any] = load(twin, engine="torch", precision="fp32", settings=settings)
    with opened as model:
        found = extract(model, paths)
    if not np.isfinite(found.features).all():
        raise SignetError("a random network gave features that are no numbers")
    return measure(found.features, rows)
