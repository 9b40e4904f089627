"""A classifier's graph file with its penultimate features as one more output, cut once and kept."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from signet import storage
from signet.errors import WrongTask
from signet.graphs.heads import FEATURES
from signet.graphs.opening import open_graph
from signet.networks import GraphFile, ModuleSource, Pretrained

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
    cut = _cut(graph, output.tensor, cache or storage.cache_folder() / "engines")
    card = dataclasses.replace(
        pretrained.card, output=dataclasses.replace(output, features=FEATURES), inputs=pretrained.card.inputs
    )
    digest = hashlib.sha256(f"{pretrained.digest} {FEATURES} {_FORMAT}".encode()).hexdigest()
    return dataclasses.replace(pretrained, card=card, networks=(cut,), digest=digest)


def _cut(graph: GraphFile, answer: str | int, cache: Path) -> GraphFile:
    if graph.format == "onnx":
        from signet.graphs import with_onnx as surgeon

        suffix = ".onnx"
    else:
        from signet.graphs import with_openvino as surgeon  # type: ignore[no-redef]

        suffix = ".xml"
    key = hashlib.sha256(f"{_FORMAT} {answer!r} {graph.digest}".encode()).hexdigest()
    place = cache / "graphs" / f"{key}.features{suffix}"
    with storage.locked(place):
        if place.is_file():
            return open_graph(place)
        # An .xml is written after its .bin: a lone .bin is what a killed process left.
        place.with_suffix(".bin").unlink(missing_ok=True)
        return surgeon.add_features(graph, place, answer=answer)
