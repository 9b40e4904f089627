"""From a path to a `GraphFile`: by its ending, checked, with the digest of all that belongs to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from signet.errors import BadGraph
from signet.graphs.safety import check_contents, check_ir, check_onnx, check_tflite
from signet.graphs.wire import Contents, contents_of
from signet.naming import shown
from signet.networks import GRAPH_SUFFIXES, GraphFile
from signet.storage import digest_of


def open_graph(path: str | Path, checked: Mapping[Path, str] = MappingProxyType({})) -> GraphFile:
    """Check a graph file and take its digest; nothing native reads it yet.

    Args:
        path: `.onnx`, `.tflite` or `.xml` (OpenVINO IR); files with weights lie in the same folder.
        checked: sha256 of files that the caller has held to them just now, so that none is read twice.

    Raises:
        BadGraph: another ending, not there, or refused by `safety`.
        BadInput: a file that may not be read.
    """
    file = Path(path)
    form = GRAPH_SUFFIXES.get(file.suffix.lower())
    if form is None:
        known = ", ".join(GRAPH_SUFFIXES)
        raise BadGraph(f"{shown(file)}: expected a graph file ({known}), got the ending {file.suffix!r}.")
    if not file.is_file():
        raise BadGraph(f"{shown(file)}: expected a graph file, but there is none. Check the path.")
    if form != "onnx":
        return GraphFile(file, form, digest_of_all([file, *files_of(GraphFile(file, form, ""))], checked))
    found = contents_of(file)
    digest = digest_of_all([file, *check_contents(file, found)], checked)
    return GraphFile(file, form, digest, _quantizes(found))


def files_of(graph: GraphFile) -> tuple[Path, ...]:
    """The further files that a graph needs (its weights), after the check that it may be opened.

    Whoever copies or seals a graph takes these along. The order is the same each time.

    Raises:
        BadGraph: refused by `safety`.
    """
    match graph.format:
        case "onnx":
            return check_onnx(graph.path)
        case "xml":
            return check_ir(graph.path)
        case "tflite":
            return check_tflite(graph.path)


def is_quantized(graph: GraphFile) -> bool:
    """Whether a graph computes with whole numbers, or says where to; of TFLite files nobody can tell here.

    Raises:
        BadGraph: it is not what its ending says.
    """
    if graph.quantized is not None:
        return graph.quantized
    match graph.format:
        case "onnx":
            return _quantizes(contents_of(graph.path))
        case "xml":
            # As OpenVINO writes it; how large the file may be was checked when it was opened.
            return b'type="FakeQuantize"' in graph.path.read_bytes()
        case "tflite":
            return False


def _quantizes(found: Contents) -> bool:
    return any(
        "QuantizeLinear" in operator or operator.startswith("QLinear") for _, operator in found.operators
    )


def digest_of_all(files: Sequence[Path], checked: Mapping[Path, str] = MappingProxyType({})) -> str:
    """One digest over a graph and the files that belong to it.

    A graph of one file has that file's own sha256. Otherwise it is the sha256 of the files' sha256 values,
    one hex line each, the graph first: names count only as far as the graph itself states them.
    """
    digests = [checked.get(file) or digest_of(file) for file in files]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()
