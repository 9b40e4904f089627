"""A hub on loopback, a cache and no mirror, for every test of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from signet.hub import Patience

from .server import Hub

QUICK = Patience(attempts=4, most_attempts=12, first_wait=0.01, longest_wait=0.5, silence=20, lock=30)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SIGNET_MIRROR", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub.utils import close_session

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_loopback")
    close_session()
    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running
        close_session()


@pytest.fixture
def quick() -> Patience:
    return QUICK


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("SIGNET_MIRROR", str(folder))
    return folder
