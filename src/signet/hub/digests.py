"""The sha256 of a weight file, remembered as long as the file does not change.

Hashing 100 MB at every start would cost more than the prediction. A small record in the cache holds the
digest with the file's size, times and number; any difference in these means hashing again. A file that
changed within the two seconds before it was hashed is not remembered: on a coarse clock a second change
would leave the same times behind (the same trap as git's "racily clean" entries).
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from signet.errors import BadInput, SignetError
from signet.storage import cache_folder, digest_of, read_json, write_json

SETTLED_NANOSECONDS = 2_000_000_000


def remembered_digest(path: Path) -> str:
    """The sha256 of the file as it is now, hashed only when it may have changed since the last time.

    A cache that cannot be read or written costs time, nothing else.

    Raises:
        BadInput: the file cannot be read.
    """
    state = _state_of(path)
    try:
        record = _record_of(path)
        known = read_json(record, limit_bytes=4096)
    except SignetError:
        known = {}
    if state is not None and known.get("state") == state and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    started = time.time_ns()
    digest = digest_of(path)
    settled = state is not None and started - max(state["mtime_ns"], state["ctime_ns"]) > SETTLED_NANOSECONDS
    if settled and _state_of(path) == state:
        _remember(path, {"state": state, "sha256": digest})
    return digest


def _state_of(path: Path) -> dict[str, int] | None:
    """What changes when the file's bytes do; ctime cannot be set back by whoever changes them."""
    try:
        status = path.stat()
    except OSError:
        return None
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
        "number": status.st_ino,
    }


def _record_of(path: Path) -> Path:
    key = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    return cache_folder() / "digests" / f"{key[:32]}.json"


def _remember(path: Path, record: dict[str, object]) -> None:
    try:
        write_json(_record_of(path), record, overwrite=True)
    except (SignetError, BadInput):
        return  # a cache that is full or read-only: hash again next time
