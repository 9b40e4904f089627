"""What was cut learns again: on the dataset's own images, with the seal that it was cut from as teacher.

The images that judge are its test part, which this never opens.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from signet.arrays import Array
from signet.compression import pruning
from signet.compression.outcome import Learned, Made
from signet.compression.settings import MACS, CompressSettings, recipe_for
from signet.compression.weighing import weight_of
from signet.datasets import Dataset
from signet.errors import BadDataset, BadRequest
from signet.finetuning import label_sets, teachers
from signet.finetuning.partition import Parts, partition
from signet.finetuning.trained import settings_of
from signet.finetuning.written import arrays_of, written
from signet.graphs import quarantine
from signet.graphs.opening import open_graph
from signet.models import resolve
from signet.naming import shown
from signet.networks import ModuleSource
from signet.recipes import Recipe
from signet.seals import Seal

EPOCHS = 15
"""Passes over the training images where the recipe leaves them open."""


class Recovery(NamedTuple):
    """The plan of a recovery, as `settings_of` reads one."""

    epochs: int
    threads: int
    bf16: bool
    strategy: str = "full"
    batch: int = 0
    stages: tuple[str, ...] = ()


def check_prunable(seal: Seal, dataset: Dataset[Any]) -> ModuleSource:
    """The seal's network as a module, where it can be cut and taught again.

    Raises:
        MissingExtra: torch or torch-pruning is not installed.
        BadRequest: the seal has no weights that can be trained further, or other labels than the dataset.
        BadDataset: it has no train and test part.
    """
    check_parts(dataset, "pruned")
    pruning.require_pruning()
    found = resolve(seal.path, offline=True)
    source = found.module
    if source is None or source.classifier is None or seal.card.input_size is None:
        raise BadRequest(
            f"{shown(seal.path.name)}: expected a seal of one input size with weights that can be trained "
            "further, got one whose graph is all there is. Seal the model from its weights, or use --to int8."
        )
    if set(seal.card.labels or ()) != set(dataset.labels):
        raise BadRequest(
            f"{shown(seal.path.name)}: expected the labels of {shown(dataset.source)}, from which it is to "
            f"learn again, got {len(seal.card.labels or ())} of its own, and {len(dataset.labels)} there. "
            "Take the dataset that it was fine-tuned on."
        )
    return source


def check_parts(dataset: Dataset[Any], to: str) -> None:
    """Refuse a dataset that has no images to learn from beside those that judge.

    Raises:
        BadDataset: it is of another task, or has no train or test part.
    """
    if dataset.task != "classify":
        raise BadDataset(
            f"--to {to}: expected a dataset with labels of images, got {shown(dataset.source)} (task "
            f"{dataset.task!r}). --to int8 takes those of any task."
        )
    missing = [part for part in ("train", "test") if part not in dataset.splits]
    if missing:
        raise BadDataset(
            f"--to {to}: expected a dataset with a train part, to learn from, and a test part, to judge by; "
            f"{shown(dataset.source)} has no {' and no '.join(missing)} part. Make folders train/ and test/, "
            "or a table with a column split."
        )


def recovered(
    seal: Seal, source: ModuleSource, dataset: Dataset[Any], folder: Path, settings: CompressSettings
) -> tuple[Made, Learned]:
    """Cut a seal's network and train what is left.

    Args:
        seal: which passes `check_prunable`.
        source: its network.
        dataset: whose train part is learned from, and whose val part (or some of train) decides.
        folder: for the run.
        settings: the share of multiply-adds, the recipe.

    Returns:
        The network with its card, and how it learned.

    Raises:
        BadRequest: the network cannot be cut so far.
        BadDataset: no images to decide by.
        Diverged: the loss is no longer a finite number.
    """
    from signet.training import train

    recipe = recipe_for("pruned", settings)
    recipe = recipe.changed(teacher=recipe.teacher or str(seal.path))
    size, classifier = source.input_shape[1:], source.classifier or ""
    parts = partition(dataset, recipe, training=True, on_progress=settings.on_progress)
    teacher = teachers.teacher_of(recipe, dataset, offline=True, on_progress=settings.on_progress)
    if not len(parts.validation):
        raise BadDataset(
            f"--to pruned: no class of {shown(dataset.source)} has an image to spare to decide by. Add some."
        )
    module = source.build()
    share = settings.macs or MACS
    pruning.prune(module, classifier, size, share)
    plan = Recovery(
        epochs=recipe.epochs or EPOCHS,
        threads=recipe.threads or settings.running.thread_count,
        bf16=recipe.training_precision == "bf16",
    )
    known = parts.development.subset(parts.training)
    labels = seal.card.labels or ()
    with teachers.lessons(teacher, known.paths, labels, recipe) as teaching:
        data = _data(seal, parts, teaching)
        chosen = settings_of(plan, recipe, classifier)
        done = train(module, data, chosen, folder=folder, resume=False, on_progress=settings.on_progress)
    state = arrays_of(module.state_dict())
    graph = open_graph(written(None, module, classifier, state, folder, size).graph)
    for engine in ("onnx", "openvino"):
        quarantine.vouch_for(graph, engine)
    learned = Learned(
        before=weight_of(seal.graphs["image"]),
        after=weight_of(graph.path),
        images=len(known),
        epochs=len(done.history) - 1,
        best_epoch=done.best_epoch,
        teacher="" if teacher is None else teacher.card.name,
        seconds=done.seconds,
    )
    card = seal.card
    temperature = label_sets.temperature_of(done.validation_logits, data.validation_targets)
    card = dataclasses.replace(
        card,
        output=dataclasses.replace(card.output, temperature=temperature),
        parameters=None if card.parameters is None else learned.after.parameters,
        gmacs=None if card.gmacs is None or learned.after.macs is None else learned.after.macs / 1e9,
    )
    return Made(name=f"pruned to {share:g} of its multiply-adds", graph=graph, card=card), learned


def _data(seal: Seal, parts: Parts, teaching: Any) -> Any:
    """`TrainingData` with the seal's labels in the seal's order."""
    from signet.training import TrainingData

    labels = seal.card.labels or ()
    known, unseen = parts.development.subset(parts.training), parts.development.subset(parts.validation)
    return TrainingData(
        known.paths,
        in_order(known.targets, parts.labels, labels),
        unseen.paths,
        in_order(unseen.targets, parts.labels, labels),
        len(labels),
        seal.card.program,
        teaching=teaching,
        digest=",".join(parts.digests),
    )


def in_order(targets: Array, given: tuple[str, ...], wanted: tuple[str, ...]) -> Array:
    """Truth for labels in another order.

    Args:
        targets: int64 (N,), positions in `given`; or bool (N, C).
        given: C names.
        wanted: the same and perhaps more, in any order.
    """
    places = np.array([wanted.index(label) for label in given], np.int64)
    if targets.ndim == 1:
        return places[targets]
    found = np.zeros((len(targets), len(wanted)), bool)
    found[:, places] = targets
    return found


def refuse_unfit(recipe: Recipe) -> None:
    """Refuse settings that a recovery has no use for.

    Raises:
        BadRequest: names them.
    """
    asked = {
        "strategy": recipe.strategy not in ("auto", "full"),
        "kfold": recipe.kfold is not None,
        "search_seconds": recipe.search_seconds is not None,
        "target": recipe.target is not None,
        "random_baseline": recipe.random_baseline,
        "input_size": recipe.input_size is not None,
        "head": recipe.head not in ("auto", "linear"),
        "freeze": bool(recipe.freeze or recipe.frozen_stages),
    }
    wrong = [name for name, there in asked.items() if there]
    if wrong:
        raise BadRequest(
            f"--to pruned: {', '.join(wrong)} of the recipe: the network that was cut learns whole, at its "
            "own size and with its own head. Leave it out."
        )
