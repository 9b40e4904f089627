"""TensorFlow's files as OpenVINO IR: checked, then converted once in a child process, and kept in the cache.

A SavedModel is a folder with `saved_model.pb` and `variables/`; a frozen graph is one `.pb`. No TensorFlow is
needed: OpenVINO's reader makes the network. All else in Signet sees the IR that it becomes, in float32.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from signet import storage
from signet.cards import InputSpec
from signet.errors import BadGraph, BadInput, SignetError
from signet.graphs import tensorflow_wire
from signet.graphs.opening import digest_of_all, open_graph
from signet.graphs.quarantine import ask_child
from signet.graphs.tensorflow_safety import (
    GRAPH_NAME,
    check_operators,
    check_variables,
    choose,
    files_of_saved_model,
    no_node,
    node_of,
)
from signet.graphs.tensorflow_signature import write_with_one
from signet.naming import shown
from signet.networks import GraphFile

SUFFIX = ".pb"
SECONDS = 1800.0
"""The largest public classifiers (900 million parameters) take minutes on two cores."""
_FORMAT = "1"
"""Raised when files are converted otherwise, so that what was converted before is not taken for new."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a card says of the graph beside it.

    Attributes:
        input: the image input: the signature's name or the graph's own; None for the only one.
        shape: its axes, where the card states them; None for any length.
        outputs: the outputs that are read, by name; none for all. Of a frozen graph any tensor will do.
    """

    input: str | None = None
    shape: tuple[int | None, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of TensorFlow's files.

    Attributes:
        graph: the IR in the cache.
        digest: sha256 hex over the files that it was made of.
        input: its image input.
        outputs: their names, in order.
        signature: which one of a SavedModel was taken; "" for a frozen graph.
    """

    graph: GraphFile
    digest: str
    input: InputSpec
    outputs: tuple[str, ...]
    signature: str


def is_tensorflow(path: Path) -> bool:
    """Whether a path is a SavedModel folder, or has the ending of a frozen graph."""
    if path.is_dir():
        return (path / GRAPH_NAME).exists() or (path / "saved_model.pbtxt").exists()
    return path.suffix.lower() == SUFFIX


def converted(path: Path, wanted: Wanted, cache: Path | None = None) -> Converted:
    """The network of a SavedModel or a frozen graph as OpenVINO IR.

    Args:
        path: the folder, or the `.pb`.
        wanted: what the card says.
        cache: where what was made is kept; the cache folder by default.

    Raises:
        BadGraph: links, missing files, an operator that does more than compute, no fitting signature, or
            refused by OpenVINO.
    """
    if path.name == GRAPH_NAME:
        raise BadGraph(f"{shown(path)} is part of a SavedModel: name its folder, {shown(path.parent)}.")
    found = _SavedModel(path, wanted) if path.is_dir() else _Frozen(path, wanted)
    digest = digest_of_all(found.files)
    asked = json.dumps([_FORMAT, metadata.version("openvino"), digest, found.signature, found.wanted])
    folder = (cache or storage.cache_folder() / "engines") / "graphs"
    place = folder / f"{hashlib.sha256(asked.encode()).hexdigest()}.tensorflow.xml"
    with storage.locked(place):
        facts = _kept(place)
        if facts is None:
            facts = _make(path, found, place)
    spec = InputSpec(facts["name"], "image", facts["dtype"], tuple(facts["shape"]))
    return Converted(open_graph(place), digest, spec, tuple(facts["outputs"]), found.signature)


class _SavedModel:
    """A SavedModel that was checked, and how it is called."""

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        self.files = files_of_saved_model(folder)
        graphs = tensorflow_wire.saved_model(self.files[0])
        self._chosen, graph = choose(folder, graphs, wanted.input)
        offered = self._chosen.signature.outputs
        for name in wanted.outputs:
            if name not in offered:
                known = ", ".join(map(shown, offered))
                raise BadGraph(
                    f"{shown(folder)}: its signature {shown(self._chosen.name)!r} has no output "
                    f"{shown(name)!r}: expected one of {known}."
                )
        self._outputs = wanted.outputs or tuple(offered)
        given = [node_of(tensor.name) for tensor in self._chosen.signature.inputs.values()]
        answers = [node_of(offered[name].name) for name in self._outputs]
        check_operators(folder, graph, answers, given)
        check_variables(folder, [graph])
        self._folder = folder
        self.signature = self._chosen.name
        self.wanted = {"input": None, "shape": _axes(wanted.shape), "outputs": list(self._outputs)}

    def source(self, temporary: Path) -> Path:
        """What OpenVINO is to read: the folder itself where it cannot be read in more than one way."""
        if self._chosen.only and len(self._outputs) == len(self._chosen.signature.outputs):
            return self._folder
        write_with_one(self._folder, self._chosen, self._outputs, temporary / "one")
        return temporary / "one"


class _Frozen:
    """A frozen graph that was checked."""

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.files: Sequence[Path] = (path,)
        graph = tensorflow_wire.frozen(path)
        asked = [node_of(name) for name in wanted.outputs]
        given = [] if wanted.input is None else [node_of(wanted.input)]
        for name in (*given, *asked):
            if name not in graph.nodes:
                raise no_node(path, name, graph.nodes.keys())
        check_operators(path, graph, asked or None, given)
        self._path = path
        self.signature = ""
        self.wanted = {
            "input": wanted.input,
            "shape": _axes(wanted.shape),
            "outputs": list(wanted.outputs),
        }

    def source(self, _temporary: Path) -> Path:
        """What OpenVINO is to read."""
        return self._path


def _axes(shape: Sequence[int | None]) -> list[int]:
    """Axes as OpenVINO writes them; the batch is left free."""
    return [-1 if axis is None or place == 0 else axis for place, axis in enumerate(shape)]


def _make(path: Path, found: _SavedModel | _Frozen, place: Path) -> Mapping[str, Any]:
    """Convert in a child process; the IR under its name is always whole, its facts come last."""
    for left in (place, place.with_suffix(".bin")):
        left.unlink(missing_ok=True)  # of a run that was killed here
    temporary = Path(tempfile.mkdtemp(prefix="signet-", dir=place.parent))
    try:
        made = temporary / "graph.xml"
        arguments = (str(made), json.dumps(found.wanted))
        answer = ask_child("tensorflow_conversion", found.source(temporary), arguments, "openvino", SECONDS)
        if not answer.get("ok"):
            raise BadGraph(
                f"{shown(path)} cannot be read by OpenVINO: {shown(answer.get('error', '?'))}. Export it "
                "with other operators, or as ONNX (tf2onnx), and use that."
            )
        facts = {key: answer[key] for key in ("name", "dtype", "shape", "outputs")}
        made.with_suffix(".bin").replace(place.with_suffix(".bin"))
        made.replace(place)
        storage.write_json(_facts_beside(place), facts, overwrite=True)
    except OSError as error:
        raise SignetError(
            f"{shown(path)} cannot be converted in the cache: {error.strerror or error}."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return facts


def _kept(place: Path) -> Mapping[str, Any] | None:
    """What is known of a graph that was made before, or None."""
    try:
        return storage.read_json(_facts_beside(place)) if place.is_file() else None
    except BadInput:
        return None


def _facts_beside(place: Path) -> Path:
    return place.with_suffix(".json")
