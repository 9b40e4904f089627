"""One architecture, loaded by Signet by its name, beside the peer with the same weights."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from identity import peers
from identity.cases import Case
from signet.engines.contract import EngineSettings
from signet.models import load
from signet.resolving import resolve

ANSWERED = 4
PREPARED = 20
SPREAD = 0.02
PIXELS = 2e-6
"""Of the largest prepared value: one rounding of float32 more or less."""
ENGINE = 1e-4
OTHER_CODE = 1e-6
"""Of the largest logit, where other code computes the same network ..."""
ROUNDING = 4.0
"""... or this many times what the peer itself loses to float32, by its own answer in float64."""
DOUBLE = 1e-12
"""Between the two in float64, where rounding is 5e8 times finer and hides nothing."""


@dataclass(frozen=True)
class Result:
    """What was measured; each difference relative to the peer's largest value unless it is said otherwise.

    Attributes:
        torch: largest difference of the answers through torch, absolute.
        torch_relative: the same, relative.
        double: in float64, relative; None where both run the same code.
        rounding: of the peer in float32 against itself in float64.
        engines: by name, answers from image to logits, against torch's.
        pixels: of what the program makes of the images.
        default_levels: by how many levels of 255 the peer's own default preprocessing is off its own one on
            Pillow (docs/decisions/0022); None where it has one only.
        spread: largest difference between two images' answers.
        seconds: in all.
        faults: what is not as it must be; none when all is.
    """

    torch: float
    torch_relative: float
    double: float | None
    rounding: float | None
    engines: dict[str, float]
    pixels: float
    default_levels: float | None
    spread: float
    seconds: float
    faults: list[str] = field(default_factory=list)


def measure(case: Case, folder: Path, images: Sequence[Path], engines: Sequence[str], threads: int) -> Result:
    """Compare one architecture.

    Args:
        case: it.
        folder: an empty one, for the mirror and the cache.
        images: files.
        engines: besides torch.
        threads: of each engine.
    """
    import torch

    torch.set_num_threads(threads)
    started = time.perf_counter()
    mirror = folder / "mirror"
    peer = peers.made(case, mirror, images)
    settings = EngineSettings(threads=threads, batch=ANSWERED, cache=folder / "cache")
    chosen = images[:: max(1, len(images) // ANSWERED)][:ANSWERED]
    with _mirrored(mirror):
        found = resolve(case.name, offline=True)
    if found.where != "mirror":
        raise AssertionError(f"{case.name} was found in {found.where}, not in the mirror")
    answers: dict[str, np.ndarray] = {}
    with load(found, engine="torch", precision="fp32", settings=settings) as model:
        batch = np.asarray(model.prepare([model.read(path) for path in chosen]).arrays)
        answers["torch"] = _answer(model, chosen)
        prepared = [np.asarray(model.prepare([model.read(path)]).arrays)[0] for path in images]
    expected = peer.answer(batch)
    own = [peer.pixels(path) for path in images]
    double = rounding = None
    if peer.double is not None:
        ours, theirs = peer.double(found.networks[0].build(), batch)
        double, rounding = relative(ours, theirs), relative(expected, theirs)
    for engine in engines:
        with load(found, engine=engine, precision="fp32", settings=settings) as model:
            answers[engine] = _answer(model, chosen)
    result = Result(
        torch=float(np.abs(answers["torch"] - expected).max()),
        torch_relative=relative(answers["torch"], expected),
        double=double,
        rounding=rounding,
        engines={engine: relative(answers[engine], answers["torch"]) for engine in engines},
        pixels=max(relative(one, other) for one, other in zip(prepared, own, strict=True)),
        default_levels=_levels(peer, images, prepared),
        spread=min(relative(one, other) for one, other in _pairs(expected)),
        seconds=time.perf_counter() - started,
    )
    return dataclasses.replace(result, faults=list(_faults(result, peer, expected)))


def relative(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, as a fraction of the largest value of the second."""
    if one.shape != other.shape:
        raise AssertionError(f"shapes {one.shape} and {other.shape}")
    return float(np.abs(one.astype(np.float64) - other).max() / np.abs(other).max())


def odd_images(folder: Path, count: int = PREPARED) -> list[Path]:
    """Files of different sizes, from the narrowest to the widest."""
    sizes: dict[tuple[int, int], Path] = {}
    for file in sorted(folder.glob("*.JPEG")):
        with PillowImage.open(file) as image:
            sizes.setdefault(image.size, file)
    ordered = [sizes[size] for size in sorted(sizes, key=lambda size: (size[0] / size[1], size))]
    places = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


def _answer(model: Any, images: Sequence[Path]) -> np.ndarray:
    outputs = model.run(model.prepare([model.read(path) for path in images]))
    return np.asarray(outputs[model.card.output.tensor])


def _pairs(answers: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for place in range(1, len(answers)):
        yield answers[place], answers[place - 1]


def _levels(peer: peers.Peer, images: Sequence[Path], prepared: Sequence[np.ndarray]) -> float | None:
    if peer.default_pixels is None or peer.levels is None:
        return None
    found = [
        np.abs(one - peer.default_pixels(path)) / peer.levels
        for path, one in zip(images, prepared, strict=True)
    ]
    return float(max(each.max() for each in found))


def _faults(result: Result, peer: peers.Peer, expected: np.ndarray) -> Iterator[str]:
    if not np.isfinite(expected).all() or result.spread < SPREAD:
        yield f"proves nothing: two images' answers differ by {result.spread:.2g} only"
    if peer.exact and result.torch != 0:
        yield f"torch is not equal: {result.torch_relative:.2g}"
    if not peer.exact and not result.torch_relative <= max(OTHER_CODE, ROUNDING * (result.rounding or 0)):
        yield f"torch {result.torch_relative:.2g}"
    if result.double is not None and not result.double <= DOUBLE:
        yield f"float64 {result.double:.2g}"
    yield from (f"{engine} {error:.2g}" for engine, error in result.engines.items() if not error <= ENGINE)
    if not result.pixels <= PIXELS:
        yield f"pixels {result.pixels:.2g}"


@contextmanager
def _mirrored(mirror: Path) -> Iterator[None]:
    before = os.environ.get("SIGNET_MIRROR")
    os.environ["SIGNET_MIRROR"] = str(mirror)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SIGNET_MIRROR"]
        else:
            os.environ["SIGNET_MIRROR"] = before
