"""A fitted head on a network: as a graph, and as weights that can be trained further. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from signet import storage
from signet.arrays import Array, Floats
from signet.cards import Card, InputSpec, OutputContract
from signet.errors import MissingExtra
from signet.graphs.heads import FEATURES, LOGITS
from signet.networks import GraphFile, ModuleSource, ModuleSpec, Pretrained

CONVOLUTION_SHIFT = np.float32(100)
"""Added to every bias of a head that is a convolution: softmax does not see it, and where a ReLU follows the
head (SqueezeNet) no logit is cut off at zero."""


class Head(NamedTuple):
    """A linear head: float32 (C, D) and (C,)."""

    weights: Floats
    bias: Floats


class Rebuilt(NamedTuple):
    """A network with another head, as a module to build: what it is, and its tensors by name."""

    spec: ModuleSpec
    state: Mapping[str, Array]


def base_graph(pretrained: Pretrained, cache: Path) -> GraphFile:
    """The graph of a model that has features; traced from its module where it has none.

    Raises:
        MissingExtra: it must be traced, and torch is not installed.
    """
    graphs = [network for network in pretrained.networks if isinstance(network, GraphFile)]
    if graphs:
        return min(graphs, key=lambda graph: graph.format != "onnx")
    from signet import tracing

    module = next(network for network in pretrained.networks if isinstance(network, ModuleSource))
    return tracing.traced(module, cache / "graphs")


def joined(graph: GraphFile, head: Head, folder: Path) -> GraphFile:
    """The graph with a new head, outputs `logits` and `features`, in a folder.

    Raises:
        BadGraph: the graph has no features of that width.
        MissingExtra: the graph is ONNX, and `onnx` is not installed.
    """
    if graph.format == "onnx":
        from signet.graphs import with_onnx as surgeon
    else:
        from signet.graphs import with_openvino as surgeon  # type: ignore[no-redef]
    out = folder / ("joined.onnx" if graph.format == "onnx" else "joined.xml")
    for left in (out, out.with_suffix(".bin")):
        left.unlink(missing_ok=True)  # of a run that was killed here
    return surgeon.join_head(graph, head.weights, head.bias, out)


def with_shift(pretrained: Pretrained, head: Head) -> Head:
    """The head as it is joined and sealed: shifted where the module's own head is a convolution."""
    source = pretrained.module
    if source is None or source.weights is None or source.spec is None or source.spec.classifier is None:
        return head
    shape = _shape_of(source.weights, f"{source.spec.classifier}.weight")
    return Head(head.weights, head.bias + CONVOLUTION_SHIFT) if len(shape) == 4 else head


def rebuilt(pretrained: Pretrained, head: Head) -> Rebuilt | None:
    """The module with the new head in place of its own; None where it cannot be written as plain data."""
    source = pretrained.module
    state = None if source is None else _state_of(source)
    if source is None or source.spec is None or state is None:
        return None
    classes = len(head.bias)
    spec = source.spec
    if spec.classes == 0:
        if spec.zoo != "signet":
            return None  # whose head another zoo would put where is not known
        state = {f"backbone.{name}": array.astype(np.float32) for name, array in state.items()}
        classifier = "head"
    elif spec.classifier is not None and f"{spec.classifier}.bias" in state:
        classifier = spec.classifier
        old = state[f"{classifier}.weight"]
        if old.ndim == 4:
            head = Head(head.weights[:, :, None, None], head.bias)
    else:
        return None
    state[f"{classifier}.weight"], state[f"{classifier}.bias"] = head.weights, head.bias
    for name, array in state.items():
        # Auxiliary heads of the pretraining have as many outputs as it had classes; they never answer.
        if name.lower().startswith("aux") and array.ndim and len(array) == spec.classes:
            state[name] = np.zeros((classes, *array.shape[1:]), array.dtype)
    return Rebuilt(dataclasses.replace(spec, classes=classes, classifier=classifier), state)


def write_state(state: Mapping[str, Array], path: Path) -> Path:
    """Tensors as a safetensors file, whole; the same bytes for the same tensors."""
    from safetensors.numpy import save

    plain = {name: np.asarray(state[name], order="C") for name in sorted(state)}
    storage.write_bytes(path, save(plain, {"format": "pt"}), overwrite=True)
    return path


def card_of(parent: Card, labels: tuple[str, ...], *, exclusive: bool = True, **values: Any) -> Card:
    """The card of a classifier made from another model.

    Args:
        parent: the card of the model that it was made from.
        labels: its own.
        exclusive: whether one label of an image is right; else each has a score of its own.
        values: fields that differ from the parent's.
    """
    head: Literal["softmax", "sigmoid"] = "softmax" if exclusive else "sigmoid"
    output = OutputContract(head=head, tensor=LOGITS, classes=len(labels), features=FEATURES)
    return dataclasses.replace(
        parent,
        **{
            "task": "classify",
            "labels": labels,
            "output": output,
            "claims": (),
            "good_for": "",
            "weights_digest": None,
            "digest_trust": "unknown",
            **values,
        },
    )


def traced_inputs(size: tuple[int, int]) -> tuple[InputSpec, ...]:
    """The input of a graph that was traced from a module."""
    return (InputSpec(name="images", shape=(None, 3, *size)),)


def _state_of(source: ModuleSource) -> dict[str, Array] | None:
    """The module's tensors; read from the file where numpy can, else from the module, which needs torch."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if source.weights is not None and source.weights.suffix == ".safetensors":
        try:
            return dict(load_file(source.weights))
        except (SafetensorError, OSError, TypeError, KeyError):
            pass  # bfloat16, which numpy does not have
    try:
        module = source.build()
    except MissingExtra:
        return None
    return {name: tensor.detach().cpu().float().numpy() for name, tensor in module.state_dict().items()}


def _shape_of(weights: Path, name: str) -> tuple[int, ...]:
    """The shape of one tensor of a weight file; () where it cannot be seen."""
    if weights.suffix != ".safetensors":
        return ()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="np") as opened:
            return tuple(opened.get_slice(name).get_shape())
    except (SafetensorError, OSError):
        return ()
