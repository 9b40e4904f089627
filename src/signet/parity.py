"""Whether an engine answers as the module that its graph was traced from: asked once, then known.

An exporter or an engine's optimizer may change what a network computes, and says nothing
(docs/decisions/0013 has a case). So the first time that an engine opens a graph that was traced here, it and
the module answer the same two made pictures, and two of another size where any size goes in; the outcome is
kept in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from signet import machine, storage
from signet.arrays import Array
from signet.batches import Batch
from signet.engines.contract import Engine, EngineSettings
from signet.errors import EngineError, SignetError
from signet.geometry import Geometry
from signet.networks import ModuleSource
from signet.preprocessing import finish, numeric
from signet.programs import Program
from signet.steps import GEOMETRIC, Pad, Resize

TOLERANCE = 1e-3
"""Of the largest value. Between torch, ONNX Runtime and OpenVINO in fp32, 3e-6 to 2e-5 were measured on sound
networks, 1.5e-3 to 4e-2 on those that an optimizer had changed."""
TIMES_ROUNDING = 10.0
"""Some networks blow roundings up: on noise, far from any photograph, torch's own answer in float32 may be
percents off its own in float64. What an engine is off by as much says nothing of the engine. With random
weights detectors do so, too: of hundreds of boxes with one score to the last digit, a rounding picks."""
PICTURES = 2
LARGER = (37, 101)
"""By how much the second pictures are larger, where any size goes in: an exporter may have fixed what
follows from the size, or how it is rounded, and its graph answers otherwise for others. So both are odd."""
STRIDE = 32
"""Sides that are multiples of it suit networks that take no others."""
NO_ANSWER = 1e9
"""The share where there is no number, or none at each place."""
_FORMAT = "3"
"""Raised when more is asked, so that what is remembered of less is not taken for it."""


class Compared(NamedTuple):
    """How far an engine is off, in the output in which it is furthest.

    Attributes:
        size: height and width of the pictures.
        share: the largest difference, as a share of the largest value of that output.
        rounding: what torch itself loses to float32 there; 0 where `share` is small enough without it.
    """

    size: tuple[int, int]
    share: float
    rounding: float

    @property
    def allowed(self) -> float:
        """The largest `share` that is none of the engine's fault."""
        return max(TOLERANCE, TIMES_ROUNDING * self.rounding)


def fault(source: ModuleSource, program: Program, engine: Engine, cache: Path | None) -> str:
    """Why an engine's answers are not those of the module; empty when they are, or when nobody can tell.

    Args:
        source: the module that the engine's graph was traced from.
        program: the preprocessing that the engine was opened with.
        engine: just opened, in fp32.
        cache: where outcomes are kept; None asks each time.

    Torch must be there to tell; where it is not, a graph that was traced elsewhere is believed.
    """
    place = None if cache is None else cache / "parity" / f"{_key(source, program, engine)}.json"
    found = None if place is None else _kept(place)
    if found is None:
        found = _measured(source, program, engine)
        if found is None:
            return ""
        if place is not None:
            row = {**found._asdict(), "engine": engine.name}
            storage.write_json(place, {**row, "versions": machine.versions()}, overwrite=True)
    if found.share <= found.allowed:
        return ""
    size = f"{found.size[0]} x {found.size[1]}"
    by = f"by {found.share:.1%} of the largest value, where {found.allowed:.1%} is allowed"
    if found.share >= NO_ANSWER:
        by = "with no numbers"
    return (
        f"engine {engine.name} {engine.version} answers otherwise than the network that its graph was made "
        f"of: on pictures of {size} {by}"
    )


def _measured(source: ModuleSource, program: Program, engine: Engine) -> Compared | None:
    """The worst of what was compared; None when nothing can be."""
    from signet.engines import on_torch

    if on_torch.unavailable():
        return None
    # Not the module's own shape, whose axes may be in another order.
    height, width = program.input_size() or source.input_shape[1:]
    # Of each list the first size on which the module itself answers.
    lists = [[(height, width)]]
    if source.free_size and program.input_size() is None:
        lists.append(_other_sizes((height, width), program))
    module = on_torch.open_module(source, EngineSettings())
    known: list[Compared] = []
    try:
        for sizes in lists:
            asked = (_compared(source, module, engine, _made_pictures(size, program)) for size in sizes)
            first = next((one for one in asked if one is not None), None)
            if first is not None:
                known.append(first)
    finally:
        module.close()
    return max(known, key=lambda one: one.share / one.allowed) if known else None


def _other_sizes(size: tuple[int, int], program: Program) -> list[tuple[int, int]]:
    """Larger sizes that a program may give, the more telling one first."""
    stated = [step.multiple for step in program.steps if isinstance(step, Pad | Resize)]
    last = (stated[-1] if stated else None) or 1
    height, width = (side + more for side, more in zip(size, LARGER, strict=True))
    return [
        (-(-height // multiple) * multiple, -(-width // multiple) * multiple) for multiple in (last, STRIDE)
    ]


def _compared(source: ModuleSource, module: Engine, engine: Engine, batch: Batch) -> Compared | None:
    """The output in which an engine is furthest off; None where the module's own answer says nothing."""
    from signet.engines import on_torch

    size = batch.geometry[0].prepared
    try:
        expected = _named(source, module.run(finish(batch)).arrays)
    except EngineError:
        return None  # the module refuses such pictures, too
    largest = {name: float(np.abs(array).max(initial=0)) for name, array in expected.items()}
    if not all(np.isfinite(value) for value in largest.values()) or not any(largest.values()):
        return None  # a network that overflows on noise says nothing of the engine
    try:
        answer = _named(source, engine.run(batch if engine.fuses else finish(batch)).arrays)
    except EngineError:
        return Compared(size, NO_ANSWER, 0.0)
    shares = _shares(answer, expected, largest)
    if max(shares.values()) <= TOLERANCE:
        return Compared(size, max(shares.values()), 0.0)
    exact = on_torch.answer_in_double(source, finish(batch))
    lost = dict.fromkeys(shares, 0.0)
    if exact is not None:
        lost = _shares(_named(source, exact), expected, largest)
    rows = [Compared(size, share, lost[name]) for name, share in shares.items()]
    return max(rows, key=lambda row: row.share / row.allowed)


def _shares(
    one: Mapping[str, Array], expected: Mapping[str, Array], largest: Mapping[str, float]
) -> dict[str, float]:
    """By output, the largest difference as a share of the largest value."""
    shares = {}
    for name, array in expected.items():
        fits = one[name].shape == array.shape
        difference = float(np.abs(one[name] - array).max(initial=0)) if fits else np.inf
        shares[name] = difference / (largest[name] or 1.0) if np.isfinite(difference) else NO_ANSWER
    return shares


def _named(source: ModuleSource, outputs: Mapping[str, Array]) -> dict[str, Array]:
    """The logits, the features of a network without a head, or all named outputs.

    Each of several outputs is sorted along its second axis: where boxes or queries are equally good, a
    rounding changes their order, and the order is no part of the answer.
    """
    if len(source.outputs) > 1:
        return {name: np.sort(outputs[name], axis=1) for name in source.outputs}
    name = source.answers[0]
    return {name: outputs[name]}


def _made_pictures(size: tuple[int, int], program: Program) -> Batch:
    """Coloured noise in blocks, so that deep layers get something to see; uint8 (N, H, W, 3)."""
    height, width = size
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (PICTURES, -(-height // 8), -(-width // 8), 3), np.uint8)
    blocks: Array = small.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    fine = random.integers(-32, 33, blocks.shape)
    pictures = np.clip(blocks + fine, 0, 255).astype(np.uint8)
    own = tuple(Geometry.of((height, width)) for _ in range(PICTURES))
    earlier, pending = program.split()
    # A program that resizes floats has made them by then.
    numbers = numeric(pictures, [step for step in earlier if not isinstance(step, GEOMETRIC)])
    return Batch(numbers, own, ("made",) * PICTURES, pending)


def _kept(place: Path) -> Compared | None:
    if not place.is_file():
        return None
    try:
        row = storage.read_json(place, limit_bytes=65_536)
        height, width = row["size"]
        return Compared((int(height), int(width)), float(row["share"]), float(row["rounding"]))
    except (SignetError, KeyError, TypeError, ValueError):
        return None


def _key(source: ModuleSource, program: Program, engine: Engine) -> str:
    versions = machine.versions()
    parts = (_FORMAT, source.digest, program.digest, engine.name, engine.version, machine.processor())
    return hashlib.sha256("\n".join((*parts, str(versions.get("torch", "")))).encode()).hexdigest()[:32]
