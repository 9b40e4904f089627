"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure.
settings.register_profile(
    "signet", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("signet")

ROOT = Path(__file__).resolve().parent.parent


def _load(name: str, path: Path) -> ModuleType:
    """A module of the test tree by its file: the tests are not a package and need no path setting."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def module_at() -> Callable[[str, Path], ModuleType]:
    """`module_at(name, path)`: a module of the test tree by its file, loaded once under that name."""
    return _load


@pytest.fixture(scope="session", autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The cache is a temporary folder, and there is no mirror unless a test names one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNET_CACHE", str(tmp_path_factory.mktemp("signet-cache")))
        patch.delenv("SIGNET_MIRROR", raising=False)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared material : SIGNET_SHARED, else ../shared beside the repository.

    It is never part of the repository. Where it is absent the test is skipped, but with CI=true it fails.
    """
    folder = Path(os.environ.get("SIGNET_SHARED") or ROOT.parent / "shared")
    if (folder / "data").is_dir() and (folder / "weights").is_dir():
        return folder
    reason = f"the shared material is not at {folder}; SIGNET_SHARED names the folder of data/ and weights/"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def hostile() -> ModuleType:
    """The module tests/hostile/make.py: `make(folder)` writes broken and odd images, `check(case, read)`."""
    return _load("signet_hostile", ROOT / "tests" / "hostile" / "make.py")


@pytest.fixture(scope="session")
def hostile_cases(hostile: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list:
    """All hostile cases, written once; `hostile_cases[0].root` is their folder. Not to be changed."""
    return hostile.make(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def moving() -> ModuleType:
    """The module tests/moving.py: a film of coloured squares, and models that find them."""
    return _load("signet_moving", ROOT / "tests" / "moving.py")


@pytest.fixture(scope="session")
def floor3() -> ModuleType:
    """The module tests/floor3.py: tiny models as graph and as torch module."""
    return _load("signet_floor3", ROOT / "tests" / "floor3.py")
