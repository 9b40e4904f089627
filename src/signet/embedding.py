"""Vectors of many images into one file, with the list of their sources, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from signet import answers, storage, streaming
from signet.arrays import Array
from signet.errors import AlreadyExists, BadInput, BadRequest, MissingExtra
from signet.models import Model, Picture
from signet.naming import shown
from signet.predictions import Prediction
from signet.streaming import Answered

NPY_HEADER_BYTES = 128


@dataclass(frozen=True, slots=True)
class Embedded:
    """What was written.

    Attributes:
        count: vectors.
        width: numbers in each.
        sources: the input of each vector, in order.
        failed: (source, message) of inputs that have no vector.
    """

    count: int
    width: int
    sources: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


def embed_to_file(
    model: Model[Prediction],
    inputs: Iterable[Picture],
    out: Path,
    *,
    overwrite: bool = False,
    on_answer: Any = None,
) -> Embedded:
    """Write the vectors of images, in order, leaving out those that cannot be read.

    `X.npy` holds float32 (N, D), and `X.npy.sources.json` the N sources; `X.parquet` holds both as the
    columns `source` and `vector`.

    Raises:
        BadRequest: another ending.
        BadInput: no image could be embedded.
        AlreadyExists: the file is there and `overwrite` was not given.
    """
    kind = check_out(out, overwrite=overwrite)
    failed: list[tuple[str, str]] = []
    sources: list[str] = []
    with storage.new_file(out, overwrite=overwrite) as temporary, kind(temporary) as file:
        for answered in vectors(model, inputs):
            if answered.answer is None:
                failed.append((answered.source, str(answered.error)))
            else:
                file.add(answered.source, answered.answer)
                sources.append(answered.source)
            if on_answer is not None:
                on_answer(answered)
        count, width = file.finish()
        if not count:
            raise BadInput(f"embed: none of {len(failed)} inputs could be read. The first: {failed[0][1]}")
        if isinstance(file, _NpyFile):
            # Before the vectors get their name, so that they never stand without their sources.
            storage.write_bytes(_sources_of(out), json.dumps(sources).encode(), overwrite=True)
    return Embedded(count, width, tuple(sources), tuple(failed))


def check_out(out: Path, *, overwrite: bool) -> type[_NpyFile | _ParquetFile]:
    """What writes this output, asked before anything slow is done.

    Raises:
        BadRequest: another ending than .npy or .parquet.
        AlreadyExists: it is there and `overwrite` was not given.
    """
    kinds: dict[str, type[_NpyFile | _ParquetFile]] = {".npy": _NpyFile, ".parquet": _ParquetFile}
    kind = kinds.get(out.suffix.lower())
    if kind is None:
        raise BadRequest(f"--out: expected a name that ends in .npy or .parquet, got {shown(out.name)!r}.")
    for path in (out, _sources_of(out)) if kind is _NpyFile else (out,):
        if path.exists() and not overwrite:
            raise AlreadyExists(shown(path))
    return kind


def vectors(model: Model[Prediction], inputs: Iterable[Picture]) -> Iterable[Answered[Array]]:
    """The features of each input, float32 (D,), in order."""
    contract = model.card.output
    return streaming.outputs(model, inputs, lambda raw: list(answers.features(raw, contract)))


def _sources_of(out: Path) -> Path:
    return out.with_name(out.name + ".sources.json")


class _NpyFile:
    """An .npy file that grows row by row; its header, of a fixed length, is written last.

    Source: numpy.lib.format, version 1.0.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._stream.write(b"\0" * NPY_HEADER_BYTES)
        self._width = 0
        self._count = 0

    def __enter__(self) -> _NpyFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def add(self, _: str, vector: Array) -> None:
        """Append one row; its source is written beside the file."""
        self._width = len(vector)
        self._count += 1
        self._stream.write(np.ascontiguousarray(vector, "<f4").tobytes())

    def finish(self) -> tuple[int, int]:
        """Write the header; returns (rows, columns)."""
        shape = (self._count, self._width)
        fields = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        length = NPY_HEADER_BYTES - 10
        header = fields.ljust(length - 1) + "\n"
        self._stream.seek(0)
        self._stream.write(b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + header.encode("latin1"))
        self._stream.close()
        return shape


class _ParquetFile:
    """A Parquet file with the columns `source` and `vector`, written in groups of rows."""

    GROUP = 4096

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise MissingExtra("Writing .parquet", "parquet", "pyarrow") from error
        self._pyarrow = pyarrow
        self._parquet = parquet
        self._path = path
        self._writer: Any = None
        self._rows: list[tuple[str, Array]] = []
        self._count = self._width = 0

    def __enter__(self) -> _ParquetFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, source: str, vector: Array) -> None:
        """Append one row."""
        self._width = len(vector)
        self._rows.append((source, vector))
        if len(self._rows) >= self.GROUP:
            self._write()

    def finish(self) -> tuple[int, int]:
        """Write what is left; returns (rows, columns)."""
        if self._rows:
            self._write()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        return self._count, self._width

    def _write(self) -> None:
        sources, rows = zip(*self._rows, strict=True)
        flat = self._pyarrow.array(np.concatenate(rows).astype(np.float32))
        column = self._pyarrow.FixedSizeListArray.from_arrays(flat, self._width)
        # A name that is no valid text is kept as its escaped form: Parquet strings are UTF-8.
        names = [source.encode("utf-8", "backslashreplace").decode() for source in sources]
        table = self._pyarrow.table({"source": names, "vector": column})
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)
        self._count += len(rows)
        self._rows = []
