"""A classifier's graph file with its penultimate features as one more output, cut once and kept."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from signet import storage
from signet.errors import BadRequest, UnknownName, WrongTask
from signet.graphs import quarantine
from signet.graphs.heads import FEATURES
from signet.graphs.opening import open_graph
from signet.naming import shown
from signet.networks import GraphFile, ModuleSource, Pretrained
from signet.running import STRANGERS

_FORMAT = "2"
"""Raised when the surgeons cut otherwise, so that what was cut before is not taken for new."""


def graph_with_features(pretrained: Pretrained, cache: Path | None = None) -> Pretrained:
    """A model that has features: itself, or its graph with one more output.

    Args:
        pretrained: any classifier, or a model that gives vectors.
        cache: where cut graphs are kept; the cache folder by default.

    Raises:
        WrongTask: the model is neither, or has no graph that could be cut.
        BadGraph: no classifier layer is found in its graph.
        MissingExtra: the model is an ONNX file and `onnx` is not installed.
    """
    output = pretrained.card.output
    if output.head == "embedding" or output.features is not None:
        return pretrained
    graph = next((network for network in pretrained.networks if isinstance(network, GraphFile)), None)
    has_module = any(isinstance(network, ModuleSource) for network in pretrained.networks)
    if output.head not in ("softmax", "sigmoid") or graph is None or has_module:
        raise WrongTask(
            f"{pretrained.card.name} (task {pretrained.card.task!r}, head {output.head!r}) has no features: "
            "expected a classifier, or a model that gives vectors."
        )
    _try(pretrained, graph)
    cut = _cut(graph, output.tensor, cache or storage.cache_folder() / "engines")
    card = dataclasses.replace(
        pretrained.card, output=dataclasses.replace(output, features=FEATURES), inputs=pretrained.card.inputs
    )
    digest = hashlib.sha256(f"{pretrained.digest} {FEATURES} {_FORMAT}".encode()).hexdigest()
    return dataclasses.replace(pretrained, card=card, networks=(cut,), digest=digest)


def penultimate_words(pretrained: Pretrained) -> str:
    """Where a graph is cut for its features, in words; "" for a model that has no graph of a classifier.

    Raises:
        BadGraph: no classifier layer is found in it.
        MissingExtra: an ONNX file, and `onnx` is not installed.
    """
    output = pretrained.card.output
    if output.features is not None:
        return f"output {shown(output.features)}"
    graph = next((network for network in pretrained.networks if isinstance(network, GraphFile)), None)
    if graph is None or output.head not in ("softmax", "sigmoid"):
        return ""
    _try(pretrained, graph)
    surgeon, _ = _surgeon(graph)
    parts = surgeon.penultimate(graph, answer=output.tensor)
    return " and ".join(f"{width or '?'} from {shown(name)}" for name, width in parts)


def layers_of(graph: GraphFile) -> tuple[str, ...]:
    """The names that `graph_with_layer` knows: the tensors that are computed from the image.

    Raises:
        BadRequest: a TFLite graph, or one that comes from TensorFlow.
        BadGraph: the graph cannot be read.
        MissingExtra: an ONNX file, and `onnx` is not installed.
    """
    if graph.format == "tflite":
        # Its maps have their channels last or first, as the converter liked: a mean would be of either.
        raise BadRequest(
            f"{shown(graph.path)}: the layers of a TFLite graph cannot be told apart by their axes. --layer "
            "needs an ONNX or OpenVINO graph, or a model that has a torch form."
        )
    surgeon, _ = _surgeon(graph)
    names: tuple[str, ...] = surgeon.layers(graph)
    return names


def graph_with_layer(pretrained: Pretrained, graph: GraphFile, layer: str) -> Pretrained:
    """A model that gives vectors: what a tensor of its graph holds, averaged over the positions of a map.

    Args:
        pretrained: any model.
        graph: one of its networks.
        layer: a name from `layers_of`.

    Raises:
        UnknownName: no such tensor is computed in the graph.
        BadRequest, BadGraph, MissingExtra: as `layers_of`.
    """
    known = layers_of(graph)
    if layer not in known:
        raise UnknownName("layer", layer, known, "See `signet show MODEL --layers`.")
    output = pretrained.card.output
    cut = _cut(graph, output.tensor, storage.cache_folder() / "engines", layer)
    card = dataclasses.replace(
        pretrained.card,
        task="embed",
        labels=None,
        output=dataclasses.replace(output, head="embedding", tensor=FEATURES, features=FEATURES),
    )
    return Pretrained(card, (cut,), cut.digest, pretrained.where)


def _try(pretrained: Pretrained, graph: GraphFile) -> None:
    """A stranger's graph is opened in a child process first; ONNX files are cut without native readers."""
    if pretrained.where in STRANGERS and graph.format != "onnx":
        quarantine.try_open(graph, "openvino")


def _surgeon(graph: GraphFile) -> tuple[Any, str]:
    """(the module that changes such graphs, the ending of what it writes)."""
    if graph.format == "onnx":
        from signet.graphs import with_onnx

        return with_onnx, ".onnx"
    from signet.graphs import with_openvino

    return with_openvino, ".xml"


def _cut(graph: GraphFile, answer: str | int, cache: Path, layer: str | None = None) -> GraphFile:
    surgeon, suffix = _surgeon(graph)
    named = "" if layer is None else f"{layer!r} "
    key = hashlib.sha256(f"{_FORMAT} {named}{answer!r} {graph.digest}".encode()).hexdigest()
    place = cache / "graphs" / f"{key}.features{suffix}"
    with storage.locked(place):
        if place.is_file():
            return open_graph(place)
        # An .xml is written after its .bin: a lone .bin is what a killed process left.
        place.with_suffix(".bin").unlink(missing_ok=True)
        made: GraphFile = surgeon.add_features(graph, place, answer=answer, features=layer)
        return made
