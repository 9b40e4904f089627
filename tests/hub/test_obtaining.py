"""The order of places, what is said when there is nothing, pinned, locked and unknown."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from signet.errors import BadRequest, DigestMismatch, HubError, OfflineMiss
from signet.hub import Patience, Remote, in_cache, list_cache, obtain
from signet.progress import Progress

from .server import COMMIT, Hub

NAME = "timm/resnet50.a1_in1k"
REMOTE = Remote(repository=NAME)
WEIGHTS = os.urandom(300_000)
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
CONFIG = {"architecture": "resnet50", "num_classes": 1000}


@pytest.fixture(autouse=True)
def filled(request: pytest.FixtureRequest) -> None:
    if "hub" in request.fixturenames:
        hub = request.getfixturevalue("hub")
        hub.files[NAME, "model.safetensors"] = WEIGHTS
        hub.files[NAME, "config.json"] = json.dumps(CONFIG).encode()


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_first_download_is_locked_and_kept(hub: Hub, quick: Patience, cache: Path) -> None:
    moments: list[Progress] = []
    files = obtain(NAME, REMOTE, on_progress=moments.append, patience=quick)
    folder = cache / "models" / "timm" / "resnet50.a1_in1k"
    assert files.weights == folder / "model.safetensors"
    assert files.weights.read_bytes() == WEIGHTS
    assert (files.digest, files.trust, files.where) == (DIGEST, "locked", "hub")
    assert files.config == CONFIG
    assert names(folder) == ["config.json", "model.safetensors", "signet.json", "weights.lock"]
    assert moments[-1] == Progress(f"downloading {NAME}@main/model.safetensors", 300_000, 300_000, "bytes")
    assert json.loads((folder / "signet.json").read_text())["commit"] == COMMIT
    asked = len(hub.requests)
    again = obtain(NAME, REMOTE, offline=True, patience=quick)
    assert (again.digest, again.trust, again.where, again.config) == (DIGEST, "locked", "cache", CONFIG)
    assert len(hub.requests) == asked
    assert list_cache() == (NAME,)


def test_token_goes_to_the_hub_and_nowhere_else(hub: Hub, quick: Patience) -> None:
    obtain(NAME, REMOTE, patience=quick)
    asked_hub = [one for one in hub.requests if "/resolve/" in one.path]
    assert all(one.headers["authorization"] == "Bearer hf_loopback" for one in asked_hub)
    assert all("signet/" in one.headers["user-agent"] for one in asked_hub)
    (content,) = hub.bytes_requests()
    assert "authorization" not in content.headers
    hub.plain["a.pth"] = b"x"
    obtain("torchvision/a", Remote(address=f"{hub.endpoint}/plain/a.pth"), patience=quick)
    assert "authorization" not in hub.requests[-1].headers


def test_bytes_are_asked_of_one_commit(hub: Hub, quick: Patience) -> None:
    obtain(NAME, REMOTE, patience=quick)
    paths = {one.path for one in hub.requests if one.method == "GET" and "/resolve/" in one.path}
    assert paths == {
        f"/{NAME}/resolve/{COMMIT}/model.safetensors",
        f"/{NAME}/resolve/{COMMIT}/config.json",
    }


def test_pickle_only_where_there_is_no_safetensors(hub: Hub, quick: Patience) -> None:
    hub.files[NAME, "pytorch_model.bin"] = b"pickle"
    assert obtain(NAME, REMOTE, patience=quick).weights.name == "model.safetensors"
    hub.files["timm/old", "pytorch_model.bin"] = b"pickle"
    old = obtain("timm/old", Remote(repository="timm/old"), patience=quick)
    assert (old.weights.name, old.config) == ("pytorch_model.bin", None)


def test_pinned_digest_is_held(hub: Hub, quick: Patience) -> None:
    pinned = Remote(repository=NAME, sha256=DIGEST)
    assert obtain(NAME, pinned, patience=quick).trust == "pinned"
    assert obtain(NAME, REMOTE, offline=True).trust == "pinned"
    other = Remote(repository=NAME, sha256="0" * 64)
    with pytest.raises(DigestMismatch, match="publisher changed the file since"):
        obtain(NAME, other, patience=quick)
    with pytest.raises(
        OfflineMiss, match=r"the cache .* holds other weights, from timm/resnet50.a1_in1k@main"
    ):
        obtain(NAME, other, offline=True)


def test_locked_weights_become_pinned_when_the_pin_agrees(hub: Hub, quick: Patience) -> None:
    obtain(NAME, REMOTE, patience=quick)
    assert obtain(NAME, Remote(repository=NAME, sha256=DIGEST), offline=True).trust == "pinned"


def test_other_revision_is_other_weights_but_its_commit_is_not(hub: Hub, quick: Patience) -> None:
    obtain(NAME, REMOTE, patience=quick)
    assert in_cache(NAME, Remote(repository=NAME, revision=COMMIT)) is not None
    assert in_cache(NAME, Remote(repository=NAME, revision="v1")) is None
    hub.files[NAME, "model.safetensors"] = b"version one"
    del hub.files[NAME, "config.json"]
    found = obtain(NAME, Remote(repository=NAME, revision="v1"), patience=quick)
    assert (found.weights.read_bytes(), found.config) == (b"version one", None)
    assert in_cache(NAME, REMOTE) is None


def test_changed_byte_in_the_cache_is_detected(hub: Hub, quick: Patience, cache: Path) -> None:
    files = obtain(NAME, REMOTE, patience=quick)
    obtain(NAME, REMOTE, patience=quick)
    files.weights.write_bytes(WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1]))
    with pytest.raises(DigestMismatch, match=r"was changed or damaged since.*Delete .* to download it again"):
        obtain(NAME, REMOTE, patience=quick)
    files.weights.write_bytes(WEIGHTS)
    assert obtain(NAME, REMOTE, offline=True).digest == DIGEST
    (files.weights.parent / "config.json").write_text("{}")
    with pytest.raises(DigestMismatch, match=r"config\.json has the sha256"):
        obtain(NAME, REMOTE, offline=True)


def test_damaged_receipt_is_named_and_missing_file_is_a_miss(hub: Hub, quick: Patience) -> None:
    files = obtain(NAME, REMOTE, patience=quick)
    files.weights.unlink()
    assert in_cache(NAME) is None
    assert obtain(NAME, REMOTE, patience=quick).where == "hub"
    receipt = files.weights.parent / "signet.json"
    for broken in ("{", "{}", '{"format": 2}', receipt.read_text().replace("model.safe", "../model.safe")):
        receipt.write_text(broken)
        with pytest.raises(HubError, match=r"signet.json is damaged.*Delete"):
            in_cache(NAME)


def test_replaced_weights_are_never_a_mixture(
    hub: Hub, quick: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    obtain(NAME, REMOTE, patience=quick)
    hub.files[NAME, "model.safetensors"] = b"version one"

    def die(finished: Path, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("signet.hub.cache.move_into_place", die)
        with pytest.raises(KeyboardInterrupt):
            obtain(NAME, Remote(repository=NAME, revision="v1"), patience=quick)
    assert in_cache(NAME) is None
    found = obtain(NAME, Remote(repository=NAME, revision="v1"), patience=quick)
    assert found.weights.read_bytes() == b"version one"


def test_address_digits_are_checked(hub: Hub, quick: Patience) -> None:
    hub.plain[f"resnet50-{DIGEST[:8]}.pth"] = WEIGHTS
    good = Remote(address=f"{hub.endpoint}/plain/resnet50-{DIGEST[:8]}.pth")
    files = obtain("torchvision/resnet50.v1", good, patience=quick)
    assert (files.digest, files.trust, files.config) == (DIGEST, "locked", None)
    assert files.weights.name == f"resnet50-{DIGEST[:8]}.pth"
    hub.plain["resnet50-00000000.pth"] = WEIGHTS
    bad = Remote(address=f"{hub.endpoint}/plain/resnet50-00000000.pth")
    with pytest.raises(DigestMismatch, match=r"but 00000000\.\.\. was promised. It is deleted"):
        obtain("torchvision/resnet50.v2", bad, patience=quick)
    with pytest.raises(OfflineMiss):
        obtain("torchvision/resnet50.v2", bad, offline=True)


def test_offline_says_where_it_looked(hub: Hub, mirror: Path, cache: Path) -> None:
    with pytest.raises(OfflineMiss) as caught:
        obtain(NAME, REMOTE, offline=True)
    message = str(caught.value)
    for part in ("in the package", str(cache), str(mirror), "--offline", f"{NAME}/model.safetensors"):
        assert part in message
    assert hub.requests == []


def test_nothing_known_names_what_is_near(hub: Hub, quick: Patience) -> None:
    obtain(NAME, REMOTE, patience=quick)
    with pytest.raises(
        HubError,
        match=r"No public weights are known for 'resnet5'.*On this machine is 'timm/resnet50.a1_in1k'",
    ):
        obtain("resnet5")
    with pytest.raises(
        HubError, match=r"is refused \(HTTP 401\).*On this machine is 'timm/resnet50.a1_in1k'"
    ):
        obtain("timm/resnet50.a1", Remote(repository="timm/resnet50.a1"), patience=quick)


def test_cache_comes_before_mirror_and_mirror_before_hub(hub: Hub, mirror: Path, quick: Patience) -> None:
    folder = mirror / NAME
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    found = obtain(NAME, REMOTE, patience=quick)
    assert (found.where, found.trust) == ("mirror", "unknown")
    assert obtain(NAME, Remote(repository=NAME, sha256=DIGEST)).trust == "pinned"
    with pytest.raises(DigestMismatch, match="is pinned for these weights"):
        obtain(NAME, Remote(repository=NAME, sha256="0" * 64))
    assert hub.requests == []
    (folder / "model.safetensors").unlink()
    assert obtain(NAME, REMOTE, patience=quick).where == "hub"
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    assert obtain(NAME, REMOTE, patience=quick).where == "cache"


def test_unusable_cache_does_not_stop_the_mirror(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "file" / "cache"))
    (mirror / "a").mkdir()
    (mirror / "a" / "model.safetensors").write_bytes(WEIGHTS)
    assert obtain("a").digest == DIGEST


@pytest.mark.parametrize(
    "name", ["", "../a", "a/../b", "/etc/passwd", "a\\b", "a//b", "a/", "c:x", "a\n", "a/.b"]
)
def test_names_that_lead_out_are_refused_everywhere(name: str, mirror: Path) -> None:
    with pytest.raises(BadRequest, match="cannot be a model's name"):
        obtain(name, REMOTE, offline=True)


CHILD = """
import json, sys
from signet.hub import Patience, Remote, obtain
files = obtain(sys.argv[1], Remote(repository=sys.argv[1]), patience=Patience(first_wait=0.05, silence=20))
print(files.digest, files.where)
"""


def start(name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_download_once(hub: Hub) -> None:
    hub.faults.seconds_a_chunk = 0.05
    children = [start(NAME), start(NAME)]
    answers = sorted(tuple(child.communicate(timeout=60)[0].split()) for child in children)
    assert answers == [(DIGEST, "cache"), (DIGEST, "hub")]
    assert len(hub.bytes_requests()) == 1


def test_killed_download_goes_on_where_it_was(hub: Hub, cache: Path, quick: Patience) -> None:
    hub.faults.seconds_a_chunk = 0.05
    part = cache / "models" / NAME / "model.safetensors.part"
    child = start(NAME)
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 100_000):
        assert time.monotonic() < deadline
        assert child.poll() is None, child.communicate()
        time.sleep(0.01)
    child.kill()
    child.communicate()
    come = part.stat().st_size
    assert in_cache(NAME) is None
    hub.faults.seconds_a_chunk = 0
    files = obtain(NAME, REMOTE, patience=quick)
    assert files.weights.read_bytes() == WEIGHTS
    assert hub.bytes_requests()[-1].headers["range"] == f"bytes={come}-"
    assert "model.safetensors.part" not in names(files.weights.parent)
    assert "model.safetensors.part.json" not in names(files.weights.parent)


def test_what_lies_beside_the_weights_comes_from_the_same_commit_and_is_held_to_its_digest(
    hub: Hub, quick: Patience, cache: Path
) -> None:
    """Other zoos keep their preprocessing in a file of its own."""
    obtain(NAME, REMOTE, patience=quick)
    hub.files[NAME, "preprocessor_config.json"] = b'{"size": 224}'
    remote = Remote(repository=NAME, beside=("preprocessor_config.json", "labels.txt"))
    assert in_cache(NAME, remote) is None, "the weights are here, but not what belongs to them"
    files = obtain(NAME, remote, patience=quick)
    beside = files.weights.with_name("preprocessor_config.json")
    assert beside.read_bytes() == b'{"size": 224}'
    paths = {one.path for one in hub.requests if one.method == "GET" and "preprocessor" in one.path}
    assert paths
    assert all(COMMIT in path for path in paths)
    asked = len(hub.requests)
    assert obtain(NAME, remote, offline=True, patience=quick).where == "cache"
    assert obtain(NAME, REMOTE, offline=True, patience=quick).where == "cache"
    assert len(hub.requests) == asked
    beside.write_bytes(b'{"size": 225}')
    with pytest.raises(DigestMismatch, match="preprocessor_config"):
        in_cache(NAME, remote)


@pytest.mark.parametrize("file", ["../x", "a/b", "signet.json", "config.json", ""])
def test_what_lies_beside_has_a_plain_name_of_its_own(file: str) -> None:
    with pytest.raises(BadRequest, match="beside weights"):
        Remote(repository=NAME, beside=(file,))


def test_a_file_beside_that_is_no_json_is_refused_before_the_weights(hub: Hub, quick: Patience) -> None:
    hub.files[NAME, "preprocessor_config.json"] = b"<html>"
    with pytest.raises(HubError, match="cannot be used"):
        obtain(NAME, Remote(repository=NAME, beside=("preprocessor_config.json",)), patience=quick)
