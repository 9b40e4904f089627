"""The frozen network's features, and the head that is fitted on them. No torch, unless it must be traced."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array, Floats, Integers
from signet.cards import InputSpec
from signet.errors import BadDataset, SignetError
from signet.features import extract, graph_with_features
from signet.features.extraction import default_cache
from signet.finetuning import label_sets
from signet.finetuning.joining import Head, with_shift
from signet.geometry import Size
from signet.models import Model, load
from signet.networks import ModuleSource, Pretrained
from signet.probing import Probe, ProbeSettings
from signet.progress import OnProgress
from signet.recipes import Recipe
from signet.streaming import settings_for


def featured(pretrained: Pretrained) -> Pretrained:
    """The model with its features as an output; a graph file is cut before its head.

    Raises:
        WrongTask: it neither classifies nor embeds.
        BadGraph: no head is found in its graph.
    """
    return graph_with_features(pretrained)


def at_size(pretrained: Pretrained, size: Size) -> Pretrained:
    """The model at another input size: its module, and its program in proportion."""
    from signet.training import program_at

    card = pretrained.card
    if card.input_size == size:
        return pretrained
    source = next(network for network in pretrained.networks if isinstance(network, ModuleSource))
    sized = dataclasses.replace(source, input_shape=(3, *size))
    inputs = (InputSpec(name="images", shape=(None, 3, *size)),)
    output = dataclasses.replace(card.output, tensor="logits", features="features")
    if card.task == "embed":
        output = dataclasses.replace(card.output, tensor="features", features=None)
    return dataclasses.replace(
        pretrained,
        card=dataclasses.replace(card, program=program_at(card.program, size), inputs=inputs, output=output),
        networks=(sized,),
    )


def opened(pretrained: Pretrained, recipe: Recipe) -> Model[Any]:
    """The model on the engine that the recipe asks for, for many images."""
    settings = settings_for(many=True, threads=recipe.threads, device=recipe.device, engine=recipe.engine)
    model: Model[Any] = load(pretrained, engine=recipe.engine, precision=recipe.precision, settings=settings)
    return model


def features_of(
    pretrained: Pretrained,
    paths: Sequence[Path],
    recipe: Recipe,
    on_progress: OnProgress,
    digests: Sequence[str] | None = None,
) -> tuple[Floats, Integers, tuple[tuple[int, SignetError], ...]]:
    """(features of the readable files, their positions, what could not be read), from the cache or now."""
    with opened(pretrained, recipe) as model:
        found = extract(model, paths, cache=default_cache(), digests=digests, on_progress=on_progress)
    readable = np.flatnonzero(found.readable)
    return found.features[readable], readable, found.failures


def fitted(
    features: Floats,
    targets: Array,
    classes: int,
    folds: Integers,
    recipe: Recipe,
    on_progress: OnProgress,
) -> Probe:
    """The probe, its strength chosen by cross-validation over the run's own folds.

    With one image of each class, or images that belong together, there is one fold and nothing to choose by.
    """
    settings = probe_settings(recipe)
    parts = np.unique(folds, return_inverse=True)[1]
    own = parts if len(np.unique(parts)) > 1 else None
    return label_sets.fitted(features, targets, classes, own, settings, on_progress)


def probe_settings(recipe: Recipe) -> ProbeSettings:
    """The part of the recipe that a probe needs."""
    return ProbeSettings(strengths=recipe.strengths, folds=recipe.folds, seed=recipe.seed)


def all_readable(positions: Integers, count: int, failures: Sequence[tuple[int, SignetError]]) -> None:
    """Refuse to go on when files that could be read before cannot be read now.

    Raises:
        BadDataset: some cannot.
    """
    if len(positions) != count:
        place, error = failures[0]
        raise BadDataset(
            f"{count - len(positions)} images changed while they were being learned from; "
            f"the first, at position {place}: {error}"
        )


def head_of(probe: Probe, pretrained: Pretrained) -> Head:
    """The probe as the head that is joined and sealed."""
    return with_shift(pretrained, Head(probe.weights, probe.bias))
