"""What the pretraining is worth: the same network from random weights, the same images, the same steps."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from signet import tracing
from signet.catalogue.configs import digest_of
from signet.errors import BadRequest
from signet.finetuning.adaptations import SCRATCH, seeded
from signet.finetuning.jobs import Job
from signet.finetuning.joining import Rebuilt, write_state
from signet.finetuning.plans import Plan
from signet.finetuning.trained import TrainedNetwork, settings_of
from signet.graphs.opening import open_graph
from signet.progress import Progress
from signet.recipes import Recipe
from signet.resolving import module_source
from signet.storage import digest_of as file_digest
from signet.zoos import by_name

FOLDER = "random"


class Baseline(NamedTuple):
    """The network that began at random.

    Attributes:
        network: as the fine-tuned one is given, to be measured like it.
        seconds: of its training.
    """

    network: TrainedNetwork
    seconds: float


def settings_from_random(plan: Plan, recipe: Recipe, classifier: str, epochs: int) -> Any:
    """Those of a run, without what makes sense of pretrained weights only.

    Nothing is frozen, all stages learn at one rate, and no BatchNorm keeps statistics of random weights;
    neither patience nor the watch ends it.

    Args:
        plan: of the fine-tuning.
        recipe: likewise.
        classifier: dotted name of the head.
        epochs: that the fine-tuning took.
    """
    plan = dataclasses.replace(plan, strategy=SCRATCH, stages=(), epochs=epochs)
    settings = settings_of(plan, recipe, classifier)
    return dataclasses.replace(
        settings,
        patience=0,
        overfitting="off",
        batchnorm="re-estimated" if settings.batchnorm == "re-estimated" else "batch",
        batchnorm_stages=(),
        optimisation=dataclasses.replace(settings.optimisation, layer_decay=1.0, stage_rates=()),
    )


def from_random_weights(job: Job, tuned: TrainedNetwork) -> Baseline | None:
    """Train the architecture of a fine-tuned network from random weights.

    It takes as many epochs of the same batches as the fine-tuned one did, whether they help or not. All of it
    learns, at the head's rate, with statistics of its own; the best epoch on the validation images is taken,
    as there.

    Args:
        job: the run.
        tuned: what came of the pretrained weights.

    Returns:
        None where the network is not one that a zoo builds from data: under a head of the user's own.

    Raises:
        BadRequest: its zoo cannot build it anew.
    """
    from signet.training import TrainingData, train

    parts, recipe = job.parts, job.recipe
    spec = None if tuned.rebuilt is None else tuned.rebuilt.spec
    zoo = None if spec is None else by_name.zoo(spec.zoo, spec.architecture)
    if spec is None or zoo is None:
        return None
    with seeded(recipe.seed):
        module = zoo.build(spec, None)
    epochs = max(1, sum("train_loss" in row for row in tuned.history))
    settings = settings_from_random(job.plan, recipe, spec.classifier or "", epochs)
    known, unseen = parts.development.subset(parts.training), parts.development.subset(parts.validation)
    data = TrainingData(
        known.paths,
        known.targets,
        unseen.paths,
        unseen.targets,
        len(parts.labels),
        tuned.sized.card.program,
        digest=",".join(parts.digests),
    )
    folder = job.work.folder / FOLDER

    def tell(moment: Progress) -> None:
        job.on_progress(dataclasses.replace(moment, stage="training from random weights", history=()))

    done = train(module, data, settings, folder=folder, resume=job.resume, on_progress=tell)
    state = {name: np.array(tensor.cpu().numpy()) for name, tensor in done.best.items()}
    weights = write_state(state, job.work.folder / "random.safetensors")
    size = tuned.sized.card.input_size or (224, 224)
    source = module_source(spec, weights, digest_of(spec, file_digest(weights)), size)
    if source is None:
        raise BadRequest(f"{spec.zoo}: expected a zoo that can build its modules again.")
    graph = job.work.folder / "random.onnx"
    tracing.export(source, graph)
    network = dataclasses.replace(
        tuned,
        rebuilt=Rebuilt(spec, state),
        source=source,
        graph=open_graph(graph),
        validation_logits=done.validation_logits,
        history=(),
        best_epoch=done.best_epoch,
    )
    return Baseline(network, done.seconds)
