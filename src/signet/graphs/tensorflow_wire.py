"""What TensorFlow's two files hold, read without TensorFlow: operators, functions, signatures. No weights.

Source: field numbers from `tensorflow/core/protobuf/{saved_model,meta_graph}.proto` and
`tensorflow/core/framework/{graph,function,node_def,attr_value,op_def,tensor_shape,types}.proto` of
TensorFlow 2.21, named beside each number below.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from signet.errors import BadGraph
from signet.graphs.protobuf import BYTES, MOST_BYTES, VARINT, FieldReader
from signet.naming import shown

MOST_FIELDS = 20_000_000
"""A network of 100,000 nodes has about 3 million; more is made to keep the reader busy."""
MOST_DEPTH = 20
"""Functions named inside the attributes of functions; real files have one level."""

TYPES = {1: "float32", 3: "int32", 4: "uint8", 7: "string", 9: "int64", 10: "bool"}
"""Names of the most usual element types (types.proto); others are shown by their number."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Node:
    """One operator.

    Attributes:
        operator: its name, or that of a function of the library.
        inputs: names of the nodes that it reads, control inputs included.
        calls: functions that its attributes name.
    """

    operator: str
    inputs: tuple[str, ...]
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One end of a signature: the graph's own name for it, its element type and its axes (None: unknown)."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a SavedModel: its inputs and outputs by the names that the signature gives them."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


@dataclass(slots=True)
class Graph:
    """A graph with its functions.

    Attributes:
        nodes: by name.
        functions: the nodes of each function, by its name.
        tags: of a SavedModel's graph: "serve" is the one that answers.
        signatures: of a SavedModel's graph, by name.
        entries: where each signature's bytes lie in the file, by its name.
        span: where the graph with its signatures lies in the file.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    functions: dict[str, list[Node]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    signatures: dict[str, Signature] = field(default_factory=dict)
    entries: dict[str, Span] = field(default_factory=dict)
    span: Span = (0, 0)


def saved_model(path: Path) -> list[Graph]:
    """The graphs of a `saved_model.pb`.

    Raises:
        BadGraph: not there, empty, larger than 2 GiB, cut short, or no SavedModel.
    """
    graphs = _read(path, "a TensorFlow SavedModel", lambda walk, end: walk.saved_model(end))
    if not any(graph.nodes for graph in graphs):
        raise BadGraph(f"{shown(path)}: expected a TensorFlow SavedModel with a graph of nodes, got none.")
    return graphs


def frozen(path: Path) -> Graph:
    """The graph of a frozen `.pb`.

    Raises:
        BadGraph: not there, empty, larger than 2 GiB, cut short, or no GraphDef.
    """
    found = _read(path, "a frozen TensorFlow graph", lambda walk, end: [walk.graph(0, end, Graph())])[0]
    if not found.nodes:
        raise BadGraph(f"{shown(path)}: expected a frozen TensorFlow graph of at least one node, got none.")
    return found


def _read(path: Path, what: str, walk: Callable[[_Walk, int], list[Graph]]) -> list[Graph]:
    try:
        size_bytes = path.stat().st_size
        if not 0 < size_bytes <= MOST_BYTES:
            raise BadGraph(f"{shown(path)}: expected {what} of 1 to {MOST_BYTES} bytes, got {size_bytes}.")
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return walk(_Walk(data), size_bytes)
    except (OSError, ValueError) as error:
        raise BadGraph(f"{shown(path)} is not {what} that can be read: {error}.") from error


class _Walk:
    """One pass over a file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._reader = FieldReader(data, MOST_FIELDS)

    def saved_model(self, end: int) -> list[Graph]:
        """SavedModel: meta_graphs 2."""
        return [self._meta_graph(a, b) for number, a, b in self._parts(0, end) if number == 2]

    def graph(self, start: int, end: int, into: Graph) -> Graph:
        """GraphDef: node 1, library 2."""
        libraries = 0
        for number, a, b in self._parts(start, end, must_be_messages=(1, 2)):
            if number == 1:
                name, node = self._node(a, b)
                # Readers differ in which of two they take; one could hide the other from us.
                if name in into.nodes:
                    raise ValueError(f"two nodes have the name {name!r}")
                into.nodes[name] = node
            elif number == 2:
                libraries += 1
                self._once(libraries, "library")
                self._library(a, b, into)
        return into

    def _meta_graph(self, start: int, end: int) -> Graph:
        """MetaGraphDef: meta_info_def 1 (tags 4), graph_def 2, signature_def 5 (key 1, value 2)."""
        found, graphs = Graph(span=(start, end)), 0
        for number, a, b in self._parts(start, end):
            if number == 1:
                found.tags += [self._text(c, d) for part, c, d in self._parts(a, b) if part == 4]
            elif number == 2:
                graphs += 1
                self._once(graphs, "graph_def")
                self.graph(a, b, found)
            elif number == 5:
                name, (first, last) = self._entry(a, b)
                if name in found.signatures:
                    raise ValueError(f"two signatures have the name {name!r}")
                found.signatures[name] = self._signature(first, last)
                found.entries[name] = (first, last)
        return found

    def _library(self, start: int, end: int, into: Graph) -> None:
        """FunctionDefLibrary: function 1. FunctionDef: signature 1 (name 1), node_def 3."""
        for number, a, b in self._parts(start, end):
            if number != 1:
                continue
            name = ""
            nodes: list[Node] = []
            for part, c, d in self._parts(a, b):
                if part == 1:
                    name = next((self._text(e, f) for inner, e, f in self._parts(c, d) if inner == 1), name)
                elif part == 3:
                    nodes.append(self._node(c, d)[1])
            if name in into.functions:
                raise ValueError(f"two functions have the name {name!r}")
            into.functions[name] = nodes

    def _node(self, start: int, end: int) -> tuple[str, Node]:
        """NodeDef: name 1, op 2, input 3, attr 5 (key 1, value 2)."""
        name = operator = ""
        inputs: list[str] = []
        calls: list[str] = []
        for number, a, b in self._parts(start, end):
            if number == 1:
                name = self._text(a, b)
            elif number == 2:
                operator = self._text(a, b)
            elif number == 3:
                inputs.append(self._text(a, b).removeprefix("^").partition(":")[0])
            elif number == 5:
                self._attributes(a, b, calls, 1)
        if not operator:
            raise ValueError(f"the node {name!r} has no operator")
        return name, Node(operator, tuple(inputs), tuple(calls))

    def _attributes(self, start: int, end: int, calls: list[str], depth: int) -> None:
        """The functions in one entry of attr.

        AttrValue: list 1 (func 9), func 10. NameAttrList: name 1, attr 2.
        """
        if depth > MOST_DEPTH:
            raise ValueError(f"functions are nested deeper than {MOST_DEPTH}")
        for _, a, b in (part for part in self._parts(start, end) if part[0] == 2):
            values = list(self._parts(a, b))
            lists = [part for number, c, d in values if number == 1 for part in self._parts(c, d)]
            named = [(c, d) for number, c, d in values if number == 10]
            named += [(c, d) for number, c, d in lists if number == 9]
            for c, d in named:
                for number, e, f in self._parts(c, d):
                    if number == 1:
                        calls.append(self._text(e, f))
                    elif number == 2:
                        self._attributes(e, f, calls, depth + 1)

    def _signature(self, start: int, end: int) -> Signature:
        """SignatureDef: inputs 1, outputs 2; both map a name to a TensorInfo."""
        inputs: dict[str, Tensor] = {}
        outputs: dict[str, Tensor] = {}
        for number, a, b in self._parts(start, end):
            if number in (1, 2):
                key, (first, last) = self._entry(a, b)
                (inputs if number == 1 else outputs)[key] = self._tensor(first, last)
        return Signature(dict(sorted(inputs.items())), dict(sorted(outputs.items())))

    def _tensor(self, start: int, end: int) -> Tensor:
        """TensorInfo: name 1, dtype 2, tensor_shape 3 (dim 2 (size 1), unknown_rank 3)."""
        name, dtype, known = "", 0, False
        axes: list[int | None] = []
        for number, wire, a, b in self._reader.fields(start, end):
            if (number, wire) == (1, BYTES):
                name = self._text(a, b)
            elif (number, wire) == (2, VARINT):
                dtype = a
            elif (number, wire) == (3, BYTES):
                known = True
                for part, kind, c, d in self._reader.fields(a, b):
                    if (part, kind) == (2, BYTES):
                        axes.append(self._size(c, d))
                    elif (part, kind) == (3, VARINT) and c:
                        known = False
        return Tensor(name, TYPES.get(dtype, f"type {dtype}"), tuple(axes) if known else None)

    def _size(self, start: int, end: int) -> int | None:
        """Dim: size 1, which is -1 (as 64 bits) where it is not known."""
        sizes = [a for number, wire, a, _ in self._reader.fields(start, end) if (number, wire) == (1, VARINT)]
        size = sizes[-1] if sizes else 0
        return size if size < 2**63 else None

    def _entry(self, start: int, end: int) -> tuple[str, Span]:
        """An entry of a map: key 1, value 2."""
        key, value = "", (end, end)
        for number, a, b in self._parts(start, end):
            if number == 1:
                key = self._text(a, b)
            elif number == 2:
                value = (a, b)
        return key, value

    def _parts(
        self, start: int, end: int, must_be_messages: tuple[int, ...] = ()
    ) -> list[tuple[int, int, int]]:
        """The length-delimited fields of a message; ONNX has a number where a GraphDef has its nodes."""
        parts = []
        for number, wire, a, b in self._reader.fields(start, end):
            if wire == BYTES:
                parts.append((number, a, b))
            elif number in must_be_messages:
                raise ValueError(f"field {number} holds no message")
        return parts

    def _text(self, start: int, end: int) -> str:
        return self._reader.text(start, end)

    @staticmethod
    def _once(count: int, name: str) -> None:
        # Readers merge a repeated single message into one, which could hide a node from us.
        if count > 1:
            raise ValueError(f"{name} comes twice")
