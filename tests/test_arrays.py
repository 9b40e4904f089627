"""Arrays that cannot be written, and casts that lose nothing."""

from __future__ import annotations

import numpy as np
import pytest

from signet.arrays import frozen
from signet.errors import BadInput


def test_frozen_arrays_cannot_be_written() -> None:
    array = frozen([1, 2, 3], "numbers", "int64", (3,))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 5
    given = np.zeros(3, np.float32)
    assert frozen(given, "numbers", "float32").base is given, "nothing is copied"
    given[0] = 1  # the caller's own array stays its own


@pytest.mark.parametrize(
    ("value", "dtype", "words"),
    [
        ([1.5], "int64", "expected int64 values, got float64"),
        (np.array([300], np.uint16), "uint8", "expected uint8 values, got 300 to 300"),
        (np.array([2**40]), "int32", "expected int32"),
        (np.array([-1]), "uint8", "expected uint8"),
        (["a"], "float32", "expected float32"),
        ([1 + 2j], "float32", "expected float32"),
    ],
)
def test_a_cast_that_loses_something_is_refused(value: object, dtype: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        frozen(value, "numbers", dtype)


def test_a_cast_that_loses_nothing_is_made() -> None:
    assert frozen(np.array([1.0, 2.0]), "numbers", "float32").dtype == np.float32
    assert frozen(np.array([255], np.uint16), "numbers", "uint8").tolist() == [255]
    assert frozen([], "numbers", "int64").shape == (0,)


@pytest.mark.parametrize("shape", [(2,), (3, 1), (None, 4)])
def test_another_shape_is_refused(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(BadInput, match=r"numbers: expected shape \(.*got \(3,\)"):
        frozen([1, 2, 3], "numbers", "int64", shape)
