"""Fingerprints of image files, by which copies are found, and the leak-free split of a dataset."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from signet.arrays import Bytes, Integers, frozen
from signet.datasets.dataset import Dataset
from signet.decoding import read
from signet.duplicates import THUMBNAIL, Hashes, duplicate_groups, grey_thumbnail, perceptual_hash
from signet.errors import BadInput
from signet.images import Image
from signet.progress import OnProgress, Progress, silent
from signet.splitting import Split, merge_groups, stratified_group_split
from signet.storage import digest_of

_MOST_THREADS = 8
_AT_ONCE = 32

P = TypeVar("P")

Look = Callable[[Path, Image], None]
"""Told of each image that could be read, once, in the thread that read it."""


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprints:
    """What is needed of N files to find copies among them.

    Attributes:
        paths: N files.
        digests: sha256 of each file, "" where it could not be read as an image.
        hashes: uint64 (N,), perceptual hashes; 0 where unreadable.
        thumbnails: uint8 (N, 16, 16), grey; 0 where unreadable.
        failures: what is wrong with each unreadable file, by its path.
    """

    paths: tuple[Path, ...]
    digests: tuple[str, ...]
    hashes: Hashes
    thumbnails: Bytes
    failures: Mapping[Path, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "hashes", frozen(self.hashes, "hashes", "uint64", (len(self.paths),)))
        shape = (len(self.paths), THUMBNAIL, THUMBNAIL)
        object.__setattr__(self, "thumbnails", frozen(self.thumbnails, "thumbnails", "uint8", shape))

    def __len__(self) -> int:
        return len(self.paths)

    def groups(self) -> Integers:
        """int64 (N,): the position of the first file of each one's group of copies; its own without one."""
        return duplicate_groups(self.digests, self.hashes, self.thumbnails)


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    digest: str = ""
    hash: int = 0
    thumbnail: Bytes | None = None
    failure: str = ""


def read_fingerprints(
    paths: Iterable[str | Path],
    *,
    threads: int | None = None,
    look: Look | None = None,
    on_progress: OnProgress = silent,
) -> Fingerprints:
    """Read files and take their fingerprints; an unreadable file is counted and named, never fatal.

    Args:
        paths: the files.
        threads: how many decode at once; None for one a processor, at most 8.
        look: is shown each image while its pixels are there, so that they need not be decoded again.
        on_progress: told after every few files.

    Raises:
        MissingExtra: imagehash is not installed (extra `fit`).
    """
    files = tuple(Path(path) for path in paths)
    workers = threads or min(_MOST_THREADS, os.cpu_count() or 1)
    results: list[_Fingerprint] = []
    with ThreadPoolExecutor(workers, "signet-fingerprints") as pool:
        for batch in _batches(files, _AT_ONCE * workers):
            results.extend(pool.map(partial(_fingerprint, look=look), batch))
            on_progress(Progress("looking for duplicates", len(results), len(files)))
    blank = np.zeros((THUMBNAIL, THUMBNAIL), np.uint8)
    thumbnails = [blank if result.thumbnail is None else result.thumbnail for result in results]
    return Fingerprints(
        paths=files,
        digests=tuple(result.digest for result in results),
        hashes=np.array([result.hash for result in results], np.uint64),
        thumbnails=np.array(thumbnails, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL),
        failures={
            path: result.failure for path, result in zip(files, results, strict=True) if result.failure
        },
    )


def split_dataset(
    dataset: Dataset[P],
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    fingerprints: Fingerprints | None = None,
    on_progress: OnProgress = silent,
) -> tuple[Dataset[P], Split]:
    """Split a dataset by class so that no copy, and no group of its own, is on two sides.

    Args:
        dataset: what to split; splits that it has already are replaced.
        shares: name of a part to its share, `{"train": 0.8, "val": 0.2}`.
        seed: the same seed gives the same split, in whatever order the files were listed.
        fingerprints: of the dataset's files, where they were taken before.
        on_progress: told while the files are read.

    Returns:
        The dataset with its splits set, and the split (with what a person should know of it).
    """
    if fingerprints is None:
        fingerprints = read_fingerprints(dataset.paths, on_progress=on_progress)
    groups = merge_groups(fingerprints.groups().tolist(), dataset.groups)
    split = stratified_group_split(
        [entry.classes for entry in dataset.entries],
        shares,
        names=dataset.names,
        groups=groups.tolist(),
        seed=seed,
    )
    return dataset.with_splits(split.names), split


def _fingerprint(path: Path, look: Look | None) -> _Fingerprint:
    try:
        image = read(path)
        found = _Fingerprint(
            digest_of(path), int(perceptual_hash(image.pixels)), grey_thumbnail(image.pixels)
        )
        if look is not None:
            look(path, image)
    except BadInput as error:
        return _Fingerprint(failure=str(error))
    return found


def _batches(files: Sequence[Path], size: int) -> Iterator[tuple[Path, ...]]:
    """The files in batches: the pool's queue stays short, and an error in one stops the rest soon."""
    remaining = iter(files)
    while batch := tuple(islice(remaining, size)):
        yield batch
