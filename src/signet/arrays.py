"""Array types and the few checks that every noun makes of its arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from signet.errors import BadInput

Array = NDArray[Any]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


def frozen(value: object, name: str, dtype: DTypeLike, shape: Sequence[int | None] | None = None) -> Array:
    """A read-only array of one dtype, with its shape checked.

    Args:
        value: anything numpy takes.
        name: how the caller calls it, for the message.
        dtype: the result's dtype; a cast that would lose a fraction, or wrap a whole number, is refused.
        shape: one number for each axis, None where any length will do.

    Raises:
        BadInput: another number of axes, another length, or values that the dtype cannot hold.
    """
    array = np.asarray(value)
    wanted = np.dtype(dtype)
    if array.dtype != wanted:
        if array.size and not np.can_cast(array.dtype, wanted, casting="same_kind"):
            raise BadInput(f"{name}: expected {wanted} values, got {array.dtype}.")
        cast = array.astype(wanted)
        if wanted.kind in "iu" and array.size and not np.array_equal(cast, array):
            raise BadInput(f"{name}: expected {wanted} values, got {array.min()} to {array.max()}.")
        array = cast
    if shape is not None:
        fits = array.ndim == len(shape) and all(
            expected is None or expected == actual
            for expected, actual in zip(shape, array.shape, strict=True)
        )
        if not fits:
            words = ", ".join("any" if axis is None else str(axis) for axis in shape)
            raise BadInput(f"{name}: expected shape ({words}), got {array.shape}.")
    view = array.view()
    view.flags.writeable = False
    return view
