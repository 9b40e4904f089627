"""Whether TensorFlow's files may be handed to a native library at all, and which of their tensors answer.

Operators are held to a list of those that only compute. Files that TensorFlow wrote carry others as well (to
save, restore and initialise variables); what the answer does not depend on is never translated, so only what
it depends on is held to the list.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from signet.errors import BadGraph, near_misses
from signet.graphs.tensorflow_operators import COMPUTING, why_refused
from signet.graphs.tensorflow_wire import Graph, Node, Signature, Span
from signet.naming import shown

GRAPH_NAME = "saved_model.pb"
VARIABLES = "variables"
MOST_FILES = 10_000
DEFAULT = "serving_default"


@dataclass(frozen=True, slots=True)
class Chosen:
    """How a SavedModel is called.

    Attributes:
        name: of the signature.
        key: the signature's name for the image input.
        signature: the whole of it.
        only: the file holds one graph with this signature as its default, so a reader cannot take another.
        graph: where the graph with its signatures lies in the file.
        entry: where the signature lies.
    """

    name: str
    key: str
    signature: Signature
    only: bool
    graph: Span
    entry: Span


def files_of_saved_model(folder: Path) -> tuple[Path, ...]:
    """The files of a SavedModel that answers depend on: its graph, then its variables by name.

    Raises:
        BadGraph: links, something that is not a plain file, or no `saved_model.pb`.
    """
    graph = folder / GRAPH_NAME
    if not graph.exists() and (folder / "saved_model.pbtxt").exists():
        raise BadGraph(
            f"{shown(folder)}: expected {GRAPH_NAME}, got the text form saved_model.pbtxt. Write the model "
            "again with tf.saved_model.save."
        )
    variables = folder / VARIABLES
    try:
        entries = sorted(variables.iterdir()) if variables.is_dir() else []
    except OSError as error:
        raise BadGraph(f"{shown(variables)} cannot be read: {error.strerror or error}.") from error
    if len(entries) > MOST_FILES:
        raise BadGraph(f"{shown(variables)}: expected at most {MOST_FILES} files, got {len(entries)}.")
    if variables.is_symlink():
        raise _link(variables)
    files = (graph, *entries)
    for file in files:
        if file.is_symlink():
            raise _link(file)
        try:
            plain = stat.S_ISREG(file.stat().st_mode)
        except OSError as error:
            raise BadGraph(f"{shown(file)} cannot be read: {error.strerror or error}.") from error
        if not plain:
            raise BadGraph(f"{shown(file)}: expected a plain file of a TensorFlow SavedModel.")
    return files


def check_variables(folder: Path, graphs: Iterable[Graph]) -> None:
    """Refuse a SavedModel whose variables are not all there.

    Raises:
        BadGraph: the graph reads variables, and the folder has no index or not all parts.
    """
    used = {
        node.operator
        for graph in graphs
        for node in [*graph.nodes.values(), *(node for nodes in graph.functions.values() for node in nodes)]
    }
    if not used & {"VarHandleOp", "VariableV2", "Variable"}:
        return
    place = folder / VARIABLES
    parts = sorted(place.glob("variables.data-*-of-*")) if place.is_dir() else []
    counts = {part.name.rpartition("-")[2] for part in parts}
    whole = len(counts) == 1 and counts == {f"{len(parts):05d}"}
    if not (place / "variables.index").is_file() or not whole:
        raise BadGraph(
            f"{shown(folder)}: its graph has variables, and the folder {VARIABLES}/ does not hold them all: "
            f"expected variables.index and each variables.data-*, got {len(parts)} of these. Copy the whole "
            "folder."
        )


def choose(folder: Path, graphs: Iterable[Graph], named: str | None) -> tuple[Chosen, Graph]:
    """The signature that takes the image: `serving_default`, or the one that has the named input.

    Args:
        folder: for messages.
        graphs: of the SavedModel; the one with the tag "serve" is taken.
        named: an input as the card calls it: the signature's name for it, or the graph's.

    Raises:
        BadGraph: none, several, or one that takes something else than one image.
    """
    found = list(graphs)
    serving = [graph for graph in found if "serve" in graph.tags]
    if len(serving) != 1:
        tags = ", ".join(shown("+".join(graph.tags)) or "no tag" for graph in found)
        raise BadGraph(f"{shown(folder)}: expected one graph with the tag 'serve', got {tags}.")
    graph = serving[0]
    calls = {name: call for name, call in graph.signatures.items() if call.inputs}
    fitting = {
        name: key
        for name, call in calls.items()
        for key, tensor in call.inputs.items()
        if named is None or named in (key, tensor.name, tensor.name.partition(":")[0])
    }
    # Keras writes each signature twice, as "serve" and as "serving_default".
    name = DEFAULT if DEFAULT in fitting else next(iter(fitting), None) if len(fitting) == 1 else None
    if name is None:
        offered = "; ".join(f"{shown(name)} takes {_words(call)}" for name, call in calls.items()) or "none"
        asked = f"with the input {shown(named)!r}" if named else f"named {DEFAULT!r}"
        raise BadGraph(
            f"{shown(folder)}: expected one signature {asked}, got these: {offered}. Name the input of "
            'one of them in the card: "inputs": [{"name": ...}].'
        )
    call, key = calls[name], fitting[name]
    if len(call.inputs) != 1 or call.inputs[key].dtype not in ("float32", "uint8"):
        raise BadGraph(
            f"{shown(folder)}: its signature {shown(name)!r} takes {_words(call)}: expected one input, an "
            "image as float32 or uint8. Export it with a signature that takes the pictures' values."
        )
    only = len(found) == 1 and name == DEFAULT
    return Chosen(name, key, call, only, graph.span, graph.entries[name]), graph


def check_operators(
    path: Path, graph: Graph, answers: Collection[str] | None, given: Collection[str]
) -> None:
    """Refuse a graph whose answer depends on anything but computation.

    Args:
        path: for messages.
        graph: the graph.
        answers: names of the nodes that answer; None for all that nothing reads.
        given: names of the nodes whose values are given: nothing behind them is looked at.

    Raises:
        BadGraph: what operator, and why not.
    """
    if answers is None:
        read = {name for node in graph.nodes.values() for name in node.inputs}
        answers = [name for name in graph.nodes if name not in read]
    reached, calls = _reached(path, graph.nodes, answers, given)
    seen: set[str] = set()
    while calls:
        name = calls.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in graph.functions.get(name, ()):
            reached.append(node)
            calls.update((*node.calls, *({node.operator} & graph.functions.keys())))
    for operator in sorted({node.operator for node in reached} - COMPUTING - graph.functions.keys()):
        raise BadGraph(
            f"{shown(path)}: its answer depends on the operator {shown(operator)!r}, which "
            f"{why_refused(operator)}: expected a graph that computes and does nothing else. It is not "
            "opened. Export the network for inference, from the values of pictures to scores; where the card "
            "names an inner input and output, only what lies between them counts."
        )


def node_of(tensor: str) -> str:
    """The name of the node that makes a tensor."""
    return tensor.removeprefix("^").partition(":")[0]


def no_node(path: Path, name: str, known: Collection[str]) -> BadGraph:
    """The error of a name that the graph does not have."""
    near = ", ".join(repr(shown(other)) for other in near_misses(name, known))
    meant = f"; did you mean {near}?" if near else "."
    return BadGraph(
        f"{shown(path)} has no tensor {shown(name)!r}{meant} The card's inputs and output name tensors of "
        "the graph."
    )


def _reached(
    path: Path, nodes: Mapping[str, Node], answers: Collection[str], given: Collection[str]
) -> tuple[list[Node], set[str]]:
    """The nodes that answers depend on, and the functions that these call."""
    stack, seen = list(answers), set(given)
    reached, calls = [], set[str]()
    while stack:
        name = stack.pop()
        if name in seen:
            continue
        seen.add(name)
        node = nodes.get(name)
        if node is None:
            raise no_node(path, name, nodes.keys())
        reached.append(node)
        calls.update((*node.calls, node.operator))
        stack += node.inputs
    return reached, calls


def _words(call: Signature) -> str:
    return ", ".join(
        f"{shown(key)!r} ({tensor.dtype}, {'any shape' if tensor.shape is None else list(tensor.shape)})"
        for key, tensor in call.inputs.items()
    )


def _link(file: Path) -> BadGraph:
    return BadGraph(
        f"{shown(file)} is a link: expected a plain file inside the SavedModel. Copy the file there."
    )
