"""A trained network's answers and features, by the graph that will be sealed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from signet import answers, streaming
from signet.arrays import Floats
from signet.batches import Outputs
from signet.cards import OutputContract
from signet.errors import BadDataset
from signet.finetuning.joining import card_of, traced_inputs
from signet.finetuning.probes import opened
from signet.finetuning.trained import TrainedNetwork
from signet.networks import Pretrained
from signet.recipes import Recipe

_STATISTICS_IMAGES = 2000


def logits_of(tuned: TrainedNetwork, paths: Sequence[Path], recipe: Recipe) -> Floats:
    """Float32 (N, C).

    Raises:
        BadDataset: a file cannot be read any more.
    """
    contract = _contract(tuned)
    return _through(tuned, paths, recipe, lambda raw: answers.logits(raw, contract))


def features_through(tuned: TrainedNetwork, paths: Sequence[Path], recipe: Recipe) -> Floats:
    """Float32 (N, D); the frozen network's were others.

    Raises:
        BadDataset: a file cannot be read any more.
    """
    contract = _contract(tuned)
    return _through(tuned, paths, recipe, lambda raw: answers.features(raw, contract))


def own_features(tuned: TrainedNetwork, paths: Sequence[Path], recipe: Recipe) -> Floats:
    """The features of some images, evenly from all, for the statistics of the seal."""
    return features_through(tuned, paths[:: -(-len(paths) // _STATISTICS_IMAGES)], recipe)


def _through(
    tuned: TrainedNetwork, paths: Sequence[Path], recipe: Recipe, take: Callable[[Outputs], Floats]
) -> Floats:
    inputs = traced_inputs(tuned.sized.card.input_size or (224, 224))
    card = dataclasses.replace(
        tuned.sized.card, task="classify", output=_contract(tuned), labels=None, inputs=inputs
    )
    with opened(Pretrained(card, (tuned.graph,), tuned.graph.digest, "traced"), recipe) as model:
        rows = list(streaming.outputs(model, paths, lambda raw: list(take(raw))))
    for row in rows:
        if row.answer is None:
            raise BadDataset(f"{row.source} changed while the model was measured: {row.error}")
    return np.stack([row.answer for row in rows if row.answer is not None])


def _contract(tuned: TrainedNetwork) -> OutputContract:
    return card_of(tuned.sized.card, ("",) * tuned.classes).output
