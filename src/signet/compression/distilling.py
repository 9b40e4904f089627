"""A smaller model of the catalogue learns from a seal's answers, and takes its place where it decides so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from signet.compression.outcome import Learned, Made
from signet.compression.recovering import check_parts
from signet.compression.settings import CompressSettings, recipe_for
from signet.compression.weighing import weight_of
from signet.datasets import Dataset
from signet.errors import BadInput, BadRequest
from signet.finetuning import Finetuned, RunSettings, finetune, starting_point
from signet.finetuning.trained import require_training
from signet.graphs.opening import open_graph
from signet.naming import shown
from signet.networks import Pretrained
from signet.seals import Seal


def check_student(seal: Seal, dataset: Dataset[Any], settings: CompressSettings) -> Pretrained:
    """The model that is to learn.

    Raises:
        BadRequest: none is named, or it cannot be trained; the seal's graph is not ONNX.
        BadDataset: no train and test part.
        UnknownName: no such model.
        MissingExtra: torch is not installed.
    """
    check_parts(dataset, "distilled")
    if settings.student is None:
        raise BadRequest(
            "--to distilled: expected a smaller model to learn, got none. Name it with --student."
        )
    recipe = recipe_for("distilled", settings)
    if open_graph(seal.graphs["image"]).format != "onnx":
        raise BadRequest(
            f"{shown(seal.path.name)}: expected a seal whose graph is ONNX, to count what it weighs, got "
            f"{seal.graphs['image'].name}. Use `signet finetune --set teacher=SEAL` and `signet compare`."
        )
    found = starting_point(settings.student, recipe, offline=settings.offline)
    require_training(found, "full")
    return found


def distilled(
    seal: Seal, student: Pretrained, dataset: Dataset[Any], folder: Path, settings: CompressSettings
) -> tuple[Made, Learned]:
    """Fine-tune the student with the seal as its teacher.

    Args:
        seal: the teacher.
        student: from `check_student`.
        dataset: whose train part is learned from; its test part only measures.
        folder: for the run.
        settings: the recipe; threads.

    Returns:
        The student with its own card and seal, and how it learned.

    Raises:
        BadRequest: the student is not smaller than the seal.
        Diverged: the loss is no longer a finite number.
    """
    recipe = recipe_for("distilled", settings)
    recipe = recipe.changed(
        teacher=recipe.teacher or str(seal.path),
        golden="made",  # the new seal has the golden images of the one that it learned from
        threads=recipe.threads or settings.running.thread_count,
    )
    ways = RunSettings(on_progress=settings.on_progress, offline=settings.offline, audit=False)
    done = finetune(student, dataset, out=folder / "student.signet", recipe=recipe, run=ways)
    if not isinstance(done, Finetuned):
        raise BadInput(f"{student.card.name}: expected a classifier to come of it.")
    graph = open_graph(done.seal.graphs["image"])
    learned = Learned(
        before=weight_of(seal.graphs["image"]),
        after=weight_of(graph.path),
        images=done.plan.images["training"],
        epochs=max(0, len(done.history) - 1),
        best_epoch=done.kept_epoch or 0,
        teacher=seal.card.name,
        seconds=done.seconds,
    )
    if learned.after.parameters >= learned.before.parameters:
        raise BadRequest(
            f"--student {shown(student.card.name)}: expected a network of fewer parameters than the seal's "
            f"{learned.before.parameters:,}, got {learned.after.parameters:,}. Name a smaller one."
        )
    made = Made(name=f"student {student.card.name}", graph=graph, card=done.seal.card, source=done.seal)
    return made, learned
