"""A teacher: any model that knows the labels, run by an engine, from whose answers a network learns too."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from signet import answers, streaming
from signet.arrays import Array, Floats, Integers
from signet.batches import Outputs
from signet.datasets import Dataset
from signet.errors import BadDataset, BadRequest, WrongTask, near_misses
from signet.finetuning.probes import opened
from signet.finetuning.workplace import Workplace
from signet.images import Image
from signet.models import Model, resolve
from signet.naming import shown
from signet.networks import Pretrained
from signet.preprocessing import prepare
from signet.programs import Program
from signet.progress import OnProgress
from signet.recipes import Recipe
from signet.steps import GEOMETRIC, Resize

if TYPE_CHECKING:
    from signet.training import Teaching

TRIAL_IMAGES = 8
_LEAST_SCORE = 1e-7


def teacher_of(
    recipe: Recipe, dataset: Dataset[Any], *, offline: bool, on_progress: OnProgress
) -> Pretrained | None:
    """The recipe's teacher, found and fit; None where there is none.

    Args:
        recipe: whose teacher.
        dataset: whose labels it must know.
        offline: never ask the network.
        on_progress: told of downloaded bytes.

    Raises:
        WrongTask: it gives no labels, or one alone where several can be right.
        BadRequest: it lacks a label, or two of its own have one name; or it takes no views of one size.
    """
    if recipe.teacher is None:
        return None
    found = resolve(recipe.teacher, offline=offline, on_progress=on_progress)
    name, head = shown(found.card.name), found.card.output.head
    if head not in ("softmax", "sigmoid"):
        raise WrongTask(
            f"teacher {name} (task {found.card.task!r}): expected a classifier, whose labels it says."
        )
    if head == "softmax" and not dataset.exclusive:
        raise WrongTask(
            f"teacher {name}: expected a model of several labels an image, as {shown(dataset.source)} has, "
            "got one of a single label. Teach one first: `signet finetune` on such a dataset."
        )
    used = np.flatnonzero(dataset.class_counts)
    columns_of(found, [dataset.labels[place] for place in used.tolist()])
    if asked_each(recipe) and found.card.input_size is None:
        raise BadRequest(
            f"teacher {name}: its input size depends on the image, and views have one size. "
            "Use teacher_views = 'once'."
        )
    return found


def asked_each(recipe: Recipe) -> bool:
    """Whether the teacher sees every view; else it is asked once of each image."""
    if recipe.teacher_views is not None:
        return recipe.teacher_views == "each"
    changing = (recipe.mixup, recipe.cutmix, recipe.erasing, recipe.randaugment)
    return recipe.augmentation != "none" or any(changing)


def columns_of(teacher: Pretrained, labels: Sequence[str]) -> Integers:
    """Where each label stands among the teacher's: int64 (C,).

    Raises:
        BadRequest: the teacher lacks one, or has two of that name.
    """
    own = teacher.card.labels or ()
    name = shown(teacher.card.name)
    for label in labels:
        if own.count(label) > 1:
            raise BadRequest(f"teacher {name}: two of its classes are named {shown(label)!r}. Rename one.")
        if label not in own:
            near = near_misses(label, own)
            hint = f" Did you mean {' or '.join(repr(shown(word)) for word in near)}?" if near else ""
            raise BadRequest(
                f"teacher {name}: expected all {len(labels)} labels of the dataset, got {len(own)}, none of "
                f"which is {shown(label)!r}.{hint} Name a model that knows the same labels."
            )
    return np.array([own.index(label) for label in labels], np.int64)


def words(teacher: Pretrained, recipe: Recipe) -> str:
    """For the plan."""
    how = "of every view that the network sees" if asked_each(recipe) else "once of each image"
    return (
        f"{100 * recipe.teacher_weight:.0f} % of the loss is the distance from the answers of "
        f"{shown(teacher.card.name)}, which is asked {how}"
    )


def seconds_per_image(teacher: Pretrained, paths: Sequence[Path], recipe: Recipe) -> float:
    """How long the teacher takes for one image here, by a few."""
    some = list(paths[:TRIAL_IMAGES])
    with opened(teacher, recipe) as model:
        model(some[0])
        begin = time.monotonic()
        model(some)
        return (time.monotonic() - begin) / len(some)


@contextmanager
def lessons(
    teacher: Pretrained | None,
    paths: Sequence[Path],
    labels: Sequence[str],
    recipe: Recipe,
    work: Workplace | None = None,
) -> Iterator[Teaching | None]:
    """What training is told of a teacher, which stays open as long as it may be asked.

    Args:
        teacher: None for none.
        paths: the training images.
        labels: of the run.
        recipe: how often it is asked, by which engine.
        work: of the run, where answers that were asked for once are kept for a resume.
    """
    if teacher is None:
        yield None
        return
    from signet.training import Teaching

    columns = columns_of(teacher, labels)
    with opened(teacher, recipe) as model:
        if asked_each(recipe):
            program = for_views(teacher.card.program)
            yield Teaching(digest=teacher.digest, teach=lambda views: _asked(model, program, views, columns))
        else:

            def asked() -> dict[str, Array]:
                return {"logits": _asked_once(model, paths, columns)}

            kept = asked() if work is None else work.arrays(f"teacher-{_named(paths)}", asked)
            yield Teaching(digest=teacher.digest, logits=np.asarray(kept["logits"], np.float32))


def _named(paths: Sequence[Path]) -> str:
    """A name for the answers to these images: a search or a fold may learn from others."""
    return hashlib.sha256("\n".join(map(str, paths)).encode()).hexdigest()[:16]


def for_views(program: Program) -> Program:
    """A program for views that show already what is to be seen: its own, resized straight to its size."""
    earlier, pending = program.split()
    first, *rest = earlier
    kept = [step for step in rest if not isinstance(step, GEOMETRIC)]
    return Program((first, *kept, Resize(fit="stretch", size=program.input_size()), *pending))


def _asked(model: Model[Any], program: Program, views: Array, columns: Integers) -> Floats:
    engine = model.engine
    exact = engine.precision != "bf16"
    batch = prepare([Image(view) for view in views], program, fuse=engine.fuses, exact=exact)
    return _logits(model, engine.run(batch), columns)


def _asked_once(model: Model[Any], paths: Sequence[Path], columns: Integers) -> Floats:
    rows = list(streaming.outputs(model, paths, lambda raw: list(_logits(model, raw, columns))))
    for row in rows:
        if row.answer is None:
            raise BadDataset(f"{row.source} changed while the teacher was asked: {row.error}")
    return np.stack([row.answer for row in rows if row.answer is not None])


def _logits(model: Model[Any], raw: Outputs, columns: Integers) -> Floats:
    """Float32 (N, C), of the labels in the run's order; of a graph that ends in scores their logarithms."""
    contract = model.card.output
    table = answers.logits(raw, contract)
    if contract.already_activated:
        scores = np.clip(table.astype(np.float64), _LEAST_SCORE, 1 - _LEAST_SCORE)
        others = np.log1p(-scores) if contract.head == "sigmoid" else 0.0
        table = (np.log(scores) - others).astype(np.float32)
    if contract.drop_first:
        table = table[:, 1:]
    return np.ascontiguousarray(table[:, columns], np.float32)
