"""The programs of Keras Applications: the numbers of each one's own `preprocess_input`, to the bit."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
import pytest

from signet.catalogue import index
from signet.images import Image
from signet.preprocessing import prepare
from signet.programs import Program
from signet.zoos import from_keras, keras_import

ENTRIES = {name: config for name, config in index.configs() if name.startswith("keras/")}
ONE_OF_EACH = {from_keras.class_of(config["architecture"]): config for config in ENTRIES.values()}


@pytest.fixture(scope="module")
def keras() -> Any:
    for package in ("keras", "h5py", "torch"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return keras_import.imported("the tests")


@pytest.mark.parametrize("kind", sorted(ONE_OF_EACH))
def test_what_comes_out_is_what_keras_makes_of_the_same_crop(
    kind: str, keras: Any, pictures: list[Image]
) -> None:
    program = Program.from_list(ONE_OF_EACH[kind]["program"])
    geometric, _ = program.split()
    chosen = pictures[:4] + pictures[-3:]
    crops = np.asarray(prepare(chosen, Program(geometric)).arrays)
    own = sys.modules[getattr(keras.applications, kind).__module__].preprocess_input
    expected = np.asarray(own(crops.astype(np.float32)))
    got = np.asarray(prepare(chosen, program).arrays)
    assert got.dtype == np.float32
    assert np.array_equal(got.transpose(0, 2, 3, 1), expected)
