"""Fixtures of the tests of training."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module tiny.py: a network, data, settings."""
    name = "signet_training_tiny"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("tiny.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def images(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 small images, written once; not to be changed."""
    folder = tmp_path_factory.mktemp("images") / "all"
    tiny.write_images(folder, 40)
    return folder
