"""A SavedModel with one signature only, so that no reader can take another.

Source: as `tensorflow_wire`; Protocol Buffers, Encoding.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from signet.graphs.protobuf import BYTES, VARINT, FieldReader
from signet.graphs.tensorflow_safety import DEFAULT, GRAPH_NAME, VARIABLES, Chosen
from signet.graphs.tensorflow_wire import MOST_FIELDS, Span
from signet.storage import write_bytes


def write_with_one(folder: Path, chosen: Chosen, outputs: Collection[str], to: Path) -> None:
    """Write a SavedModel that has the chosen signature as its default, and of its outputs only some.

    Args:
        folder: a SavedModel that was checked.
        chosen: the signature.
        outputs: the signature's names for the outputs that stay.
        to: a new folder; the variables are linked there, or copied where links cannot be made.
    """
    data = (folder / GRAPH_NAME).read_bytes()
    editor = _Editor(data)
    signature = editor.kept(chosen.entry, lambda number, a, b: number != 2 or editor.key(a, b) in outputs)
    entry = _message(1, DEFAULT.encode()) + _message(2, signature)
    graph = editor.kept(chosen.graph, lambda number, *_: number != 5) + _message(5, entry)
    to.mkdir()
    write_bytes(
        to / GRAPH_NAME, b"\x08\x01" + _message(2, graph)
    )  # saved_model_schema_version 1, meta_graphs 2
    variables = folder / VARIABLES
    if variables.is_dir():
        try:
            (to / VARIABLES).symlink_to(variables.absolute(), target_is_directory=True)
        except OSError:
            shutil.copytree(variables, to / VARIABLES)


class _Editor:
    """Copies messages field by field."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._reader = FieldReader(data, MOST_FIELDS)

    def kept(self, span: Span, stays: Callable[[int, int, int], bool]) -> bytes:
        """The message without the fields that do not stay."""
        parts = []
        for number, wire, a, b in self._reader.fields(*span):
            if wire == VARINT:
                parts.append(_varint(number << 3) + _varint(a))
            elif wire != BYTES:
                parts.append(_varint(number << 3 | wire) + self._data[a:b])
            elif stays(number, a, b):
                parts.append(_message(number, self._data[a:b]))
        return b"".join(parts)

    def key(self, start: int, end: int) -> str:
        """The key of an entry of a map."""
        keys = [self._reader.text(a, b) for number, a, b in self._reader.messages(start, end) if number == 1]
        return keys[-1] if keys else ""


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
