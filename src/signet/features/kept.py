"""Rows of features on disk, found again by the digest of the image file that they belong to.

A folder holds the rows of one model on one engine in one precision, as shards: plain `.npy` files whose
records are (sha256 of the image file, features). A shard is written whole, under a temporary name, and
never changed; several processes may add shards at once, and see each other's when they look again. Two of
them may keep the same row twice, which costs room and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from signet import storage
from signet.arrays import Array, Floats

_DIGEST_BYTES = 32


class KeptRows:
    """The rows of one folder. Shards are mapped into memory, not read."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._shards: list[Array] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        self._names: set[str] = set()
        self.width: int | None = None
        self.refresh()

    def refresh(self) -> None:
        """Take in what other processes have kept since."""
        folder = self._folder
        for path in sorted(folder.glob("*.npy")) if folder is not None and folder.is_dir() else ():
            if path.name not in self._names:
                self._names.add(path.name)
                self._open(path)

    @contextmanager
    def at_work(self) -> Iterator[bool]:
        """While rows are computed: whether no other process computes rows for this folder."""
        if self._folder is None:
            yield True
            return
        with storage.first_here(self._folder) as first:
            yield first

    def __contains__(self, digest: str) -> bool:
        return bytes.fromhex(digest) in self._places

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, digests: Sequence[str]) -> Floats:
        """Float32 (N, D), the rows of files, in order.

        Raises:
            KeyError: one of them is not kept.
        """
        places = [self._places[bytes.fromhex(digest)] for digest in digests]
        table = np.empty((len(places), self.width or 0), np.float32)
        shards = np.array([shard for shard, _ in places], np.int64)
        rows = np.array([row for _, row in places], np.int64)
        for shard in np.unique(shards).tolist():
            chosen = np.flatnonzero(shards == shard)
            table[chosen] = self._shards[shard]["features"][rows[chosen]]
        return table

    def add(self, digests: Sequence[str], features: Floats) -> None:
        """Keep rows; they are on the disk when this returns.

        Args:
            digests: N sha256 of image files.
            features: float32 (N, D).
        """
        if not len(digests):
            return
        shard = np.empty(len(digests), _record(features.shape[1]))
        shard["digest"] = np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, _DIGEST_BYTES)
        shard["features"] = features
        if self._folder is None:
            self._take(shard)
            return
        name = hashlib.sha256("".join(digests).encode()).hexdigest()[:24]
        path = self._folder / f"{name}.npy"
        self._names.add(path.name)
        with storage.new_file(path, overwrite=True) as temporary, temporary.open("wb") as stream:
            np.save(stream, shard, allow_pickle=False)
        self._take(shard)

    def _open(self, path: Path) -> None:
        """Map a shard; one that is not what was written (a disk's failure) is as if it were not there."""
        try:
            shard = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return
        names = shard.dtype.names
        if shard.ndim == 1 and names == ("digest", "features") and shard.dtype == _record(_width(shard)):
            self._take(shard)

    def _take(self, shard: Array) -> None:
        width = _width(shard)
        if self.width not in (None, width):
            return
        self.width = width
        place = len(self._shards)
        self._shards.append(shard)
        digests = np.ascontiguousarray(shard["digest"])
        for row in range(len(shard)):
            self._places.setdefault(digests[row].tobytes(), (place, row))


def _record(width: int) -> np.dtype[np.void]:
    return np.dtype([("digest", np.uint8, (_DIGEST_BYTES,)), ("features", np.float32, (width,))])


def _width(shard: Array) -> int:
    shape = shard.dtype["features"].shape
    return int(shape[0]) if shape else 0
