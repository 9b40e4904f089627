"""The network trained further, from the probe's head on. The only part of a run that needs torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Bytes, Floats
from signet.cards import Task
from signet.errors import BadRequest, MissingExtra
from signet.finetuning import teachers
from signet.finetuning.jobs import HeadFactory, Job
from signet.finetuning.joining import Rebuilt, write_state
from signet.finetuning.label_sets import refitted
from signet.finetuning.learners import Learner, begin_head, learner_of, taught_head
from signet.finetuning.lessons import lesson_of
from signet.finetuning.optimising import Trial, batch_of, optimisation_of, tried
from signet.finetuning.plans import Plan, Planned
from signet.finetuning.probes import all_readable, at_size, features_of
from signet.finetuning.proofs import FrozenProof
from signet.finetuning.steadying import steadied
from signet.finetuning.thawing import thawing
from signet.finetuning.written import arrays_of, written
from signet.graphs.opening import open_graph
from signet.networks import GraphFile, ModuleSource, Pretrained
from signet.probing import Probe
from signet.recipes import Recipe

LEAST_SIZE, SMALL_FACTOR = 96, 3
"""Images far smaller than the network's input are trained at a smaller one: at most about three times their
own side, and at least 96 pixels, rounded to 16. Enlarging 32 pixels to 224 multiplies the work, not the
content."""

TRAINED_STAGES = 4
"""Stages at the end, head included, that a partial fine-tuning trains; all of a network with fewer."""

ADAPTER = "adapter.safetensors"
"""The low-rank adapters beside the merged weights, in the run's folder and in the seal."""

BATCH = 32
"""Images of a step where the recipe leaves it open."""
PATIENCE = 5
"""Epochs without a better validation, likewise."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetwork:
    """What training came to.

    Attributes:
        rebuilt: the module with its new head, as data and tensors; None where data cannot say what it is.
        source: the same as a module that can be built.
        graph: the same as a graph.
        sized: the model that it began with, at the size of the training.
        classes: C.
        validation_logits: float32 (V, C) at the kept epoch.
        history: one mapping for each epoch, times left out.
        best_epoch: 0 when no epoch was better than the probe's head.
        sheet: uint8 (H, W, 3), some training pictures as they were learned from; None where all are as they
            are.
        notes: what a person should know of how it went, in sentences.
        idle: share of the training's time that the network waited for its batches.
        adapter: the low-rank adapters alone, as a file; the network has them merged.
        proof: that what was frozen did not move; of folds, in each of the networks.
        seconds: of training, those before a resume included.
        kept_epochs: the best epoch of each fold, where several networks are joined; else empty.
    """

    rebuilt: Rebuilt | None
    source: ModuleSource
    graph: GraphFile
    sized: Pretrained
    classes: int
    validation_logits: Floats
    history: tuple[dict[str, float], ...]
    best_epoch: int
    sheet: Bytes | None = None
    notes: tuple[str, ...] = ()
    idle: float = 0.0
    adapter: Path | None = None
    proof: FrozenProof | None = None
    seconds: float = 0.0
    kept_epochs: tuple[int, ...] = ()


def can_train(pretrained: Pretrained) -> str | None:
    """Why a model cannot be trained beyond a probe here, or None when it can."""
    if pretrained.module is None:
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
    if pretrained.module is None:
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

    module = learner_of(pretrained, 2, Recipe()).module
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(1, 3, *size))
    except (RuntimeError, AssertionError, ValueError, TypeError, IndexError):
        return False
    return True


def frozen_stages(pretrained: Pretrained, strategy: str, recipe: Recipe) -> tuple[str, ...]:
    """Names of the leading stages that stay as they are."""
    from signet.training import all_but_last, frozen_parameters, stages_of

    learner = learner_of(pretrained, 2, Recipe())
    stages = stages_of(learner.module, learner.classifier)
    if strategy == "head":  # whatever else is asked for
        return all_but_last(stages, 1)
    if recipe.freeze:
        frozen_parameters(learner.module, learner.classifier, recipe.freeze)  # refuses names that are none
        return recipe.freeze
    if recipe.frozen_stages is not None:
        return tuple(stage.name for stage in stages[: min(recipe.frozen_stages, len(stages) - 1)])
    match strategy:
        case "full" | "probe-then-finetune" | "gradual" | "lora" | "scratch":
            return ()
        case _:
            return all_but_last(stages, min(TRAINED_STAGES, len(stages)))


def trial(pretrained: Pretrained, plan: Plan, recipe: Recipe, head: HeadFactory | None = None) -> Trial:
    """How long training takes for one image here, by a few steps of a copy of the network.

    What the recipe leaves to the trial, it decides.

    Raises:
        BadRequest: the network takes no images of the plan's size.
    """
    size = plan.input_size or (224, 224)
    named = "progressive" if recipe.progressive else "input_size"
    for each in (*((side, side) for side in recipe.progressive), size):
        if not takes_size(pretrained, each):
            own = pretrained.card.input_size
            raise BadRequest(
                f"recipe: {named} {each[0]}: {pretrained.card.name} takes no images of that size"
                f"{f', only of {own[0]}x{own[1]}' if own else ''}. Leave it out, or give one that it takes."
            )
    learner = learner_of(
        at_size(pretrained, size), plan.labels, recipe, adapters=plan.strategy == "lora", head=head
    )
    settings = training_settings(plan, recipe, learner)
    return tried(learner.module, settings, size, recipe, images=plan.images["training"])


def train_further(job: Job, probe: Probe) -> TrainedNetwork:
    """Train from the probe's head on, and write the result as weights and as a graph.

    Args:
        job: the run.
        probe: its strength is used again at the training's size.
    """
    from signet.training import TIMED, adapter_tensors, merged

    work = job.work
    size = job.plan.input_size or (224, 224)
    sized = at_size(job.start, size)
    learner = _begun(job, sized, probe)
    done, sheet = _taught(job, sized, learner, work.training)
    adapter, module, best, whole = None, learner.module, done.best, None
    if learner.adapted is not None:
        adapter = write_state(arrays_of(adapter_tensors(best)), work.folder / ADAPTER)
        whole = merged(learner.adapted, _example(size))
        module, best = whole.module, whole.module.state_dict()
    made = written(learner.spec, module, learner.classifier, arrays_of(best), work.folder, size)
    return TrainedNetwork(
        rebuilt=made.rebuilt,
        source=made.source,
        graph=open_graph(made.graph),
        sized=sized,
        classes=len(job.parts.labels),
        validation_logits=done.validation_logits,
        history=tuple(
            {key: float(value) for key, value in row.items() if key not in TIMED} for row in done.history
        ),
        best_epoch=done.best_epoch,
        adapter=adapter,
        sheet=sheet,
        notes=done.notes,
        idle=done.idle,
        proof=FrozenProof.of(done, whole),
        seconds=done.seconds,
    )


def attempt(job: Job, probe: Probe | None, folder: Path) -> Any:
    """What comes of a training, kept nowhere: `signet.training.Trained`.

    Args:
        job: the run, with the settings to try.
        probe: its strength is used again at the training's size; None in a process that is told the head.
        folder: for the checkpoints.

    Raises:
        Diverged: the loss is no longer a finite number.
    """
    sized = at_size(job.start, job.plan.input_size or (224, 224))
    done, _ = _taught(job, sized, _begun(job, sized, probe), folder)
    return done


def _begun(job: Job, sized: Pretrained, probe: Probe | None) -> Learner:
    """The network with the head that it begins with."""
    plan = job.plan
    adapters = plan.strategy == "lora"
    learner = learner_of(sized, len(job.parts.labels), job.recipe, adapters=adapters, head=job.head)
    if plan.strategy != "scratch":  # whose features say nothing that a head could begin with
        begin_head(learner, job.work.arrays("head", lambda: _first_head(job, sized, learner, probe)))
    return learner


def _taught(job: Job, sized: Pretrained, learner: Learner, folder: Path) -> tuple[Any, Bytes | None]:
    """What training comes to, and some pictures as they were learned from."""
    from signet.training import contact_sheet, train

    settings = training_settings(job.plan, job.recipe, learner)
    settings = dataclasses.replace(settings, processes=job.work.processes)
    with _lesson(job, sized) as data:
        sheet = contact_sheet(data, settings)
        done = train(
            learner.module, data, settings, folder=folder, resume=job.resume, on_progress=job.on_progress
        )
    return done, sheet


@contextmanager
def rehearsed(job: Job, probe: Probe) -> Iterator[tuple[Any, Any, Any]]:
    """(module, data, settings) with which training begins.

    Args:
        job: the run.
        probe: its strength is used again at the training's size.
    """
    sized = at_size(job.start, job.plan.input_size or (224, 224))
    learner = _begun(job, sized, probe)
    with _lesson(job, sized) as data:
        yield learner.module, data, training_settings(job.plan, job.recipe, learner)


@contextmanager
def _lesson(job: Job, sized: Pretrained) -> Iterator[Any]:
    """`TrainingData`; a teacher is open meanwhile."""
    from signet.training import TrainingData

    parts = job.parts
    known, unseen = parts.development.subset(parts.training), parts.development.subset(parts.validation)
    with teachers.lessons(job.teacher, known.paths, parts.labels, job.recipe, job.work) as teaching:
        yield TrainingData(
            known.paths,
            known.targets,
            unseen.paths,
            unseen.targets,
            len(parts.labels),
            sized.card.program,
            teaching=teaching,
            digest=",".join(parts.digests),
        )


def _first_head(job: Job, sized: Pretrained, learner: Learner, probe: Probe | None) -> dict[str, Any]:
    """What the head begins with, from the frozen network's features at the training's size."""
    parts = job.parts
    known = parts.development.subset(parts.training)
    digests = [parts.digests[place] for place in parts.training.tolist()]
    rows, readable, failures = features_of(sized, known.paths, job.recipe, job.on_progress, digests)
    all_readable(readable, len(known), failures)
    if learner.factory is not None:
        return taught_head(learner, rows, known.targets, job.recipe.seed)
    if probe is None:
        raise BadRequest("training: expected a probe whose strength the head begins with, got none.")
    weights, bias = refitted(probe, rows, known.targets, len(parts.labels))
    return {"weights": weights, "bias": bias}


def _example(size: tuple[int, int]) -> Any:
    """Two images of noise, as the network takes them."""
    import torch

    noise = np.random.default_rng(0).normal(size=(2, 3, *size))
    return torch.from_numpy(noise.astype(np.float32))


def training_settings(plan: Plan, recipe: Recipe, learner: Learner) -> Any:
    """The settings of a training of labels of images."""
    settings = settings_of(plan, recipe, learner.classifier)
    changes: dict[str, Any] = {"frozen": (*settings.frozen, *learner.frozen)}
    if plan.strategy == "lora":
        changes["backbone_rate"] = recipe.head_rate  # adapters are new, and learn as what is new
    if plan.strategy == "gradual":
        changes["thaw"] = thawing(_thawed(learner, plan.stages), plan.epochs)
    return dataclasses.replace(settings, **changes)


def _thawed(learner: Learner, frozen: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the stages below the head that do not stay frozen, from the input on."""
    from signet.training import frozen_parameters, stages_of

    module, classifier = learner.module, learner.classifier
    still = frozen_parameters(module, classifier, frozen)
    return tuple(
        stage.name
        for stage in stages_of(module, classifier)
        if stage.name != classifier and not still.issuperset(stage.parameters)
    )


def settings_of(
    plan: Planned, recipe: Recipe, classifier: str | tuple[str, ...], task: Task = "classify"
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
