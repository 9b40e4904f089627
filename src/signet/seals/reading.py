"""Opening a seal: every file is held to its digest before anything looks into one."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from signet.cards import Card
from signet.errors import BadInput, Tampered
from signet.naming import shown
from signet.networks import Variant
from signet.seals.manifest import Manifest, SealedFile, parse
from signet.seals.names import (
    DIGEST,
    MANIFEST,
    MOST_FILES,
    SIGNATURE,
    SUFFIX,
    ZIP_SUFFIX,
    collision,
    wrong_name,
)
from signet.seals.unpacking import unpacked
from signet.storage import JSON_LIMIT_BYTES, digest_of

PARALLEL_BYTES = 8 << 20
"""Seals larger than this are hashed by several threads: below it takes 5 milliseconds by one."""
_DIGEST_LINE = re.compile(rb"([0-9a-f]{64})  seal\.json\n")


@dataclass(frozen=True, slots=True)
class Seal:
    """A sealed model on disk whose files were all held to their digests.

    Attributes:
        path: the folder with its files; for a zip the folder that it was unpacked to.
        digest: sha256 hex of `seal.json`, which holds the digests of all other files.
        manifest: what `seal.json` states.
    """

    path: Path
    digest: str
    manifest: Manifest

    @property
    def card(self) -> Card:
        """All that is known of the model."""
        return self.manifest.card

    @property
    def variants(self) -> tuple[Variant, ...]:
        """How other engines and precisions decided."""
        return self.manifest.variants

    @property
    def graphs(self) -> dict[str, Path]:
        """Role to graph file."""
        return {role: self.path / name for role, name in self.manifest.graphs.items()}

    @property
    def weights(self) -> Path | None:
        """The weights that can be trained further."""
        return None if self.manifest.weights is None else self.path / self.manifest.weights

    @property
    def golden(self) -> tuple[Path, ...]:
        """The golden images."""
        return tuple(self.path / entry.file for entry in self.manifest.golden)

    @property
    def expected(self) -> Path:
        """The tensors that the golden images gave."""
        return self.path / self.manifest.expected

    @property
    def signature(self) -> Path | None:
        """Who made it, by a signature that nobody has checked yet: see `signing`."""
        path = self.path / SIGNATURE
        return path if path.is_file() else None

    @property
    def size_bytes(self) -> int:
        """Of all listed files together."""
        return sum(file.size for file in self.manifest.files.values())

    def golden_words(self) -> list[str]:
        """One line for each golden image, for a person."""
        origin = {"own": "one of your images", "made": "made by Signet"}
        return [
            ", ".join(filter(None, (f"{entry.file}: {origin[entry.source]}", *entry.traits, entry.note)))
            for entry in self.manifest.golden
        ]


def is_seal(path: str | Path) -> bool:
    """Whether a path looks like a sealed folder or zip; `open_seal` decides whether it is one."""
    place = Path(path)
    if place.is_dir():
        return place.suffix == SUFFIX or any(os.path.lexists(place / name) for name in (MANIFEST, DIGEST))
    return place.is_file() and place.suffix.lower() == ZIP_SUFFIX


def open_seal(path: str | Path) -> Seal:
    """Check a seal and read its manifest; no graph, weight or image is opened.

    Args:
        path: the folder, or a zip of it (unpacked into the cache once).

    Raises:
        BadInput: there is nothing there, or neither folder nor zip.
        Tampered: a file is missing, unlisted, a link, differs in size or digest, or has a forbidden name.
        UnsupportedFormat: a higher major format.
        SealError: `seal.json` does not hold what the format states.
    """
    place = Path(path)
    if place.is_dir():
        return _open_folder(place, shown(place))
    if not place.is_file() or place.suffix.lower() != ZIP_SUFFIX:
        raise BadInput(f"{shown(place)}: expected a sealed folder (NAME{SUFFIX}) or a zip of one.")
    folder = unpacked(place)
    try:
        return _open_folder(folder, shown(place))
    except Tampered:
        # The copy in the cache may have been harmed since; the zip itself decides.
        shutil.rmtree(folder, ignore_errors=True)
        return _open_folder(unpacked(place), shown(place))


def digest_of_manifest(path: str | Path) -> str:
    """sha256 hex of the `seal.json` of a folder as it stands, checked or not; "" when there is none."""
    try:
        return digest_of(Path(path) / MANIFEST)
    except BadInput:
        return ""


def _open_folder(folder: Path, name: str) -> Seal:
    present = dict(_files_in(folder, name))
    data = _small_file(folder, MANIFEST, present, name, JSON_LIMIT_BYTES)
    stated = _DIGEST_LINE.fullmatch(_small_file(folder, DIGEST, present, name, 1024))
    if stated is None:
        raise Tampered(f"{name}: {DIGEST} is expected to hold '<64 hex digits>  {MANIFEST}' and a line feed.")
    digest = hashlib.sha256(data).hexdigest()
    if stated[1].decode() != digest:
        raise Tampered(
            f"{name}: {MANIFEST} is not what was sealed, or {DIGEST} is not: expected the sha256 "
            f"{stated[1].decode()}, got {digest}. Get the seal again from where it came."
        )
    manifest = parse(data, name)
    _check_names(manifest, name)
    _check_files(folder, manifest, present, name)
    return Seal(folder, digest, manifest)


def _check_names(manifest: Manifest, name: str) -> None:
    listed = list(manifest.files)
    if len(listed) > MOST_FILES:
        raise Tampered(f"{name}: expected at most {MOST_FILES} files, seal.json lists {len(listed)}.")
    for file in listed:
        reason = wrong_name(file)
        if reason:
            raise Tampered(f"{name}: seal.json lists the file {shown(file)!r}: {reason}.")
    clash = collision([MANIFEST, DIGEST, SIGNATURE, *listed])
    if clash:
        raise Tampered(
            f"{name}: seal.json lists {shown(clash[0])!r} and {shown(clash[1])!r}, which are one file where "
            "case does not count: expected different names."
        )


def _check_files(folder: Path, manifest: Manifest, present: dict[str, int], name: str) -> None:
    """Presence and size of all files first, digests last: the cheap checks refuse first."""
    for file in present:
        if file not in manifest.files and file not in (MANIFEST, DIGEST, SIGNATURE):
            raise Tampered(
                f"{name}: the file {shown(file)!r} is not listed in {MANIFEST}: expected only files "
                "that were sealed. Remove it if you put it there."
            )
    for file, stated in manifest.files.items():
        if file not in present:
            raise Tampered(f"{name}: the file {shown(file)!r} is missing. Get the seal again.")
        if present[file] != stated.size:
            raise Tampered(
                f"{name}: the file {shown(file)!r} is not what was sealed: expected {stated.size} bytes, "
                f"got {present[file]}. Get the seal again from where it came."
            )
    places = [folder / file for file in manifest.files]
    if sum(present[file] for file in manifest.files) < PARALLEL_BYTES:
        _check_digests(manifest.files, map(digest_of, places), name)
    else:
        # Hashing lets go of the interpreter's lock, and weights and graph are about as large.
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            _check_digests(manifest.files, pool.map(digest_of, places), name)


def _check_digests(files: Mapping[str, SealedFile], digests: Iterable[str], name: str) -> None:
    """Hold each file to its digest, in the order of the list, whichever was hashed first."""
    for (file, stated), digest in zip(files.items(), digests, strict=True):
        if digest != stated.sha256:
            raise Tampered(
                f"{name}: the file {shown(file)!r} is not what was sealed: expected the sha256 "
                f"{stated.sha256}, got {digest}. Get the seal again from where it came."
            )


def _files_in(folder: Path, name: str) -> Iterator[tuple[str, int]]:
    """(name, size) of every file below a folder; links and devices are refused, empty folders too."""
    waiting = [(folder, "")]
    count = 0
    while waiting:
        current, start = waiting.pop()
        empty = True
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    empty = False
                    count += 1
                    inner = f"{start}{entry.name}"
                    status = entry.stat(follow_symlinks=False)
                    if count > 2 * MOST_FILES or inner.count("/") > 2 * MOST_FILES:
                        raise Tampered(f"{name}: expected at most {MOST_FILES} files, got more.")
                    # A junction of Windows looks like a folder and is a link.
                    linked = entry.is_symlink() or bool(getattr(status, "st_reparse_tag", 0))
                    if stat.S_ISDIR(status.st_mode) and not linked:
                        waiting.append((Path(entry.path), f"{inner}/"))
                    elif stat.S_ISREG(status.st_mode) and not linked:
                        yield inner, status.st_size
                    else:
                        kind = "a link" if linked else "no plain file"
                        raise Tampered(f"{name}: {shown(inner)!r} is {kind}: expected plain files only.")
        except OSError as error:
            raise BadInput(f"{name} cannot be read: {error.strerror or error}.") from error
        if empty and start:
            raise Tampered(
                f"{name}: the folder {shown(start)!r} is empty: expected only files that were sealed."
            )


def _small_file(folder: Path, file: str, present: dict[str, int], name: str, most: int) -> bytes:
    if file not in present:
        raise Tampered(f"{name}: the file {file!r} is missing: expected a sealed folder, which has one.")
    if present[file] > most:
        raise Tampered(f"{name}: {file} has {present[file]} bytes: expected at most {most}. It is not read.")
    try:
        return (folder / file).read_bytes()
    except OSError as error:
        raise BadInput(f"{name}: {file} cannot be read: {error.strerror or error}.") from error
