"""The output of any layer as a model's features: the same network, with another answer."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from signet.errors import BadRequest, UnknownName, WrongTask
from signet.networks import GraphFile, ModuleSource, Pretrained

PENULTIMATE = "penultimate"


def with_layer(pretrained: Pretrained, layer: str = PENULTIMATE, pool: str = "mean") -> Pretrained:
    """A model whose `features` are the output of a layer.

    Args:
        pretrained: the model.
        layer: dotted name of a torch module ("layer3.0"), or "penultimate": the input of the head.
        pool: "mean" over the positions of a map, (N, D); "none" keeps the map and flattens nothing
            (written row by row as it is).

    Raises:
        BadRequest: another pool, or a layer of a model that has no torch form.
        WrongTask: the model has no features and no head to take them before.
    """
    if pool not in ("mean", "none"):
        raise BadRequest(f"--pool: expected mean or none, got {pool!r}.")
    if layer == PENULTIMATE and pool == "mean":
        return _with_features(pretrained)
    modules = [network for network in pretrained.networks if isinstance(network, ModuleSource)]
    if not modules:
        raise BadRequest(
            f"{pretrained.card.name} is a graph without layer names; --layer and --pool none need a model "
            "that has a torch form. Use the default layer, or load the model by its catalogue name."
        )
    source = modules[0]
    name = layer if layer != PENULTIMATE else source.classifier
    if name is None:
        raise WrongTask(f"{pretrained.card.name} states no head; name the --layer.")
    tapped = _tapped(source, name, before=layer == PENULTIMATE, pool=pool)
    # By place: a module that only the caller can build has no spec to call its answer "features" by.
    output = dataclasses.replace(pretrained.card.output, head="embedding", tensor=0, features=0)
    card = dataclasses.replace(pretrained.card, task="embed", output=output, labels=None)
    return Pretrained(card, (tapped,), tapped.digest, pretrained.where)


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
        raise UnknownName("layer", layer, [name for name in names if name], "`signet show MODEL --layers`.")

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
