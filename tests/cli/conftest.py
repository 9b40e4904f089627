"""The command line in this process and in one of its own, with a tiny model and a cache of the tests' own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from signet.cli.main import main


def _tiny() -> ModuleType:
    spec = importlib.util.spec_from_file_location("signet_tiny", Path(__file__).with_name("tiny.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["signet_tiny"] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Ran:
    """One command: its exit code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> Any:
        """Stdout as the one JSON value that it must be."""
        return json.loads(self.out)


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module tests/cli/tiny.py."""
    return sys.modules.get("signet_tiny") or _tiny()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests here: a graph is tried in a child process once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def surroundings(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache, mirror or token of the person who runs the tests, and no finding of another test."""
    for found in ("evidence", "measured"):
        shutil.rmtree(cache / "engines" / found, ignore_errors=True)
    monkeypatch.setenv("SIGNET_CACHE", str(cache))
    monkeypatch.delenv("SIGNET_MIRROR", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture(scope="session")
def classifier(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file with a card beside it."""
    return tiny.make_classifier(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def pictures(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve pictures in one folder, in natural order; not to be changed."""
    return tiny.make_pictures(tmp_path_factory.mktemp("pictures"), 12)


@pytest.fixture
def signet(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in this process."""

    def run(*words: object) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        streams = capsys.readouterr()
        return Ran(code, streams.out, streams.err)

    return run


@pytest.fixture
def signet_process() -> Callable[..., Ran]:
    """Run a command in a process of its own; streams come as text, bytes that are none as they are."""

    def run(words: Sequence[object], **options: Any) -> Ran:
        command = [sys.executable, "-m", "signet", *map(os.fsencode, map(str, words))]
        done = subprocess.run(command, capture_output=True, check=False, timeout=120, **options)
        return Ran(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))

    return run


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the tests of a file share."""
    return tmp_path_factory.mktemp("seals")


@pytest.fixture
def sealed(signet: Any, classifier: Path, pictures: list[Path], kept: Path) -> Path:
    """A seal, made once for the tests of a file; not to be changed."""
    path = kept / "colours.signet"
    if not path.exists():
        assert signet("seal", classifier, pictures[0].parent, "--out", path).code == 0
    return path
