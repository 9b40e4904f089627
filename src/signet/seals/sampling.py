"""Large tensors of the evidence, kept as their digest and as values at places that a formula names."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from signet.arrays import Array, Integers

COUNT = 16_384
"""Values that are kept of a tensor: a fault in one of a thousand values is missed once in 10^7."""
SHAPE, DIGEST = "@shape", "@sha256"
"""What follows the name of a tensor that is kept so."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What is kept of a large tensor.

    Attributes:
        values: (COUNT,), in the tensor's own type, at `places`.
        shape: of the whole tensor.
        digest: 32 bytes, sha256 of the whole tensor: row after row, little-endian.
    """

    values: Array
    shape: tuple[int, ...]
    digest: bytes

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the whole tensor."""
        return self.values.dtype

    @classmethod
    def of(cls, array: Array) -> Sample:
        """Of a tensor with at least one value."""
        flat = np.ascontiguousarray(array).reshape(-1)
        return cls(flat[places(flat.size)], array.shape, _digest(array))

    def difference(self, array: Array) -> float | None:
        """The greatest difference at the places; None where shape or type are others.

        Where the digest is another and no place shows it, whole numbers differ by at least 1 somewhere.
        """
        if array.shape != self.shape or array.dtype != self.dtype:
            return None
        if _digest(array) == self.digest:
            return 0.0
        flat = np.ascontiguousarray(array).reshape(-1)
        other = flat[places(flat.size)].astype(np.float64)
        least = 0.0 if self.dtype.kind == "f" else 1.0
        return max(least, float(np.abs(other - self.values.astype(np.float64)).max()))


def places(size: int) -> Integers:
    """int64: where a tensor of that many values is looked at.

    Steps of a golden section of the tensor, or a little more: the next number that shares no divisor with the
    size. So the places are spread evenly, none comes twice, and no column, row or channel is left out.
    """
    step = max(1, round(size * (math.sqrt(5) - 1) / 2))
    while math.gcd(step, size) != 1:
        step += 1
    return np.arange(min(COUNT, size), dtype=np.int64) * step % size


def kept(name: str, array: Array, most: int) -> dict[str, Array]:
    """The tensors of the evidence for one: itself, or a sample where it has more than `most` values."""
    if array.size <= most:
        return {name: array}
    sample = Sample.of(array)
    return {
        name: sample.values,
        f"{name}{SHAPE}": np.array(sample.shape, np.int64),
        f"{name}{DIGEST}": np.frombuffer(sample.digest, np.uint8),
    }


def found(tensors: Mapping[str, Array], name: str) -> Array | Sample | None:
    """A tensor of the evidence as `kept` left it; None where it is missing, or is no whole sample."""
    values = tensors.get(name)
    shape, digest = tensors.get(f"{name}{SHAPE}"), tensors.get(f"{name}{DIGEST}")
    if values is None or (shape is None and digest is None):
        return values
    if shape is None or digest is None or shape.ndim != 1 or digest.nbytes != 32:
        return None
    sides = tuple(int(side) for side in shape)
    whole = min(sides, default=0) >= 1 and values.shape == (min(COUNT, math.prod(sides)),)
    return Sample(values, sides, digest.tobytes()) if whole else None


def _digest(array: Array) -> bytes:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return hashlib.sha256(little.data if little.size else b"").digest()
