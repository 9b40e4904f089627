"""The arithmetic of a preprocessing program as the first layers of a network.

What comes after the last geometric step is a function of each byte by itself, and a change of axes. Written
with the operators of another runtime it rounds in other places, so it is held to the reference executor for
every byte that there is, in every channel: that is all that it can ever be given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.errors import BadRequest, EngineError
from signet.preprocessing import numeric
from signet.programs import Program
from signet.steps import GEOMETRIC, Layout, Normalise, Order, Range, Step, Type

PICTURES = "pictures"
"""Name of the input that takes bytes."""
ROUNDING = 2.0**-23
"""One operation on float32 rounds by at most half of this, relative to its result; so does the reference."""


def parts(program: Program) -> tuple[Program, tuple[Step, ...]]:
    """(what stays outside: decoding and geometry, the arithmetic that goes inside).

    Raises:
        BadRequest: the program does arithmetic before its last geometric step.
    """
    earlier, pending = program.split()
    if not all(isinstance(step, GEOMETRIC) for step in earlier):
        raise BadRequest(
            "--preprocessing in: this program computes with numbers before it resizes or crops for the last "
            "time, and resampling stays outside the file. Use --preprocessing out."
        )
    return Program(earlier), pending


def to_onnx(steps: Sequence[Step], name: str) -> tuple[list[Any], list[Any]]:
    """(nodes, constants) that take `PICTURES`, uint8 (N, H, W, 3), to the value `name`."""
    chain = _Chain()
    for step in steps:
        match step:
            case Range(scale=scale, offset=offset):
                chain.as_float()
                chain.add("Mul", np.array(scale, np.float32))
                if offset:
                    chain.add("Add", np.array(offset, np.float32))
            case Normalise(mean=mean, std=std):
                chain.as_float()
                shape = (1, -1, 1, 1) if chain.channels_first else (1, 1, 1, -1)
                chain.add("Sub", np.asarray(mean, np.float32).reshape(shape))
                chain.add("Div", np.asarray(std, np.float32).reshape(shape))
            case Order(order="BGR"):
                chain.add("Gather", np.array([2, 1, 0], np.int64), axis=1 if chain.channels_first else 3)
            case Layout(order=order) if (order == "NCHW") != chain.channels_first:
                chain.add("Transpose", perm=[0, 2, 3, 1] if chain.channels_first else [0, 3, 1, 2])
                chain.channels_first = not chain.channels_first
            case Type(dtype="float32"):
                chain.as_float()
            case Type(dtype="uint8"):
                chain.as_bytes()
            case _:
                pass
    chain.add("Identity")
    chain.nodes[-1].output[0] = name
    return chain.nodes, chain.constants


class _Chain:
    """Nodes, each of which takes what the one before gave."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.channels_first = False
        self._is_float = False

    def add(self, operator: str, *constants: Array, **attributes: object) -> None:
        """One more operator; constants are its further inputs."""
        from onnx import helper, numpy_helper

        inputs = [self.nodes[-1].output[0] if self.nodes else PICTURES]
        for array in constants:
            inputs.append(f"prelude.constant.{len(self.constants)}")
            self.constants.append(numpy_helper.from_array(array, inputs[-1]))
        given = f"prelude.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [given], **attributes))

    def as_float(self) -> None:
        """Bytes become float32."""
        if not self._is_float:
            self.add("Cast", to=1)  # TensorProto.FLOAT
        self._is_float = True

    def as_bytes(self) -> None:
        """float32 becomes bytes, rounded half to even and clipped."""
        if self._is_float:
            self.add("Round")
            self.add("Clip", np.array(0, np.float32), np.array(255, np.float32))
            self.add("Cast", to=2)  # TensorProto.UINT8
        self._is_float = False


def check(steps: Sequence[Step], answer: Callable[[Array], Array]) -> float:
    """Hold a prelude to the reference executor, for every byte in every channel.

    Args:
        steps: the arithmetic.
        answer: the prelude: from uint8 (1, 16, 16, 3) to what the network is given.

    Returns:
        The greatest absolute difference.

    Raises:
        EngineError: it differs by more than rounding in other places can explain.
    """
    channel = np.arange(256, dtype=np.uint8).reshape(16, 16)
    every = np.stack([channel, channel[::-1], channel.T], axis=-1)[None]
    expected, got = numeric(every, steps), answer(every)
    if got.shape != expected.shape or got.dtype != expected.dtype:
        raise EngineError(
            f"the preprocessing inside the file: expected {expected.dtype} {expected.shape}, "
            f"got {got.dtype} {got.shape}. Use --preprocessing out, and report it."
        )
    operations = sum({Range: 2, Normalise: 2}.get(type(step), 0) for step in steps)
    greatest = float(np.abs(expected.astype(np.float64)).max())
    apart = float(np.abs(expected.astype(np.float64) - got).max())
    # A program that goes back to bytes may round one of them to the other side.
    allowed = operations * ROUNDING * greatest if expected.dtype != np.uint8 else 0.0
    if not apart <= allowed:
        raise EngineError(
            f"the preprocessing inside the file differs from the reference by {apart:.3g}: expected at most "
            f"{allowed:.3g}, what {operations} roundings make. Use --preprocessing out, and report it."
        )
    return apart
