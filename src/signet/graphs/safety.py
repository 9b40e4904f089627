"""Whether a graph file may be handed to a native library at all: everything that comes in is hostile.

No ONNX library is needed: `wire` reads what must be known. What is refused here never reaches ONNX Runtime or
OpenVINO; what passes can still be broken, which `quarantine` finds out in a child process.
"""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath
from typing import NoReturn
from xml.parsers import expat

from signet.errors import BadGraph
from signet.graphs.wire import Contents, ExternalData, contents_of
from signet.naming import shown

KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operator sets that ONNX Runtime itself carries; others need a custom-operator library, never loaded."""
REFUSED_OPERATORS = frozenset({("com.microsoft", "EPContext")})
"""Operators that name further files to be loaded. Source: ONNX Runtime, EP Context Design."""

MOST_XML_BYTES = 256 * 2**20
MOST_XML_DEPTH = 200


def check_onnx(path: Path) -> tuple[Path, ...]:
    """Check an ONNX file before any library opens it.

    Refused are: external data outside the graph's folder (absolute, `..`, links, ONNX Runtime's marker for
    memory addresses), external data that is not there or shorter than stated, operators that need a custom
    library, and files that are cut short or are not ONNX.

    Returns:
        The files with external data, each once, in the order of their names.

    Raises:
        BadGraph: what is wrong, what was expected.
    """
    return check_contents(path, contents_of(path))


def check_contents(path: Path, found: Contents) -> tuple[Path, ...]:
    """As `check_onnx`, for whoever has read what the file holds and needs it once more.

    Raises:
        BadGraph: what is wrong, what was expected.
    """
    for domain, operator in sorted(found.operators):
        standard = domain in KNOWN_DOMAINS or (domain, operator) in found.functions
        if not standard or (domain, operator) in REFUSED_OPERATORS:
            raise BadGraph(
                f"{shown(path)} uses the operator {operator!r} of {domain!r}: expected only operators of "
                f"{', '.join(repr(name) for name in sorted(KNOWN_DOMAINS))} and local functions. Custom "
                "operators run code of their own and are never loaded: export the model with standard ones."
            )
    sizes: dict[str, int] = {}
    for entry in found.external:
        if entry.location not in sizes:
            sizes[entry.location] = _size_inside(path, entry.location)
        _check_range(path, entry, sizes[entry.location])
    return tuple(path.parent / location for location in sorted(sizes))


def check_ir(path: Path) -> tuple[Path, ...]:
    """Check an OpenVINO IR: the XML without document type or entities, and the `.bin` beside it.

    Returns:
        The `.bin` file, or nothing when the graph holds no constants.

    Raises:
        BadGraph: what is wrong, what was expected.
    """
    needed_bytes = _constants_end(path)
    if needed_bytes == 0:
        return ()
    weights = path.with_suffix(".bin")
    size_bytes = _size_inside(path, weights.name)
    if needed_bytes > size_bytes:
        raise BadGraph(
            f"{shown(weights)}: expected at least {needed_bytes} bytes as {shown(path.name)} states, "
            f"got {size_bytes}. The file is cut short or belongs to another graph."
        )
    return (weights,)


def check_tflite(path: Path) -> tuple[Path, ...]:
    """Check the frame of a TFLite file: its magic `TFL3` and a root table inside the file.

    Source: FlatBuffers, file identifiers (bytes 4 to 7); TensorFlow Lite `schema.fbs`, `file_identifier`.

    Returns:
        No further files: a TFLite graph is one file.

    Raises:
        BadGraph: another magic, or cut short.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
        size_bytes = path.stat().st_size
    except OSError as error:
        raise BadGraph(f"{shown(path)} cannot be read: {error.strerror or error}.") from error
    if len(head) < 8 or head[4:] != b"TFL3":
        raise BadGraph(
            f"{shown(path)}: expected a TFLite file with the magic b'TFL3' at byte 4, got {head[4:]!r}."
        )
    root = int.from_bytes(head[:4], "little")
    if not 8 <= root <= size_bytes - 4:
        raise BadGraph(
            f"{shown(path)} is cut short: its root table is at byte {root}, the file has {size_bytes}."
        )
    return ()


def _size_inside(graph: Path, location: str) -> int:
    """The size of a file that belongs to a graph; it must be a plain file inside the graph's folder."""
    parts = PurePosixPath(location).parts
    plain = location and location.isprintable() and "\\" not in location and ":" not in location
    if not plain or location.startswith("/") or ".." in parts:
        raise BadGraph(
            f"{shown(graph)} points to the file {shown(location)!r}: expected a name inside the graph's own "
            "folder. Do not use this model unless you know who made it."
        )
    place = graph.parent
    try:
        for part in parts:
            place /= part
            if place.is_symlink():
                raise BadGraph(
                    f"{shown(graph)} points to {shown(location)!r}, which is a link: expected a plain file "
                    "inside the graph's own folder. Copy the file there."
                )
        status = place.stat()
    except OSError as error:
        raise BadGraph(
            f"{shown(graph)} keeps weights in {shown(location)!r}, which cannot be read "
            f"({error.strerror or error}). Put that file beside the graph."
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise BadGraph(f"{shown(graph)} points to {shown(location)!r}: expected a plain file.")
    return status.st_size


def _check_range(path: Path, entry: ExternalData, size_bytes: int) -> None:
    end = entry.offset + (entry.length or 0)
    if end > size_bytes:
        raise BadGraph(
            f"{shown(path)}: expected {end} bytes in {shown(entry.location)!r}, which has {size_bytes}. "
            "The file is cut short or belongs to another graph."
        )


def _constants_end(path: Path) -> int:
    """How many bytes of the `.bin` the constants of an IR need; 0 when there is none."""
    try:
        if path.stat().st_size > MOST_XML_BYTES:
            raise BadGraph(f"{shown(path)}: expected at most {MOST_XML_BYTES} bytes of XML. It is not read.")
        with path.open("rb") as stream:
            reader = _IrReader(path)
            reader.parser.ParseFile(stream)
    except (OSError, expat.ExpatError, ValueError) as error:
        raise BadGraph(f"{shown(path)} is not an OpenVINO IR that can be read: {error}.") from error
    return reader.end


class _IrReader:
    """Handlers for one IR file: refuse what an IR never has, and find the end of its constants."""

    def __init__(self, path: Path) -> None:
        self.end = 0
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._close
        # Entities can only be declared inside a document type, and an IR has none.
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.ExternalEntityRefHandler = self._refuse
        self._path = path
        self._depth = 0

    def _refuse(self, *_: object) -> NoReturn:
        raise BadGraph(
            f"{shown(self._path)} declares a document type or entities, which an OpenVINO IR never does. "
            "It is not read."
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and (name != "net" or "version" not in attributes):
            raise BadGraph(
                f"{shown(self._path)}: expected an OpenVINO IR (root <net version=...>), got <{name}>."
            )
        self._depth += 1
        if self._depth > MOST_XML_DEPTH:
            raise BadGraph(f"{shown(self._path)}: XML nested deeper than {MOST_XML_DEPTH}. It is not read.")
        if name == "data" and "offset" in attributes and "size" in attributes:
            offset, size = int(attributes["offset"]), int(attributes["size"])
            if min(offset, size) < 0:
                raise ValueError(f"a constant of {size} bytes at offset {offset}")
            self.end = max(self.end, offset + size)

    def _close(self, _name: str) -> None:
        self._depth -= 1
