"""The network trained further, from the probe's head on. The only part of a run that needs torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet import tracing
from signet.arrays import Bytes, Floats
from signet.cards import Task
from signet.catalogue.configs import digest_of
from signet.errors import BadRequest, MissingExtra
from signet.finetuning import teachers
from signet.finetuning.jobs import Job
from signet.finetuning.joining import Rebuilt, module_of, write_state
from signet.finetuning.label_sets import refitted
from signet.finetuning.lessons import lesson_of
from signet.finetuning.optimising import Trial, batch_of, optimisation_of, tried
from signet.finetuning.plans import Plan
from signet.finetuning.probes import all_readable, at_size, features_of
from signet.finetuning.steadying import steadied
from signet.graphs.opening import open_graph
from signet.networks import GraphFile, ModuleSource, ModuleSpec, Pretrained
from signet.probing import Probe
from signet.recipes import Recipe
from signet.resolving import module_source

LEAST_SIZE, SMALL_FACTOR = 96, 3
"""Images far smaller than the network's input are trained at a smaller one: at most about three times their
own side, and at least 96 pixels, rounded to 16. Enlarging 32 pixels to 224 multiplies the work, not the
content."""

TRAINED_STAGES = 4
"""Stages at the end, head included, that a partial fine-tuning trains; all of a network with fewer."""


BATCH = 32
"""Images of a step where the recipe leaves it open."""
PATIENCE = 5
"""Epochs without a better validation, likewise."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetwork:
    """What training came to.

    Attributes:
        rebuilt: the module with its new head, as data and tensors.
        source: the same as a module that can be built.
        graph: the same as a graph.
        sized: the model that it began with, at the size of the training.
        validation_logits: float32 (V, C) at the kept epoch.
        history: one mapping for each epoch, times left out.
        best_epoch: 0 when no epoch was better than the probe's head.
        sheet: uint8 (H, W, 3), some training pictures as they were learned from; None where all are as they
            are.
        notes: what a person should know of how it went, in sentences.
        idle: share of the training's time that the network waited for its batches.
    """

    rebuilt: Rebuilt
    source: ModuleSource
    graph: GraphFile
    sized: Pretrained
    validation_logits: Floats
    history: tuple[dict[str, float], ...]
    best_epoch: int
    sheet: Bytes | None = None
    notes: tuple[str, ...] = ()
    idle: float = 0.0


def can_train(pretrained: Pretrained) -> str | None:
    """Why a model cannot be trained beyond a probe here, or None when it can."""
    if module_of(pretrained) is None:
        return f"{pretrained.card.name} is a graph, which has no form that torch can train"
    try:
        import torch  # noqa: F401
    except ImportError:
        return "torch is not installed (python -m pip install 'signet[train]')"
    return None


def require_training(pretrained: Pretrained, strategy: str) -> None:
    """Refuse a strategy that cannot be had.

    Raises:
        BadRequest: the model has no torch form.
        MissingExtra: torch is not installed.
    """
    reason = can_train(pretrained)
    if reason is None:
        return
    if module_of(pretrained) is None:
        raise BadRequest(f"--strategy {strategy}: {reason}. Use --strategy probe.")
    raise MissingExtra(f"--strategy {strategy}", "train", "torch")


def size_for(pretrained: Pretrained, typical_side: int, recipe: Recipe) -> tuple[int, int]:
    """(height, width) to train at: the recipe's, or the network's own, or less for small images."""
    own = pretrained.card.input_size or (224, 224)
    if recipe.input_size is not None:
        return (recipe.input_size, recipe.input_size)
    wanted = max(LEAST_SIZE, -(-SMALL_FACTOR * typical_side // 16) * 16)
    return own if wanted >= min(own) else (wanted, wanted)


def takes_size(pretrained: Pretrained, size: tuple[int, int]) -> bool:
    """Whether the network, as it is, answers to images of a size: vision transformers take their own only."""
    if size == pretrained.card.input_size:
        return True
    import torch

    module, _ = _with_head(pretrained, 2)
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(1, 3, *size))
    except (RuntimeError, AssertionError, ValueError, TypeError, IndexError):
        return False
    return True


def frozen_stages(pretrained: Pretrained, strategy: str, recipe: Recipe) -> tuple[str, ...]:
    """Names of the leading stages that stay as they are."""
    from signet.training import all_but_last, frozen_parameters, stages_of

    module, classifier = _with_head(pretrained, 2)
    stages = stages_of(module, classifier)
    if recipe.freeze:
        frozen_parameters(module, classifier, recipe.freeze)  # refuses names that are none
        return recipe.freeze
    if recipe.frozen_stages is not None:
        return tuple(stage.name for stage in stages[: min(recipe.frozen_stages, len(stages) - 1)])
    match strategy:
        case "full":
            return ()
        case "head":
            return all_but_last(stages, 1)
        case _:
            return all_but_last(stages, min(TRAINED_STAGES, len(stages)))


def trial(pretrained: Pretrained, plan: Plan, recipe: Recipe) -> Trial:
    """How long training takes for one image here, by a few steps of a copy of the network.

    What the recipe leaves to the trial, it decides.

    Raises:
        BadRequest: the network takes no images of the plan's size.
    """
    size = plan.input_size or (224, 224)
    if not takes_size(pretrained, size):
        own = pretrained.card.input_size
        raise BadRequest(
            f"recipe: input_size {size[0]}: {pretrained.card.name} takes no images of that size"
            f"{f', only of {own[0]}x{own[1]}' if own else ''}. Leave it out, or give a size that it takes."
        )
    module, classifier = _with_head(at_size(pretrained, size), plan.labels)
    settings = settings_of(plan, recipe, classifier)
    return tried(module, settings, size, recipe, images=plan.images["training"])


def train_further(job: Job, probe: Probe) -> TrainedNetwork:
    """Train from the probe's head on, and write the result as weights and as a graph.

    Args:
        job: the run.
        probe: its strength is used again at the training's size.
    """
    from signet.training import TIMED, TrainingData, contact_sheet, set_head, train

    parts, plan, recipe, work = job.parts, job.plan, job.recipe, job.work
    size = plan.input_size or (224, 224)
    sized = at_size(job.start, size)
    classes = len(parts.labels)
    known, unseen = parts.development.subset(parts.training), parts.development.subset(parts.validation)
    digests = [parts.digests[place] for place in parts.training.tolist()]

    def head() -> dict[str, Any]:
        rows, readable, failures = features_of(sized, known.paths, recipe, job.on_progress, digests)
        all_readable(readable, len(known), failures)
        weights, bias = refitted(probe, rows, known.targets, classes)
        return {"weights": weights, "bias": bias}

    first = work.arrays("head", head)
    module, classifier = _with_head(sized, classes)
    set_head(module, classifier, first["weights"], first["bias"])
    settings = settings_of(plan, recipe, classifier)
    with teachers.lessons(job.teacher, known.paths, parts.labels, recipe) as teaching:
        data = TrainingData(
            known.paths,
            known.targets,
            unseen.paths,
            unseen.targets,
            classes,
            sized.card.program,
            teaching=teaching,
            digest=",".join(parts.digests),
        )
        sheet = contact_sheet(data, settings)
        done = train(
            module, data, settings, folder=work.training, resume=job.resume, on_progress=job.on_progress
        )
    state = {name: np.array(tensor.cpu().numpy()) for name, tensor in done.best.items()}
    spec = _spec(sized, classes, classifier)
    weights = write_state(state, work.folder / "tuned.safetensors")
    source = module_source(spec, weights, digest_of(spec, _digest(weights)), size)
    if source is None:
        raise BadRequest(f"{spec.zoo}: expected a zoo that can build its modules again.")
    graph = work.folder / "tuned.onnx"
    tracing.export(source, graph)
    history = tuple(
        {key: float(value) for key, value in row.items() if key not in TIMED} for row in done.history
    )
    return TrainedNetwork(
        Rebuilt(spec, state),
        source,
        open_graph(graph),
        sized,
        done.validation_logits,
        history,
        done.best_epoch,
        sheet,
        done.notes,
        done.idle,
    )


def settings_of(
    plan: Plan, recipe: Recipe, classifier: str | tuple[str, ...], task: Task = "classify"
) -> Any:
    """The part of plan and recipe that training needs.

    From random weights nothing is to be kept: all learns at the head's rate, and every BatchNorm gathers its
    statistics.

    Args:
        plan: epochs, threads, frozen stages.
        recipe: all else.
        classifier: dotted name of the head, or names of its parts.
        task: of the dataset.
    """
    from signet.training import TrainSettings

    scratch = plan.strategy == "scratch"
    backbone_rate = recipe.head_rate if scratch else recipe.backbone_rate
    return TrainSettings(
        classifier=classifier,
        epochs=plan.epochs,
        batch=plan.batch or batch_of(recipe, BATCH),
        head_rate=recipe.head_rate,
        backbone_rate=0.0 if plan.strategy == "head" else backbone_rate,
        optimisation=optimisation_of(recipe),
        label_smoothing=recipe.label_smoothing,
        **lesson_of(recipe),
        augmentation=recipe.augmentation,
        flip=recipe.flip,
        patience=PATIENCE if recipe.patience is None else recipe.patience,
        frozen=plan.stages,
        **steadied(recipe, task, scratch=scratch),
        seed=recipe.seed,
        threads=plan.threads,
        workers=recipe.workers or 0,
        bf16=plan.bf16,
        device=recipe.device,
        checkpoint_seconds=recipe.checkpoint_seconds,
        budget_seconds=recipe.budget_seconds or 0.0,
    )


def _with_head(pretrained: Pretrained, classes: int) -> tuple[Any, str]:
    """The module with a head of so many classes, and the head's dotted name."""
    from signet.training import set_head, with_head

    source = module_of(pretrained)
    if source is None:
        raise BadRequest(f"{pretrained.card.name}: expected a model that torch can build.")
    module = source.build()
    if source.classifier is None:
        width = pretrained.card.output.width or 512
        return with_head(module, np.zeros((classes, width), np.float32), np.zeros(classes, np.float32))
    from signet.training import head_of

    width = head_of(module, source.classifier).weights.shape[1]
    set_head(module, source.classifier, np.zeros((classes, width), np.float32), np.zeros(classes, np.float32))
    return module, source.classifier


def _spec(pretrained: Pretrained, classes: int, classifier: str) -> ModuleSpec:
    source = module_of(pretrained)
    if source is None or source.spec is None:
        raise BadRequest(f"{pretrained.card.name}: expected a model that torch can build.")
    return dataclasses.replace(source.spec, classes=classes, classifier=classifier)


def _digest(path: Path) -> str:
    from signet.storage import digest_of as file_digest

    return file_digest(path)
