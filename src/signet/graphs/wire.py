"""What an ONNX file holds, read without any ONNX library; all tensor data is skipped.

It answers two questions before any native parser sees the file: which other files do its tensors point to,
and which operators does it use. It visits every place of the format where a tensor or a node may stand:
graphs, graphs inside attributes (If, Loop, Scan), local functions, training graphs, sparse tensors.

Source: field numbers from `onnx/onnx.proto` of ONNX 1.23, named beside each number below. Files larger than
protobuf can read keep their weights in files of their own.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path

from signet.errors import BadGraph
from signet.graphs.protobuf import MOST_BYTES, FieldReader
from signet.naming import shown

MOST_FIELDS = 20_000_000
"""A network of 100,000 nodes has about 3 million; more is made to keep the reader busy."""
MOST_DEPTH = 90
"""Messages within messages; native readers stop at 100."""

# message -> field number -> (message of that field, whether it may come more than once)
_INNER: dict[str, dict[int, tuple[str, bool]]] = {
    "Model": {
        7: ("Graph", False),
        20: ("Training", True),
        25: ("Function", True),
    },  # graph, training_info, functions
    "Training": {1: ("Graph", False), 2: ("Graph", False)},  # initialization, algorithm
    "Function": {7: ("Node", True), 11: ("Attribute", True)},  # node, attribute_proto
    "Graph": {
        1: ("Node", True),
        5: ("Tensor", True),
        15: ("Sparse", True),
    },  # node, initializer, sparse_initializer
    "Node": {5: ("Attribute", True)},  # attribute
    "Attribute": {
        5: ("Tensor", False),  # t
        6: ("Graph", False),  # g
        10: ("Tensor", True),  # tensors
        11: ("Graph", True),  # graphs
        22: ("Sparse", False),  # sparse_tensor
        23: ("Sparse", True),  # sparse_tensors
    },
    "Sparse": {1: ("Tensor", False), 2: ("Tensor", False)},  # values, indices
    "Tensor": {13: ("Entry", True)},  # external_data
}
# message -> field number -> name of the text that is kept
_TEXTS: dict[str, dict[int, str]] = {
    "Node": {4: "operator", 7: "domain"},  # op_type, domain
    "Function": {1: "operator", 10: "domain"},  # name, domain
    "Entry": {1: "key", 2: "value"},  # StringStringEntryProto
}


@dataclass(frozen=True, slots=True)
class ExternalData:
    """Where one tensor's values lie, as the file states it.

    Attributes:
        location: path relative to the graph's folder; not checked here.
        offset: first byte.
        length: number of bytes, or None for all to the end of the file.
    """

    location: str
    offset: int
    length: int | None


@dataclass(slots=True)
class Contents:
    """What was found in an ONNX file.

    Attributes:
        graphs: number of main graphs (a model has one).
        external: one entry for each tensor whose values lie elsewhere.
        operators: (domain, name) of every node, also in subgraphs and functions.
        functions: (domain, name) of every local function.
    """

    graphs: int = 0
    external: list[ExternalData] = field(default_factory=list)
    operators: set[tuple[str, str]] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)


def contents_of(path: Path) -> Contents:
    """Read the structure of an ONNX file; its tensors' values are skipped, not read.

    Raises:
        BadGraph: not there, empty, larger than 2 GiB, cut short, nested too deeply, or not an ONNX model.
    """
    try:
        size_bytes = path.stat().st_size
        if not 0 < size_bytes <= MOST_BYTES:
            raise BadGraph(
                f"{shown(path)}: expected an ONNX file of 1 to {MOST_BYTES} bytes, got {size_bytes}."
            )
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = _Walk(data).contents()
    except (OSError, ValueError) as error:
        raise BadGraph(f"{shown(path)} is not an ONNX model that can be read: {error}.") from error
    if found.graphs != 1 or not found.operators:
        raise BadGraph(
            f"{shown(path)}: expected an ONNX model with one graph of at least one node, got none."
        )
    return found


class _Walk:
    """One pass over a file: an explicit stack instead of recursion, and a budget of fields."""

    def __init__(self, data: mmap.mmap) -> None:
        self._size_bytes = len(data)
        self._reader = FieldReader(data, MOST_FIELDS)
        self._found = Contents()

    def contents(self) -> Contents:
        """Visit every message that can hold a tensor or a node."""
        stack = [("Model", 0, self._size_bytes, 1)]
        while stack:
            message, start, end, depth = stack.pop()
            if depth > MOST_DEPTH:
                raise ValueError(f"messages are nested deeper than {MOST_DEPTH}")
            texts: dict[str, str] = {}
            entries: dict[str, str] = {}
            inner, named, seen = _INNER.get(message, {}), _TEXTS.get(message, {}), set[int]()
            for number, first, last in self._reader.messages(start, end):
                if number in inner:
                    kind, repeated = inner[number]
                    # Readers merge a repeated single message into one, which could hide an entry from us.
                    if number in seen and not repeated:
                        raise ValueError(f"field {number} of {message} comes twice")
                    seen.add(number)
                    if kind == "Entry":
                        self._entry(first, last, entries)
                    else:
                        self._found.graphs += message == "Model" and kind == "Graph"
                        stack.append((kind, first, last, depth + 1))
                elif number in named:
                    texts[named[number]] = self._reader.text(first, last)
            self._note(message, texts, entries)
        return self._found

    def _note(self, message: str, texts: dict[str, str], entries: dict[str, str]) -> None:
        if message in ("Node", "Function"):
            kind = self._found.operators if message == "Node" else self._found.functions
            kind.add((texts.get("domain", ""), texts.get("operator", "")))
        elif entries:
            offset, length = entries.get("offset", "0"), entries.get("length")
            if not all(number.isascii() and number.isdigit() for number in (offset, length or "0")):
                raise ValueError(
                    f"external data at offset {offset!r}, length {length!r}: expected whole numbers"
                )
            location = entries.get("location", "")
            self._found.external.append(ExternalData(location, int(offset), int(length) if length else None))

    def _entry(self, start: int, end: int, entries: dict[str, str]) -> None:
        """Add one key and value of a tensor's external data."""
        named = _TEXTS["Entry"]
        pair = {
            named[number]: self._reader.text(a, b)
            for number, a, b in self._reader.messages(start, end)
            if number in named
        }
        key = pair.get("key", "")
        if key in entries:
            raise ValueError(f"external data states {key!r} twice")
        entries[key] = pair.get("value", "")
