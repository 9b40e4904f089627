"""The output of any layer as a model's features: the same network, with another answer."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
from typing import Any

from signet.errors import BadRequest, UnknownName, WrongTask
from signet.networks import GraphFile, ModuleSource, Pretrained

PENULTIMATE = "penultimate"


def with_layer(pretrained: Pretrained, layer: str = PENULTIMATE, pool: str = "mean") -> Pretrained:
    """A model whose `features` are the output of a layer.

    Args:
        pretrained: the model.
        layer: "penultimate", the input of the head, or a name from `layers`: the dotted name of a torch
            module ("layer3.0"); for a graph without a torch form, the name of a tensor.
        pool: "mean" over the positions of a map, (N, D); "none" keeps the map and flattens nothing
            (written row by row as it is).

    Raises:
        BadRequest: another pool, "none" for a model that has no torch form, or a layer of a TFLite graph.
        UnknownName: no such layer; a torch module says so when it is opened.
        WrongTask: the model has no features and no head to take them before.
    """
    if pool not in ("mean", "none"):
        raise BadRequest(f"--pool: expected mean or none, got {pool!r}.")
    if layer == PENULTIMATE and pool == "mean":
        return _with_features(pretrained)
    source = _module(pretrained)
    if source is None:
        graph = next((network for network in pretrained.networks if isinstance(network, GraphFile)), None)
        if graph is None or pool == "none":
            raise BadRequest(
                f"{pretrained.card.name}: {_lacking(pretrained)}, which --pool none needs. Leave it out, or "
                "name a model that has a torch form and install the extra 'train'."
            )
        from signet.features import graph_with_layer

        return graph_with_layer(pretrained, graph, layer)
    name = layer if layer != PENULTIMATE else source.classifier
    if name is None:
        raise WrongTask(
            f"{pretrained.card.name} states no head, so nothing is known to come before it; name the --layer "
            f"(`signet show {pretrained.card.name} --layers`)."
        )
    tapped = _tapped(source, name, before=layer == PENULTIMATE, pool=pool)
    # By place: a module that only the caller can build has no spec to call its answer "features" by.
    output = dataclasses.replace(pretrained.card.output, head="embedding", tensor=0, features=0)
    card = dataclasses.replace(pretrained.card, task="embed", output=output, labels=None)
    return Pretrained(card, (tapped,), tapped.digest, pretrained.where)


def layers(pretrained: Pretrained) -> tuple[str, ...]:
    """The names that `with_layer` knows: torch modules by their dotted names, else the graph's tensors.

    Raises:
        BadRequest: a TFLite graph, whose layers cannot be taken.
        BadGraph: the graph cannot be read.
        MissingExtra: an ONNX file, and `onnx` is not installed.
    """
    source = _module(pretrained)
    if source is not None:
        return tuple(name for name, _ in source.build().named_modules() if name)
    from signet.features import layers_of

    graph = next(network for network in pretrained.networks if isinstance(network, GraphFile))
    return layers_of(graph)


def _module(pretrained: Pretrained) -> ModuleSource | None:
    """The torch form, where there is one, and torch to build it or no other form."""
    source = next((network for network in pretrained.networks if isinstance(network, ModuleSource)), None)
    other = any(isinstance(network, GraphFile) for network in pretrained.networks)
    if other and importlib.util.find_spec("torch") is None:
        return None
    return source


def _lacking(pretrained: Pretrained) -> str:
    if any(isinstance(network, ModuleSource) for network in pretrained.networks):
        return "torch is not installed"
    return "it is a graph and has no torch form"


def _with_features(pretrained: Pretrained) -> Pretrained:
    """The model itself when it has features; a graph file gets them by being cut before its head."""
    output = pretrained.card.output
    if output.head == "embedding" or output.features is not None:
        return pretrained
    graphs = [network for network in pretrained.networks if isinstance(network, GraphFile)]
    if output.head not in ("softmax", "sigmoid") or not graphs:
        raise WrongTask(
            f"{pretrained.card.name} (task {pretrained.card.task!r}) has no features to embed with."
        )
    from signet.features import graph_with_features

    return graph_with_features(pretrained)


def _tapped(source: ModuleSource, layer: str, *, before: bool, pool: str) -> ModuleSource:
    spec = None if source.spec is None else dataclasses.replace(source.spec, classes=0, classifier=None)
    text = f"{source.digest} {layer} {before} {pool}"
    return dataclasses.replace(
        source,
        build=lambda: _tap(source.build(), layer, before=before, pool=pool),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        spec=spec,
        classifier=None,
    )


def _tap(module: Any, layer: str, *, before: bool, pool: str) -> Any:
    """The module, answering with what one of its layers gives (or is given)."""
    import torch

    names = dict(module.named_modules())
    if layer not in names:
        raise UnknownName(
            "layer", layer, [name for name in names if name], "See `signet show MODEL --layers`."
        )

    class Tap(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            self.taken: list[Any] = []
            place = names[layer]
            if before:
                place.register_forward_pre_hook(lambda _, inputs: self.taken.append(inputs[0]))
            else:
                place.register_forward_hook(lambda *arguments: self.taken.append(arguments[2]))

        def forward(self, images: Any) -> Any:
            self.taken.clear()
            self.module(images)
            if not self.taken:
                raise RuntimeError(f"layer {layer!r} takes no part in the answer; name another --layer")
            features = self.taken.pop()
            if pool == "none":
                return features
            if features.ndim == 4:
                return features.mean(dim=(2, 3))
            return features.mean(dim=1) if features.ndim == 3 else features

    return Tap().eval()
