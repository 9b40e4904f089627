"""Fixtures of the contracts."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def tiny_zoos(module_at: Callable[[str, Path], ModuleType]) -> ModuleType:
    """The module tiny_zoos.py: `ZOOS[name](mirror)` puts a tiny model of that zoo into a mirror."""
    for package in ("torch", "timm", "torchvision"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return module_at("signet_tiny_zoos", Path(__file__).with_name("tiny_zoos.py"))
