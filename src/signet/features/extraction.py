"""From image files to rows of features: what is kept is looked up, the rest runs through the network once."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from signet import answers, storage
from signet.arrays import Array, Floats, frozen
from signet.batches import Outputs
from signet.errors import BadInput, EngineError, SignetError
from signet.features.kept import KeptRows
from signet.models import Model
from signet.progress import OnProgress, Progress, silent
from signet.streaming import Answered, outputs

_SHARD_ROWS = 1024
_SHARD_SECONDS = 20.0
_DIGESTS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Extracted:
    """The features of N files.

    Attributes:
        features: float32 (N, D); zeros where a file could not be read.
        readable: bool (N,).
        digests: sha256 of each file, "" where it could not be read.
        failures: (position, error) of each file without features, in order.
        computed: rows that went through the network now; the others were kept.
        scores: float32 (N, C), what the network answers in its own labels, where that was asked for; zeros
            where a file could not be read.
    """

    features: Floats
    readable: np.ndarray[Any, np.dtype[np.bool_]]
    digests: tuple[str, ...]
    failures: tuple[tuple[int, SignetError], ...]
    computed: int
    scores: Floats | None = None

    def __post_init__(self) -> None:
        count = len(self.digests)
        object.__setattr__(self, "features", frozen(self.features, "features", "float32", (count, None)))
        if self.scores is not None:
            object.__setattr__(self, "scores", frozen(self.scores, "scores", "float32", (count, None)))
        object.__setattr__(self, "readable", frozen(self.readable, "readable", "bool", (count,)))


def extract(
    model: Model[Any],
    paths: Sequence[str | Path],
    *,
    cache: Path | None = None,
    digests: Sequence[str] | None = None,
    scores: bool = False,
    on_progress: OnProgress = silent,
) -> Extracted:
    """Features of files, from the cache where they are kept, else computed and kept.

    What is computed is written every few seconds, so that a run that was killed goes on where it was. Of two
    processes that are at work on the same files one begins at their end, and neither computes what the other
    has written. A file that cannot be read is an entry in `failures`, never fatal.

    Args:
        model: one that has features (see `graph_with_features`), opened for many images.
        paths: N files.
        cache: folder of kept rows; None keeps none.
        digests: sha256 of the files where they are known already ("" for unreadable ones).
        scores: also keep what a classifier answers in its own labels, from the same run of the network.
        on_progress: told of every few images.

    Raises:
        WrongTask: the model has no features; scores are asked of one that has no labels.
        EngineError: the network refuses every image.
    """
    files = [Path(path) for path in paths]
    known = list(digests) if digests is not None else _digests(files, on_progress)
    kept = _tables(model, cache, scores)
    failures: dict[int, SignetError] = {}
    first: dict[str, int] = {}
    for position, digest in enumerate(known):
        if not digest:
            failures[position] = _failure(files[position])
        elif digest not in kept:
            first.setdefault(digest, position)
    failed, computed = _compute(model, files, first, kept, on_progress)
    for position, digest in enumerate(known):
        if digest in failed:
            failures[position] = failed[digest]
    if len(kept.features) == 0 and any(isinstance(error, EngineError) for error in failures.values()):
        raise next(error for error in failures.values() if isinstance(error, EngineError))
    readable = np.array([position not in failures for position in range(len(files))], bool)
    return Extracted(
        features=_rows_of(kept.features, known, readable),
        readable=readable,
        digests=tuple("" if position in failures else digest for position, digest in enumerate(known)),
        failures=tuple(sorted(failures.items(), key=lambda item: item[0])),
        computed=computed,
        scores=None if kept.scores is None else _rows_of(kept.scores, known, readable),
    )


def key_of(model: Model[Any]) -> str:
    """What rows depend on beside the file: network, preprocessing, the output taken, engine, precision."""
    card = model.card
    parts = (
        model.pretrained.digest,
        card.program.digest,
        repr((card.output.head, card.output.features, card.output.tensor)),
        model.engine.name,
        model.engine.version,
        model.engine.precision,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


def default_cache() -> Path:
    """Where rows of features are kept."""
    return storage.cache_folder() / "features"


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """What is kept of one model: features, and scores where they are asked for."""

    features: KeptRows
    scores: KeptRows | None

    def __contains__(self, digest: str) -> bool:
        return digest in self.features and (self.scores is None or digest in self.scores)

    def add(self, digests: Sequence[str], rows: Sequence[tuple[Floats, Floats | None]]) -> None:
        """Keep rows; what was kept before, in one of the two, is not kept again."""
        for table, place in ((self.features, 0), (self.scores, 1)):
            new = [k for k, digest in enumerate(digests) if table is not None and digest not in table]
            if table is not None and new:
                table.add([digests[k] for k in new], np.stack([np.asarray(rows[k][place]) for k in new]))
                table.refresh()


def _tables(model: Model[Any], cache: Path | None, scores: bool) -> _Tables:
    place = None if cache is None else cache / key_of(model)
    beside = None if place is None else place.with_name(f"{place.name}-scores")
    return _Tables(KeptRows(place), KeptRows(beside) if scores else None)


def _rows_of(table: KeptRows, known: Sequence[str], readable: Array) -> Floats:
    """Float32 (N, D), zeros where there is nothing."""
    rows = np.zeros((len(known), table.width or 0), np.float32)
    if readable.any():
        rows[readable] = table.rows([known[position] for position in np.flatnonzero(readable).tolist()])
    return rows


def _compute(
    model: Model[Any], files: Sequence[Path], first: dict[str, int], kept: _Tables, on_progress: OnProgress
) -> tuple[dict[str, SignetError], int]:
    """Run the files that are not kept through the network: (the errors of those that fail, rows computed)."""
    if not first:
        return {}, 0  # nothing to write: a cache that may only be read has rows to give
    failed: dict[str, SignetError] = {}
    waiting: list[tuple[str, tuple[Floats, Floats | None]]] = []
    asked: deque[str] = deque()
    computed, flushed = 0, time.monotonic()

    def flush() -> None:
        kept.add([digest for digest, _ in waiting], [row for _, row in waiting])
        waiting.clear()

    def wanted(order: Sequence[str]) -> Iterator[Path]:
        for digest in order:
            if digest not in kept:  # by another process, meanwhile
                asked.append(digest)
                yield files[first[digest]]

    with kept.features.at_work() as alone:
        order = list(first) if alone else list(first)[::-1]
        for answered in _rows(model, wanted(order), kept.scores is not None):
            digest = asked.popleft()
            if answered.answer is None:
                failed[digest] = answered.error or BadInput(f"{answered.source}: no features.")
            else:
                waiting.append((digest, answered.answer))
                computed += 1
            done = computed + len(failed)
            if done % 16 == 0:
                on_progress(Progress("extracting features", done, len(first)))
            if waiting and (len(waiting) >= _SHARD_ROWS or time.monotonic() - flushed > _SHARD_SECONDS):
                flush()
                flushed = time.monotonic()
        if waiting:
            flush()
    on_progress(Progress("extracting features", len(first), len(first)))
    return failed, computed


def _rows(
    model: Model[Any], files: Iterable[Path], scores: bool
) -> Iterator[Answered[tuple[Floats, Floats | None]]]:
    contract = model.card.output

    def take(raw: Outputs) -> Sequence[tuple[Floats, Floats | None]]:
        vectors = answers.features(raw, contract)
        if not np.isfinite(vectors).all():
            raise EngineError("the network's features: expected numbers, got a NaN or an infinity.")
        if not scores:
            return [(row, None) for row in vectors]
        return list(zip(vectors, answers.probabilities(answers.logits(raw, contract), contract), strict=True))

    return outputs(model, files, take)


def _digests(files: Sequence[Path], on_progress: OnProgress) -> list[str]:
    """sha256 of each file; "" for one that cannot be read."""
    found: list[str] = []
    remaining = iter(files)
    with ThreadPoolExecutor(4, "signet-digests") as pool:
        while some := list(islice(remaining, _DIGESTS_AT_ONCE)):
            found.extend(pool.map(_digest, some))
            if len(files) > _DIGESTS_AT_ONCE:
                on_progress(Progress("reading files", len(found), len(files)))
    return found


def _digest(path: Path) -> str:
    try:
        return storage.digest_of(path) if path.is_file() else ""
    except (BadInput, OSError, ValueError):
        return ""


def _failure(path: Path) -> SignetError:
    """Why a file has no digest, as reading the image says it."""
    from signet.decoding import read

    try:
        read(path)
    except BadInput as error:
        return error
    return BadInput(f"{path}: could not be read. Expected an image file that this user may read.")
