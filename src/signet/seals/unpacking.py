"""A zip of a seal, unpacked into the cache once; every trick that a zip can play is refused before."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path

from signet import storage
from signet.errors import BadInput, Tampered
from signet.naming import shown
from signet.seals.names import MOST_FILES, SUFFIX, collision, wrong_name

MOST_RATIO = 100
"""Unpacked bytes for each byte of the zip, at most: weights hardly shrink, bombs do."""
MOST_BYTES = 64 * 2**30
_ALLOWANCE = 2**20
_BLOCK = 1 << 20
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def unpacked(path: Path) -> Path:
    """The folder in the cache with the files of a zip; made now or found there.

    It is named by the digest of the zip, and appears whole or not at all. What the files hold is checked by
    `open_seal`, at each opening.

    Raises:
        BadInput: the file cannot be read.
        Tampered: no whole zip, or one with forbidden names, links, encryption, or a size that no seal has.
    """
    digest = storage.digest_of(path)
    target = storage.cache_folder() / "seals" / f"{digest}{SUFFIX}"
    with storage.locked(target):
        if not target.is_dir():
            with storage.new_folder(target, overwrite=True) as folder:
                _unpack(path, folder)
    return target


def _unpack(path: Path, folder: Path) -> None:
    name = shown(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check(entries, name, path.stat().st_size)
            for entry in entries:
                _extract(archive, entry, folder / entry.filename, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Tampered(
            f"{name}: expected a whole zip of a seal, got a file that is damaged ({shown(error)}). "
            "Get it again from where it came."
        ) from error
    except OSError as error:
        raise BadInput(f"{name} cannot be unpacked: {error.strerror or error}.") from error


def _check(entries: list[zipfile.ZipInfo], name: str, size_bytes: int) -> None:
    """Refuse a zip by its directory alone."""
    if len(entries) > MOST_FILES:
        raise Tampered(f"{name}: expected at most {MOST_FILES} files, got {len(entries)}.")
    for entry in entries:
        # `filename` is cut at a NUL by zipfile; what the zip really says must be the same.
        reason = wrong_name(entry.orig_filename)
        if entry.filename != entry.orig_filename:
            reason = reason or "a plain name was expected"
        mode = entry.external_attr >> 16
        if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
            reason = "a plain file was expected, not a link, folder or device"
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
            reason = "a stored or deflated file without a password was expected"
        if reason:
            raise Tampered(f"{name}: holds the file {shown(entry.orig_filename)!r}: {reason}.")
    clash = collision(entry.filename for entry in entries)
    if clash:
        raise Tampered(
            f"{name}: holds {shown(clash[0])!r} and {shown(clash[1])!r}: expected every file once, and names "
            "that differ where case does not count."
        )
    total = sum(entry.file_size for entry in entries)
    if total > min(MOST_BYTES, MOST_RATIO * size_bytes + _ALLOWANCE):
        raise Tampered(
            f"{name}: would unpack to {total} bytes from {size_bytes}: expected at most {MOST_RATIO} times "
            "its size. It is not unpacked."
        )


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, to: Path, name: str) -> None:
    """Write one file; never more bytes than its entry states."""
    to.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with archive.open(entry) as stream, to.open("xb") as out:
        while block := stream.read(min(_BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                break
            out.write(block)
    if left != 0:
        raise Tampered(
            f"{name}: the file {shown(entry.filename)!r} does not have the size that the zip states "
            f"({entry.file_size} bytes)."
        )
