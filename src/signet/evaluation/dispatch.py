"""Which way of measuring fits a model and a dataset."""

from __future__ import annotations

import dataclasses
from typing import Any

from signet.cards import Card
from signet.datasets import Dataset
from signet.errors import WrongTask
from signet.evaluation.of_classes import measure_classes, tally_classes
from signet.evaluation.of_objects import measure_objects, tally_objects
from signet.evaluation.of_pixels import measure_pixels, tally_pixels
from signet.evaluation.question import Question
from signet.evaluation.tallies import Tally
from signet.models import Model
from signet.naming import shown
from signet.progress import OnProgress, silent
from signet.records import Report

_GIVES = {
    "classify": "one answer for an image",
    "detect": "boxes",
    "instances": "objects with masks",
    "segment": "a label for each pixel",
}
_FITS = {
    "classify": ("classify",),
    "detect": ("detect", "instances"),
    "instances": ("instances", "detect"),
    "segment": ("segment",),
}


def evaluate(
    model: Model[Any],
    dataset: Dataset[Any],
    *,
    split: str | None = None,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> Report:
    """Measure a model on labelled images.

    Args:
        model: a classifier, detector, instance or semantic segmenter, opened for many images.
        dataset: images with their truth. A detector is measured on instances by their boxes, and an instance
            segmenter on boxes by its boxes.
        split: which part; None takes "test" where there is one, else "val", else all images.
        seed: of the bootstrap.
        on_progress: told of every few images.

    Returns:
        Of classes: top1, top5 (with more than 5 classes), f1_macro and ece, figures by class, confusion,
        calibration, the most confident mistakes; multi-label models and datasets give average precision and
        F1 instead. Of objects: COCO's twelve figures (ap, ap50 ...), by masks too where there are masks, and
        Pascal VOC's on a dataset of that format; of pixels: miou, pixel_accuracy, dice, boundary_f1. Always
        what could not be read, and where all of it comes from. Answers count from the lowest score that the
        model gives.

    Raises:
        WrongTask: model and dataset do not speak of the same kind of thing, or of none of the same labels.
        BadDataset: the split has no image, or none that can be read; a label name is ambiguous.

    Example:
        >>> evaluate(load("birds.signet"), open_dataset("birds/")).metrics["top1"]     # doctest: +SKIP
        Interval(value=0.94, low=0.91, high=0.96)
    """
    dataset = fitting(model.card, dataset)
    question = Question.of(model, dataset, split, seed, on_progress)
    match model.card.task:
        case "classify":
            return measure_classes(question)
        case "segment":
            return measure_pixels(question)
        case _:
            return dataclasses.replace(measure_objects(question), task=dataset.task)


def tally(question: Question) -> Tally:
    """A model's answers, as far as figures rest on them, on a dataset that fits it.

    Raises:
        WrongTask, BadDataset: as `evaluate`.
    """
    match question.model.card.task:
        case "classify":
            return tally_classes(question)
        case "segment":
            return tally_pixels(question)
        case _:
            return tally_objects(question)


def fitting(card: Card, dataset: Dataset[Any]) -> Dataset[Any]:
    """The dataset as a model of that card is measured on it: of objects with masks a detector sees the boxes.

    Raises:
        WrongTask: model and dataset do not speak of the same kind of thing.
    """
    if card.task not in _FITS or (card.task == "classify" and card.output.head not in ("softmax", "sigmoid")):
        raise WrongTask(
            f"{card.name} (task {card.task!r}) gives no labels, so there is nothing to compare "
            "with the truth. Fine-tune it first: `signet finetune`."
        )
    if dataset.task not in _FITS[card.task]:
        fitting = " or ".join(_GIVES[task] for task in _FITS[card.task])
        raise WrongTask(
            f"{card.name} (task {card.task!r}) gives {_GIVES[card.task]}, and {shown(dataset.source)} "
            f"(format {dataset.format!r}) states {_GIVES[dataset.task]}. Expected a dataset that states "
            f"{fitting}."
        )
    if (card.task, dataset.task) == ("detect", "instances"):
        dataset = dataset.as_task("detect")
    return dataset
