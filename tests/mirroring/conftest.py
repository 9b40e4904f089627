"""A hub on loopback that has a tiny network of timm, a cache of the tests' own, and no mirror."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from signet.catalogue import index
from signet.hub import Patience

NAME = "timm/test_efficientnet.r160_in1k"
OTHER = "timm/test_vit.r160_in1k"
QUICK = Patience(attempts=2, most_attempts=4, first_wait=0.01, longest_wait=0.1, silence=20, lock=30)


def _server() -> ModuleType:
    name = "signet_hub_server"
    if name not in sys.modules:
        place = Path(__file__).resolve().parents[1] / "hub" / "server.py"
        spec = importlib.util.spec_from_file_location(name, place)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@dataclass(frozen=True)
class Ran:
    """One command: its exit code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> Any:
        """Stdout as the one JSON value that it must be."""
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no mirror."""
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SIGNET_MIRROR", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("signet.mirroring.pulling.PATIENCE", QUICK)
    return tmp_path / "cache"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty hub."""
    from huggingface_hub.utils import close_session

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    close_session()
    with _server().Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running
        close_session()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Random weights of the two networks, as safetensors."""
    timm = pytest.importorskip("timm")
    torch = pytest.importorskip("torch")
    from safetensors.torch import save

    made = {}
    for name in (NAME, OTHER):
        torch.manual_seed(7)
        module = timm.create_model(index.config(name)["architecture"], pretrained=False)
        made[name] = save({key: value.contiguous() for key, value in module.state_dict().items()})
    return made


@pytest.fixture
def filled(hub: Any, weights: Mapping[str, bytes]) -> Any:
    """A hub that has both."""
    for name, data in weights.items():
        hub.files[name, "model.safetensors"] = data
        config = {key: value for key, value in index.config(name).items() if key != "name"}
        hub.files[name, "config.json"] = json.dumps({**config, "from": "the publisher"}).encode()
    return hub


@pytest.fixture
def simple(hub: Any) -> Any:
    """A hub whose weights are none, but have the right names: enough for all that runs no network."""
    for number, name in enumerate((NAME, OTHER)):
        hub.files[name, "model.safetensors"] = bytes([number]) * 200_000
    return hub


@pytest.fixture
def signet(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in this process."""
    from signet.cli.main import main

    def run(*words: object) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        streams = capsys.readouterr()
        return Ran(code, streams.out, streams.err)

    return run


@pytest.fixture
def signet_process() -> Callable[..., Ran]:
    """Run a command in a process of its own."""

    def run(*words: object, stdin: str = "", **surroundings: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "signet", *map(str, words)],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, **surroundings},
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
