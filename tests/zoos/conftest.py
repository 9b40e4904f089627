"""Fixtures of the tests of zoos."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def files(module_at: Callable[[str, Path], ModuleType]) -> ModuleType:
    """The module keras_files.py; the tests that use it are skipped where Keras is not installed."""
    for package in ("keras", "h5py", "torch", "onnxscript"):
        # Not importorskip: Keras would be imported with another backend, for the whole process.
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return module_at("signet_zoos_keras_files", Path(__file__).with_name("keras_files.py"))
