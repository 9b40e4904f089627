"""Classifiers: how often the answer is right, and whether the scores mean what they say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from signet import answers, streaming
from signet.arrays import Array, Integers
from signet.batches import Outputs
from signet.datasets import Dataset
from signet.errors import BadDataset
from signet.evaluation.labels import match_labels
from signet.evaluation.question import Question
from signet.models import Model
from signet.records import Mistake, Report
from signet.statistics import Resampling
from signet.streaming import Answered
from signet.summaries import Summary, summarise, summarise_multilabel

MOST_MISTAKES = 200


def measure_classes(question: Question) -> Report:
    """Measure a classifier: figures, confusion, calibration and the most confident mistakes.

    Raises:
        WrongTask: the model knows none of the dataset's labels.
        BadDataset: the split has no image, or none that can be read; a label name is ambiguous.
    """
    model, part = question.model, question.part
    matched = match_labels(model, part)
    asked = [entry for entry in part.entries if matched.targets(entry.classes)]
    if not asked:
        raise BadDataset(f"{question.source}: split {question.split!r} has no labelled image to measure on.")
    begin = time.monotonic()
    answered = _answers(question, [entry.path for entry in asked])
    truths = [matched.targets(entry.classes) for entry in asked]
    seconds = time.monotonic() - begin
    read = [place for place, one in enumerate(answered) if one.answer is not None]
    if not read:
        raise BadDataset(
            f"{question.source}: none of the {len(asked)} images could be read. "
            f"The first: {answered[0].error}"
        )
    scores = np.stack([answered[place].answer for place in read])  # type: ignore[misc]
    labels = _names(model, scores.shape[1])
    summary = _summary(model, part, scores, [truths[place] for place in read], labels, question.seed)
    notes = [*matched.notes, *_left_out(len(part), len(asked)), *question.notes()]
    return Report(
        metrics=summary.metrics,
        per_class=summary.per_class,
        confusion=summary.confusion,
        labels=labels,
        calibration=summary.calibration,
        count=len(read),
        seconds=seconds,
        mistakes=_mistakes([answered[place] for place in read], [truths[place] for place in read], labels),
        unreadable=tuple(
            Mistake(one.source, labels[truth[0]] if truth else "", "", 0.0, 0.0, error=str(one.error))
            for one, truth in zip(answered, truths, strict=True)
            if one.answer is None
        ),
        provenance=question.provenance(len(read)),
        notes=tuple(notes),
    )


def _left_out(total: int, asked: int) -> list[str]:
    missing = total - asked
    return [f"{missing} images without a label that the model knows are left out."] if missing else []


def _answers(question: Question, paths: Sequence[Path]) -> list[Answered[Array]]:
    contract = question.model.card.output

    def take(raw: Outputs) -> list[Array]:
        return list(answers.probabilities(answers.logits(raw, contract), contract))

    done: list[Answered[Array]] = []
    for one in streaming.outputs(question.model, paths, take):
        done.append(one)
        question.told(len(done), len(paths))
    return done


def _names(model: Model[Any], classes: int) -> tuple[str, ...]:
    return model.card.labels or tuple(f"class {index}" for index in range(classes))


def _summary(
    model: Model[Any],
    dataset: Dataset[Any],
    scores: Array,
    truths: Sequence[tuple[int, ...]],
    labels: tuple[str, ...],
    seed: int,
) -> Summary:
    resampling = Resampling(seed=seed)
    if dataset.exclusive and model.card.output.head == "softmax":
        right: Integers = np.array([truth[0] for truth in truths], np.int64)
        return summarise(scores, right, labels, resampling=resampling)
    several = np.zeros(scores.shape, np.int64)
    for row, truth in enumerate(truths):
        several[row, list(truth)] = 1
    return summarise_multilabel(scores, several, labels, resampling=resampling)


def _mistakes(
    answered: Sequence[Answered[Array]], truths: Sequence[tuple[int, ...]], labels: tuple[str, ...]
) -> tuple[Mistake, ...]:
    """Wrong first labels, the most confident first."""
    wrong = []
    for one, truth in zip(answered, truths, strict=True):
        scores = one.answer
        if scores is None or int(scores.argmax()) in truth:
            continue
        order = np.argsort(-scores, kind="stable")[:3].tolist()
        wrong.append(
            Mistake(
                source=one.source,
                truth=labels[truth[0]],
                answer=labels[order[0]],
                score=float(scores[order[0]]),
                truth_score=float(scores[truth[0]]),
                top=tuple((labels[index], float(scores[index])) for index in order),
            )
        )
    wrong.sort(key=lambda mistake: (-mistake.score, mistake.source))
    return tuple(wrong[:MOST_MISTAKES])
