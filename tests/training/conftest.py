"""Fixtures of the tests of training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")


@pytest.fixture(scope="session")
def tiny(module_at: Callable[[str, Path], ModuleType]) -> ModuleType:
    """The module tiny.py: a network, data, settings."""
    return module_at("signet_training_tiny", Path(__file__).with_name("tiny.py"))


@pytest.fixture(scope="session")
def images(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 small images, written once; not to be changed."""
    folder = tmp_path_factory.mktemp("images") / "all"
    tiny.write_images(folder, 40)
    return folder
