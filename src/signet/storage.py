"""The disk: files that are whole or not there, digests, locks, and where the cache is.

Whatever is written here appears under its name in one step: it is made under a temporary name in the same
folder, forced to the disk, then renamed. A process killed half way leaves at most a file that begins with a
dot and has `.part` in its name; never half a file under the name that others read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signet.errors import AlreadyExists, BadInput, BadRequest, SignetError
from signet.naming import shown

if TYPE_CHECKING:
    from filelock import BaseFileLock

CACHE_VARIABLE = "SIGNET_CACHE"
JSON_LIMIT_BYTES = 64 * 1024 * 1024
_DEVICE_FOLDERS = ("/dev", "/dev/fd", "/proc/self/fd")
# What lies here stands for an open stream (/dev/stdout), even where that stream is a file.


def cache_folder() -> Path:
    """The folder for what can be had again: downloaded weights, compiled models, traced graphs.

    `SIGNET_CACHE` names it; else it is `signet` in the platform's own cache folder. It is read at each call,
    created when missing, and then for its owner only (0700): compiled models are run as they lie there.
    Source: XDG Base Directory Specification 0.8 (a relative `XDG_CACHE_HOME` is ignored).

    Raises:
        SignetError: it cannot be created or is not a folder.
    """
    stated = os.environ.get(CACHE_VARIABLE, "")
    try:
        folder = Path(stated).expanduser().absolute() if stated else _platform_cache() / "signet"
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise SignetError(
            f"the cache folder {stated or 'of this platform'} cannot be made: {_reason(error)}. "
            f"Set {CACHE_VARIABLE} to a folder that can be written."
        ) from error
    return folder


def digest_of(path: str | Path) -> str:
    """The sha256 of a file as 64 lower-case hex digits; the file is streamed, never held in memory.

    Raises:
        BadInput: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {_reason(error)}. Expected a file that this user may read."
        ) from error


def read_json(path: str | Path, *, limit_bytes: int = JSON_LIMIT_BYTES) -> dict[str, Any]:
    """The object in a JSON file, read with suspicion.

    Raises:
        BadInput: missing, unreadable, larger than `limit_bytes`, not UTF-8 JSON, or not an object.
    """
    try:
        with Path(path).open("rb") as stream:
            raw = stream.read(limit_bytes + 1)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {_reason(error)}. Expected a JSON file that this user may read."
        ) from error
    if len(raw) > limit_bytes:
        raise BadInput(f"{path}: expected JSON of at most {limit_bytes} bytes, got more. It is not read.")
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: expected JSON in UTF-8, got something else ({error}).") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path}: expected a JSON object, got a {type(value).__name__}.")
    return value


def write_bytes(path: str | Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file in one step.

    Raises:
        AlreadyExists: it is there and `overwrite` was not given.
        SignetError: the disk refuses.
    """
    with new_file(path, overwrite=overwrite) as temporary, _as_ours(path):
        temporary.write_bytes(data)


def write_json(path: str | Path, value: object, *, overwrite: bool = False) -> None:
    """Write `value` as indented UTF-8 JSON, in one step; keys stay in their order, NaN is refused.

    Raises:
        AlreadyExists: it is there and `overwrite` was not given.
        SignetError: the disk refuses.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    write_bytes(path, f"{text}\n".encode(), overwrite=overwrite)


@contextmanager
def new_file(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Lend a temporary path beside `path`; on leaving, what was written there gets its name.

    The temporary path keeps the suffix, because some writers choose the format by it. Missing parent
    folders are made. When the body raises, nothing is left.

    Raises:
        AlreadyExists: `path` is there and `overwrite` was not given (asked before and after the work).
        BadRequest: `path` is a device or a pipe.
        SignetError: the disk refuses.
    """
    target = Path(path)
    _refuse_existing(target, overwrite)
    temporary = _temporary_beside(target)
    with _as_ours(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.open("xb").close()
    try:
        yield temporary
        with _as_ours(target):
            _force_to_disk(temporary)
            _name_file(temporary, target, overwrite)
            _force_to_disk(target.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def move_into_place(finished: str | Path, path: str | Path) -> None:
    """Give a file that is finished and lies in the same file system its name, replacing what has it now.

    Raises:
        SignetError: the disk refuses.
    """
    with _as_ours(path):
        _force_to_disk(Path(finished))
        _name_file(Path(finished), Path(path), overwrite=True)
        _force_to_disk(Path(path).parent)


def move_folder_into_place(finished: str | Path, path: str | Path, *, overwrite: bool = False) -> None:
    """Give a folder that is finished and lies in the same file system its name, with all that is in it.

    With `overwrite` the old folder is moved aside first and deleted last: between two renames there is
    nothing under the name, but never a mixture.

    Raises:
        AlreadyExists: `path` is there and `overwrite` was not given.
        SignetError: the disk refuses.
    """
    folder, target = Path(finished), Path(path)
    with _as_ours(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        for inner in folder.rglob("*"):
            if not inner.is_symlink() and (inner.is_file() or inner.is_dir()):
                _force_to_disk(inner)
        _force_to_disk(folder)
        _name_folder(folder, target, overwrite)
        _force_to_disk(target.parent)


@contextmanager
def new_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Lend an empty temporary folder beside `path`; on leaving, it gets its name with all that is in it.

    With `overwrite` the old folder is moved aside first and deleted last: between two renames there is
    nothing under the name, but never a mixture.

    Raises:
        AlreadyExists: `path` is there and `overwrite` was not given (asked before and after the work).
        BadRequest: `path` is a device or a pipe.
        SignetError: the disk refuses.
    """
    target = Path(path)
    _refuse_existing(target, overwrite)
    temporary = _temporary_beside(target)
    with _as_ours(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    try:
        yield temporary
        move_folder_into_place(temporary, target, overwrite=overwrite)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(
    path: str | Path, *, seconds: float = 600.0, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold the lock of `path` (the file `PATH.lock`) against other processes and threads that ask for it.

    The operating system frees the lock when its holder dies, however it dies. The lock file stays.

    Args:
        path: what is locked; need not exist, its folder is made.
        seconds: how long to wait for another holder.
        on_wait: called once when there is another holder, before waiting.

    Raises:
        SignetError: another holder kept it for all that time, or the disk refuses.
    """
    from filelock import FileLock

    name = Path(path).with_name(f"{Path(path).name}.lock")
    with _as_ours(name):
        name.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(name))
    held = _acquired(lock, 0.0)
    if not held:
        if on_wait is not None:
            on_wait()
        held = _acquired(lock, seconds)
    if not held:
        raise SignetError(
            f"{path} is in use by another process, which did not finish within {seconds:g} seconds. "
            f"Wait for it and try again, or end it; the lock is {name}."
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def first_here(path: str | Path) -> Iterator[bool]:
    """Whether nobody else is inside the same block for `path` now; never waits.

    For work that may be done by several at once, and is done better when they know of each other.
    """
    from filelock import FileLock

    name = Path(path).with_name(f"{Path(path).name}.lock")
    with _as_ours(name):
        name.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(name))
    held = _acquired(lock, 0.0)
    try:
        yield held
    finally:
        if held:
            lock.release()


def _acquired(lock: BaseFileLock, seconds: float) -> bool:
    """Whether the lock could be had within that time."""
    from filelock import Timeout

    with _as_ours(lock.lock_file):
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            return False
        return True


def _platform_cache() -> Path:
    """Where this platform keeps what can be had again."""
    if sys.platform == "win32":
        stated = os.environ.get("LOCALAPPDATA", "")
        return Path(stated) if stated else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    stated = os.environ.get("XDG_CACHE_HOME", "")
    return Path(stated) if stated and Path(stated).is_absolute() else Path.home() / ".cache"


def refuse_device(path: str | Path) -> None:
    """Refuse a name that is a device, a pipe or a socket, or a link of the system to one.

    To "replace" such a name would take it away from every program on the machine.

    Raises:
        BadRequest: it is one.
    """
    target = Path(path)
    try:
        special = target.exists() and not (target.is_file() or target.is_dir())
    except OSError:
        return
    if special or os.path.dirname(os.path.abspath(target)) in _DEVICE_FOLDERS:  # noqa: PTH100, PTH120
        raise BadRequest(
            f"{shown(target)}: expected the name of a file to write, got a device or a pipe, which is never "
            "replaced. Give the name of a file."
        )


def _refuse_existing(target: Path, overwrite: bool) -> None:
    refuse_device(target)
    # lexists: a dangling link is also something that would be overwritten.
    if not overwrite and os.path.lexists(target):
        raise AlreadyExists(target)


def _temporary_beside(target: Path) -> Path:
    return target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}.part{target.suffix}")


def _name_file(temporary: Path, target: Path, overwrite: bool) -> None:
    """Give the finished file its name."""
    if overwrite:
        temporary.replace(target)
        return
    try:
        # A hard link refuses an existing name in the same step; a rename would replace it silently.
        target.hardlink_to(temporary)
    except FileExistsError as error:
        raise AlreadyExists(target) from error
    except OSError:
        # No hard links on this file system: ask, then rename.
        _refuse_existing(target, overwrite)
        temporary.replace(target)


def _name_folder(temporary: Path, target: Path, overwrite: bool) -> None:
    """Give the finished folder its name; what lay there moves aside and is deleted at the end."""
    _refuse_existing(target, overwrite)
    if not os.path.lexists(target):
        temporary.rename(target)
        return
    aside = _temporary_beside(target)
    target.rename(aside)
    try:
        temporary.rename(target)
    except OSError:
        aside.rename(target)
        raise
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)


def _force_to_disk(path: Path) -> None:
    """Make the content survive a power cut."""
    if sys.platform == "win32":
        if path.is_dir():
            return  # folders cannot be opened there
        descriptor = os.open(path, os.O_RDWR | os.O_BINARY)  # only what is open for writing can be forced
    else:
        descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise  # some network file systems cannot, and say so with these two
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


@contextmanager
def _as_ours(path: str | Path) -> Iterator[None]:
    """Turn what the disk says into an error of our own tree."""
    try:
        yield
    except OSError as error:
        raise SignetError(
            f"{path} cannot be written: {_reason(error)}. "
            "Expected a folder that this user may write to, with room on the disk."
        ) from error
