"""The disk floor: whole files or none, digests, locks, the cache's place."""

import hashlib
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from signet import storage
from signet.errors import AlreadyExists, BadInput, BadRequest, SignetError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_write_and_read_json(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "record.json"
    storage.write_json(path, {"b": 1, "a": "é"})
    assert storage.read_json(path) == {"b": 1, "a": "é"}
    assert path.read_bytes() == b'{\n  "b": 1,\n  "a": "\xc3\xa9"\n}\n'
    assert names(path.parent) == ["record.json"]


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        storage.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert names(tmp_path) == []


def test_existing_file_is_kept_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    storage.write_bytes(path, b"old")
    with pytest.raises(AlreadyExists, match="not overwritten"):
        storage.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    storage.write_bytes(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


def test_devices_and_pipes_are_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for name in (pipe, "/dev/null", "/dev/stdout", "/dev/fd/1", "/dev/not-there"):
        with pytest.raises(BadRequest, match="device or a pipe"):
            storage.write_bytes(name, b"x", overwrite=True)
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


@pytest.mark.parametrize("hard_links", [True, False])
def test_file_that_appears_during_the_work_is_kept(
    tmp_path: Path, hard_links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hard_links:

        def refuse(self: Path, target: Path) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "a.bin"
    with pytest.raises(AlreadyExists), storage.new_file(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"mine")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.bin"]
    path.unlink()
    storage.write_bytes(path, b"mine")
    assert path.read_bytes() == b"mine"


def test_body_that_raises_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), storage.new_file(tmp_path / "a.xml") as temporary:  # noqa: PT012
        assert temporary.suffix == ".xml"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"half")
        raise KeyError("x")
    with pytest.raises(OSError, match="from the body"), storage.new_folder(tmp_path / "b") as temporary:  # noqa: PT012
        (temporary / "half").write_bytes(b"half")
        raise OSError("from the body")
    assert names(tmp_path) == []


def test_killed_writer_leaves_no_half_file(tmp_path: Path) -> None:
    script = (
        "import sys, os\nfrom signet import storage\n"
        "with storage.new_file(sys.argv[1]) as path:\n"
        "    path.write_bytes(b'half'); os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.bin")], check=False)
    assert ended.returncode != 0
    assert not (tmp_path / "a.bin").exists()
    storage.write_bytes(tmp_path / "a.bin", b"whole")
    assert (tmp_path / "a.bin").read_bytes() == b"whole"


def test_written_file_follows_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        storage.write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "x.signet"
    with storage.new_folder(target) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "a").write_bytes(b"1")
        (temporary / "link").symlink_to("nowhere")
        assert not target.exists()
    assert (target / "inner" / "a").read_bytes() == b"1"
    assert names(tmp_path) == ["x.signet"]
    with pytest.raises(AlreadyExists), storage.new_folder(target):
        raise AssertionError("must be refused before the work")
    with storage.new_folder(target, overwrite=True) as temporary:
        (temporary / "b").write_bytes(b"2")
    assert names(target) == ["b"]
    assert names(tmp_path) == ["x.signet"]


def test_folder_may_replace_a_file_but_a_file_no_folder(tmp_path: Path) -> None:
    storage.write_bytes(tmp_path / "a", b"1")
    with storage.new_folder(tmp_path / "a", overwrite=True):
        pass
    assert (tmp_path / "a").is_dir()
    with pytest.raises(SignetError, match="cannot be written"):
        storage.write_bytes(tmp_path / "a", b"1", overwrite=True)
    assert names(tmp_path) == ["a"]


def test_failed_swap_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.signet"
    target.mkdir()
    (target / "old").write_bytes(b"1")
    rename = Path.rename

    def fail_for_the_new(self: Path, other: Path) -> Path:
        if other == target and (self / "new").exists():
            raise OSError(5, "Input/output error")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", fail_for_the_new)
    with pytest.raises(SignetError, match="Input/output"), storage.new_folder(target, overwrite=True) as made:
        (made / "new").write_bytes(b"2")
    assert names(target) == ["old"]
    assert names(tmp_path) == ["x.signet"]


def test_disk_errors_are_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SignetError, match=r"cannot be written: .*Expected a folder that this user may write"):
        storage.write_bytes(tmp_path / "file" / "inner", b"x")
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        storage.digest_of(tmp_path / "absent")


def test_digest_is_sha256(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(data)
    assert storage.digest_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[1]", "expected a JSON object, got a list"),
        (b"{", "expected JSON in UTF-8"),
        (b"\xff\xfe", "expected JSON in UTF-8"),
        (b'{"a":' * 100_000, "expected JSON"),
        (b'{"a": "' + b"x" * 2_000_000 + b'"}', "at most 1000000 bytes"),
    ],
)
def test_hostile_json_is_refused(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(raw)
    with pytest.raises(BadInput, match=message):
        storage.read_json(tmp_path / "a.json", limit_bytes=1_000_000)


def test_cache_folder_is_private_and_read_at_each_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "one" / "cache"))
    assert storage.cache_folder() == tmp_path / "one" / "cache"
    assert stat.S_IMODE((tmp_path / "one" / "cache").stat().st_mode) == 0o700
    monkeypatch.setenv("SIGNET_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert storage.cache_folder() == tmp_path / "xdg" / "signet"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert storage.cache_folder() == tmp_path / "home" / ".cache" / "signet"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert storage.cache_folder() == tmp_path / "home" / "Library" / "Caches" / "signet"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert storage.cache_folder() == tmp_path / "local" / "signet"


def test_cache_that_cannot_be_made_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SignetError, match="Set SIGNET_CACHE to a folder"):
        storage.cache_folder()


def test_lock_excludes_threads_and_says_who_waits(tmp_path: Path) -> None:
    held, release, waited = threading.Event(), threading.Event(), []

    def hold() -> None:
        with storage.locked(tmp_path / "deep" / "a"):
            held.set()
            release.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(20)
        with (
            pytest.raises(SignetError, match=r"in use by another process.*within 0.1 seconds"),
            storage.locked(tmp_path / "deep" / "a", seconds=0.1, on_wait=lambda: waited.append(1)),
        ):
            raise AssertionError("two holders")
    finally:
        release.set()
        holder.join()
    assert waited == [1]
    with storage.locked(tmp_path / "deep" / "a", seconds=0.1):
        pass


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    script = (
        "import sys, os\nfrom signet import storage\n"
        "with storage.locked(sys.argv[1]):\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], check=False)
    assert (tmp_path / "a.lock").exists()
    with storage.locked(tmp_path / "a", seconds=0.1):
        pass
