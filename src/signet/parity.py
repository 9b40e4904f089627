"""Whether an engine answers as the module that its graph was traced from: asked once, then known.

An exporter or an engine's optimizer may change what a network computes, and says nothing
(docs/decisions/0013 has a case). So the first time that an engine opens a graph that was traced here, it and
the module answer the same two made pictures, and the outcome is kept in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from signet import machine, storage
from signet.arrays import Array
from signet.batches import Batch
from signet.engines.contract import Engine, EngineSettings
from signet.errors import BadInput, SignetError
from signet.geometry import Geometry
from signet.networks import ModuleSource
from signet.preprocessing import finish, numeric
from signet.programs import Program
from signet.steps import GEOMETRIC

TOLERANCE = 1e-3
"""Of the largest value. Between torch, ONNX Runtime and OpenVINO in fp32, 3e-6 to 2e-5 were measured on sound
networks, 1.5e-3 to 4e-2 on those that an optimizer had changed."""
TIMES_ROUNDING = 10.0
"""Some networks blow roundings up: on noise, far from any photograph, torch's own answer in float32 may be
percents off its own in float64. What an engine is off by as much says nothing of the engine."""
PICTURES = 2


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
            row = {"share": found[0], "rounding": found[1], "engine": engine.name}
            storage.write_json(place, {**row, "versions": machine.versions()}, overwrite=True)
    share, rounding = found
    if share <= max(TOLERANCE, TIMES_ROUNDING * rounding):
        return ""
    return (
        f"engine {engine.name} {engine.version} answers otherwise than the network that its graph was made "
        f"of: by {share:.1%} of the largest value, where {TOLERANCE:.1%} is allowed"
    )


def _measured(source: ModuleSource, program: Program, engine: Engine) -> tuple[float, float] | None:
    """The largest difference as a share of the largest value, and what torch itself loses to float32.

    None when it cannot be measured. The second is 0 where the first is small enough without it.
    """
    from signet.engines import on_torch

    if on_torch.unavailable():
        return None
    batch = _made_pictures(source, program)
    module = on_torch.open_module(source, EngineSettings())
    try:
        expected = _answer(source, module.run(finish(batch)).arrays)
    finally:
        module.close()
    answer = _answer(source, engine.run(batch if engine.fuses else finish(batch)).arrays)
    largest = float(np.abs(expected).max())
    if answer.shape != expected.shape or not np.isfinite(largest) or largest == 0:
        return None  # a network that overflows on noise says nothing of the engine
    difference = float(np.abs(answer - expected).max())
    share = difference / largest if np.isfinite(difference) else float("1e9")
    if share <= TOLERANCE or len(source.outputs) > 1:
        return share, 0.0
    exact = on_torch.answer_in_double(source, finish(batch))
    if exact is None or exact.shape != expected.shape:
        return share, 0.0
    return share, float(np.abs(exact - expected).max()) / largest


def _answer(source: ModuleSource, outputs: Mapping[str, Array]) -> Array:
    """The logits, the features of a network without a head, or all named outputs side by side: (N, ...).

    Each of several outputs is sorted along its second axis: where boxes or queries are equally good, a
    rounding changes their order, and the order is no part of the answer.
    """
    if not source.outputs:
        return outputs[source.answers[0]]
    if len(source.outputs) == 1:
        return outputs[source.outputs[0]].reshape(PICTURES, -1)
    parts = [np.sort(outputs[name], axis=1).reshape(PICTURES, -1) for name in source.outputs]
    return np.concatenate(parts, axis=1)


def _made_pictures(source: ModuleSource, program: Program) -> Batch:
    """Coloured noise in blocks, so that deep layers get something to see; uint8 (N, H, W, 3)."""
    # Not the module's own shape, whose axes may be in another order.
    height, width = program.input_size() or source.input_shape[1:]
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


def _kept(place: Path) -> tuple[float, float] | None:
    if not place.is_file():
        return None
    try:
        row = storage.read_json(place, limit_bytes=65_536)
        return float(row["share"]), float(row["rounding"])
    except (BadInput, SignetError, KeyError, TypeError, ValueError):
        return None


def _key(source: ModuleSource, program: Program, engine: Engine) -> str:
    versions = machine.versions()
    parts = (source.digest, program.digest, engine.name, engine.version, machine.processor())
    return hashlib.sha256("\n".join((*parts, str(versions.get("torch", "")))).encode()).hexdigest()[:32]
