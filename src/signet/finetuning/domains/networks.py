"""The candidate that is sealed, as what is adapted: its answers, its features, its head, its module."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Floats
from signet.finetuning import answering, closing
from signet.finetuning.jobs import Job
from signet.finetuning.joining import CONVOLUTION_SHIFT, Head, Rebuilt, joined
from signet.finetuning.learners import begin_head, learner_of
from signet.finetuning.probes import all_readable, features_of, head_of
from signet.finetuning.trained import TrainedNetwork, can_train
from signet.finetuning.written import arrays_of, written
from signet.graphs.opening import open_graph
from signet.networks import ModuleSpec, Pretrained
from signet.probing import Probe

FOLDER = "domain"
"""What an adapted network is written into, within the run's folder."""


@dataclass(frozen=True, slots=True, eq=False)
class Buildable:
    """A network as a module that can be changed.

    Attributes:
        module: torch's, a copy of its own.
        classifier: dotted name of its head.
        spec: the module as data, or None where its code alone says what it is.
        sized: the model at the size of its input.
    """

    module: Any
    classifier: str
    spec: ModuleSpec | None
    sized: Pretrained


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A candidate as it answers.

    Attributes:
        logits: float32 (N, C) of files.
        features: float32 (N, D) of files, which the head turns into logits.
        sealable: what is sealed of it.
        with_head: the same network under another linear head; None where its head is no linear one.
        build: a module to change; None where torch has none.
    """

    logits: Callable[[Sequence[Path]], Floats]
    features: Callable[[Sequence[Path]], Floats]
    sealable: Callable[[], closing.Sealable]
    with_head: Callable[[Floats, Floats], Network] | None
    build: Callable[[], Buildable] | None


def of_probe(job: Job, probe: Probe, rows: Floats) -> Network:
    """The frozen network under a probe.

    Args:
        job: the run.
        probe: its head.
        rows: features of the development images, for the statistics of the seal.
    """

    def features(paths: Sequence[Path]) -> Floats:
        found, readable, failures = features_of(job.start, paths, job.recipe, job.on_progress)
        all_readable(readable, len(paths), failures)
        return found

    def build() -> Buildable:
        # At the size of the probe's features, which may not be the card's own word for it.
        learner = learner_of(job.start, len(job.parts.labels), job.recipe.changed(head="linear"))
        begin_head(learner, {"weights": probe.weights, "bias": probe.bias})
        return Buildable(learner.module, learner.classifier, learner.spec, job.start)

    def with_head(weights: Floats, bias: Floats) -> Network:
        return of_probe(job, dataclasses.replace(probe, weights=weights, bias=bias), rows)

    return Network(
        logits=lambda paths: probe.logits(features(paths)),
        features=features,
        sealable=lambda: closing.sealable_probe(job.start, head_of(probe, job.start), rows, job.work),
        with_head=with_head,
        build=build if can_train(job.start) is None else None,
    )


def of_trained(job: Job, tuned: TrainedNetwork) -> Network:
    """A network that was trained further."""
    recipe, paths, rebuilt = job.recipe, job.parts.development.paths, tuned.rebuilt

    def build() -> Buildable:
        spec = None if rebuilt is None else rebuilt.spec
        classifier = tuned.source.classifier or ""
        return Buildable(copy.deepcopy(tuned.source.build()), classifier, spec, tuned.sized)

    def with_head(rebuilt: Rebuilt, weights: Floats, bias: Floats) -> Network:
        folder = job.work.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        head, under = _under(rebuilt, weights, bias)
        return of_trained(
            job, dataclasses.replace(tuned, graph=joined(tuned.graph, head, folder), rebuilt=under)
        )

    return Network(
        logits=lambda some: answering.logits_of(tuned, some, recipe),
        features=lambda some: answering.features_through(tuned, some, recipe),
        sealable=lambda: closing.sealable_tuned(tuned, answering.own_features(tuned, paths, recipe)),
        with_head=None if rebuilt is None else partial(with_head, rebuilt),
        build=build,
    )


def of_module(job: Job, built: Buildable, tuned: TrainedNetwork | None) -> Network:
    """A module that was changed, on disk.

    Args:
        job: the run.
        built: what became of it.
        tuned: what came of training, where the module is that; else of a probe.
    """
    size = built.sized.card.input_size or (224, 224)
    state = arrays_of(built.module.state_dict())
    folder = job.work.folder / FOLDER
    made = written(built.spec, built.module, built.classifier, state, folder, size)
    graph = open_graph(made.graph)
    if tuned is not None:
        changed = dataclasses.replace(tuned, rebuilt=made.rebuilt, source=made.source, graph=graph)
        return of_trained(job, changed)
    nothing = np.zeros((0, len(job.parts.labels)), np.float32)
    made_of_probe = TrainedNetwork(
        rebuilt=made.rebuilt,
        source=made.source,
        graph=graph,
        sized=built.sized,
        classes=len(job.parts.labels),
        validation_logits=nothing,
        history=(),
        best_epoch=0,
    )
    return of_trained(job, made_of_probe)


def trainable(pretrained: Pretrained) -> bool:
    """Whether torch has a form of a model, installed or not."""
    return pretrained.module is not None


def _under(rebuilt: Rebuilt, weights: Floats, bias: Floats) -> tuple[Head, Rebuilt]:
    """A head as it is joined to the graph, and the module's data with it; a convolution's is shifted."""
    name = rebuilt.spec.classifier
    shape = rebuilt.state[f"{name}.weight"].shape
    head = Head(weights, bias + CONVOLUTION_SHIFT if len(shape) == 4 else bias)
    state = {**rebuilt.state, f"{name}.weight": weights.reshape(shape), f"{name}.bias": head.bias}
    return head, Rebuilt(rebuilt.spec, state)
