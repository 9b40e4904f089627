"""Classifiers: how often the answer is right, and whether the scores mean what they say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from signet import answers, streaming
from signet.arrays import Array, Integers
from signet.batches import Outputs
from signet.errors import BadDataset
from signet.evaluation.labels import Matched
from signet.evaluation.question import Question
from signet.evaluation.tallies import ClassTally, LabelTally
from signet.models import Model
from signet.records import Mistake, Report
from signet.statistics import Resampling
from signet.streaming import Answered
from signet.summaries import Decided, Summary, summarise, summarise_multilabel

MOST_MISTAKES = 200


def measure_classes(question: Question) -> Report:
    """Measure a classifier: figures, confusion, calibration and the most confident mistakes.

    Raises:
        WrongTask: the model knows none of the dataset's labels.
        BadDataset: the split has no image, or none that can be read; a label name is ambiguous.
    """
    begin = time.monotonic()
    asked = _ask(question)
    seconds = time.monotonic() - begin
    answered, truths, read = asked.answered, asked.truths, asked.read
    labels = _names(question.model, asked.scores.shape[1])
    summary = _summary(question, asked, labels)
    left_out = _left_out(len(question.part), len(answered))
    notes = [*asked.matched.notes, *left_out, *question.notes()]
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


def tally_classes(question: Question) -> ClassTally | LabelTally:
    """What a classifier answered, as far as its figures rest on it.

    Raises:
        WrongTask, BadDataset: as `measure_classes`.
    """
    asked = _ask(question)
    places = np.array([asked.places[row] for row in asked.read], np.int64)
    unread = tuple(sorted({*asked.places} - {*places.tolist()}))
    labels, notes = _names(question.model, asked.scores.shape[1]), asked.matched.notes
    truths = [asked.truths[row] for row in asked.read]
    if _one_label(question):
        decided = Decided.of(asked.scores, np.array([truth[0] for truth in truths], np.int64))
        return ClassTally(places=places, unreadable=unread, notes=notes, labels=labels, decided=decided)
    # What is asked of no label but some is answered for those alone.
    every = range(asked.scores.shape[1])
    columns = sorted(asked.matched.positions.values()) if question.among is not None else list(every)
    return LabelTally(
        places=places,
        unreadable=unread,
        notes=notes,
        labels=tuple(labels[column] for column in columns),
        scores=asked.scores[:, columns],
        truth=_several(asked.scores, truths)[:, columns],
    )


class _Asked(NamedTuple):
    """The images that a classifier was asked about: their places in the part, what it said, what is right."""

    matched: Matched
    places: list[int]
    answered: list[Answered[Array]]
    truths: list[tuple[int, ...]]
    read: list[int]
    scores: Array


def _ask(question: Question) -> _Asked:
    matched, entries = question.matched(), question.part.entries
    places = [place for place, entry in enumerate(entries) if matched.targets(entry.classes)]
    if not places:
        raise BadDataset(f"{question.source}: split {question.split!r} has no labelled image to measure on.")
    answered = _answers(question, [entries[place].path for place in places])
    read = [row for row, one in enumerate(answered) if one.answer is not None]
    if not read:
        raise BadDataset(
            f"{question.source}: none of the {len(places)} images could be read. "
            f"The first: {answered[0].error}"
        )
    truths = [matched.targets(entries[place].classes) for place in places]
    scores = np.stack([answered[row].answer for row in read])  # type: ignore[misc]
    return _Asked(matched, places, answered, truths, read, scores)


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


def _one_label(question: Question) -> bool:
    """Whether each image has one right label, and the model gives one answer."""
    return question.dataset.exclusive and question.model.card.output.head == "softmax"


def _summary(question: Question, asked: _Asked, labels: tuple[str, ...]) -> Summary:
    resampling = Resampling(seed=question.seed)
    truths = [asked.truths[row] for row in asked.read]
    if _one_label(question):
        right: Integers = np.array([truth[0] for truth in truths], np.int64)
        return summarise(asked.scores, right, labels, resampling=resampling)
    return summarise_multilabel(asked.scores, _several(asked.scores, truths), labels, resampling=resampling)


def _several(scores: Array, truths: Sequence[tuple[int, ...]]) -> Integers:
    several = np.zeros(scores.shape, np.int64)
    for row, truth in enumerate(truths):
        several[row, list(truth)] = 1
    return several


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
