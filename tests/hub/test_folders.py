"""Mirror, package and folder: one layout, held to what it states."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from signet.errors import BadRequest, DigestMismatch, HubError
from signet.hub import digests, folders, in_folder, in_mirror, in_package, list_mirror, list_package

WEIGHTS = os.urandom(10_000)
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


def fill(folder: Path, stated: object = None, weights: bytes = WEIGHTS) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text(
        json.dumps({"weights": {"sha256": DIGEST} if stated is None else stated})
    )
    return folder


def test_mirror_states_its_own_digest(mirror: Path) -> None:
    fill(mirror / "timm" / "a.b")
    found = in_mirror("timm/a.b")
    assert found is not None
    assert (found.digest, found.trust, found.where) == (DIGEST, "pinned", "mirror")
    assert found.weights == mirror / "timm" / "a.b" / "model.safetensors"
    assert found.config == {"weights": {"sha256": DIGEST}}
    assert in_mirror("timm/other") is None
    assert in_mirror("timm") is None


def test_without_statement_nobody_vouches(mirror: Path) -> None:
    (mirror / "a").mkdir()
    (mirror / "a" / "pytorch_model.bin").write_bytes(WEIGHTS)
    found = in_mirror("a")
    assert found is not None
    assert (found.config, found.trust, found.weights.name) == (None, "unknown", "pytorch_model.bin")


@pytest.mark.parametrize("settled", [False, True])
def test_changed_byte_is_detected(mirror: Path, settled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if settled:  # the digest is remembered as soon as the file has been still for this long
        monkeypatch.setattr(digests, "SETTLED_NANOSECONDS", 20_000_000)
    weights = fill(mirror / "a") / "model.safetensors"
    time.sleep(0.05)
    assert in_mirror("a") is not None
    assert in_mirror("a") is not None
    before = weights.stat()
    weights.write_bytes(WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1]))
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DigestMismatch, match=r"states .*: these are not the bytes that were promised"):
        in_mirror("a")


def test_warm_start_does_not_hash(mirror: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    weights = fill(mirror / "a") / "model.safetensors"
    hashed: list[Path] = []
    real = digests.digest_of
    monkeypatch.setattr(digests, "digest_of", lambda path: hashed.append(path) or real(path))
    in_mirror("a")
    in_mirror("a")
    assert len(hashed) == 2  # too fresh to be remembered
    monkeypatch.setattr(digests, "SETTLED_NANOSECONDS", 0)
    time.sleep(0.02)
    in_mirror("a")
    in_mirror("a")
    assert len(hashed) == 3
    os.utime(weights)
    time.sleep(0.02)
    in_mirror("a")
    assert len(hashed) == 4
    (record,) = (cache / "digests").iterdir()
    record.write_text("{")
    in_mirror("a")
    assert len(hashed) == 5


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("x", "'weights' must be an object"),
        ({"file": "../a"}, "must be the name of a file beside it"),
        ({"file": "/etc/passwd"}, "must be the name of a file beside it"),
        ({"file": 3}, "must be the name of a file beside it"),
        ({"file": "absent.safetensors"}, "which is not there"),
        ({"sha256": "12"}, "must be 64 lower-case hex digits"),
        ({"sha256": "0" * 64}, "not the bytes that were promised"),
    ],
)
def test_statements_that_do_not_hold(mirror: Path, stated: object, message: str) -> None:
    fill(mirror / "a", stated)
    with pytest.raises(HubError, match=message):
        in_mirror("a")


def test_configuration_that_is_not_json(mirror: Path) -> None:
    (fill(mirror / "a") / "config.json").write_text("{")
    with pytest.raises(HubError, match="the configuration of these weights cannot be used"):
        in_mirror("a")
    assert list_mirror() == ("a",)


def test_links_that_leave_the_mirror(mirror: Path, tmp_path: Path) -> None:
    outside = fill(tmp_path / "outside")
    (mirror / "a").symlink_to(outside)
    fill(mirror / "b").joinpath("model.safetensors").unlink()
    (mirror / "b" / "model.safetensors").symlink_to(outside / "model.safetensors")
    for name in ("a", "b"):
        with pytest.raises(HubError, match="link that leads out of"):
            in_mirror(name)
    fill(mirror / "c")
    (mirror / "d").symlink_to("c")
    assert in_mirror("d") is not None


def test_folder_that_the_user_names_may_hold_links(tmp_path: Path) -> None:
    blob = fill(tmp_path / "blobs") / "model.safetensors"
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(blob)
    found = in_folder(folder)
    assert found is not None
    assert (found.digest, found.where, found.trust) == (DIGEST, "folder", "unknown")
    assert in_folder(tmp_path / "absent") is None


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read everything")
def test_folder_that_may_not_be_read(mirror: Path) -> None:
    folder = fill(mirror / "a")
    folder.chmod(0)
    try:
        with pytest.raises(HubError, match=r"cannot be used: .*Permission denied"):
            in_mirror("a")
    finally:
        folder.chmod(0o700)


def test_mirror_that_is_not_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "absent"))
    with pytest.raises(BadRequest, match=r"which is not a folder. Expected a folder with NAME/config.json"):
        in_mirror("a")
    monkeypatch.setenv("SIGNET_MIRROR", "")
    assert in_mirror("a") is None
    assert list_mirror() == ()


def test_list_of_the_mirror(mirror: Path, tmp_path: Path) -> None:
    fill(mirror / "b")
    fill(mirror / "timm" / "a.c")
    fill(mirror / ".hidden")
    (mirror / "labels").mkdir()
    (mirror / "labels" / "config.json").write_text("{}")
    own = fill(mirror / "own", {"file": "x.pth"})
    (own / "model.safetensors").rename(own / "x.pth")
    fill(mirror / "1" / "2" / "3" / "4" / "5")
    (mirror / "link").symlink_to(fill(tmp_path / "outside"))
    assert list_mirror() == ("b", "own", "timm/a.c")


def test_package_is_read_in_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "package" / "starter")
    monkeypatch.setattr(folders, "package_folder", lambda: tmp_path / "package")
    found = in_package("starter")
    assert found is not None
    assert (found.where, found.trust) == ("package", "pinned")
    assert list_package() == ("starter",)


def test_shared_weights(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_MIRROR", str(shared / "weights"))
    assert list_mirror() == ("mobilenetv2_100.coral_in1k", "squeezenet1_0.dc_in1k")
    for name in list_mirror():
        found = in_mirror(name)
        assert found is not None
        assert found.trust == "pinned"
