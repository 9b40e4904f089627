"""Fixtures of the tests of zoos."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def files() -> ModuleType:
    """The module keras_files.py; the tests that use it are skipped where Keras is not installed."""
    for package in ("keras", "h5py", "torch", "onnxscript"):
        # Not importorskip: Keras would be imported with another backend, for the whole process.
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    name = "signet_zoos_keras_files"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("keras_files.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
