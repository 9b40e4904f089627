"""Detectors and instance segmenters: what is found, missed, taken for another, and seen where nothing is."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import cast

import numpy as np

from signet import answers
from signet.arrays import Integers
from signet.cards import Card
from signet.evaluation.labels import Matched
from signet.evaluation.question import Question, Walk
from signet.evaluation.tallies import ObjectTally, boxes_of, f1_of_images
from signet.instances import Instances
from signet.metrics.matching import Matches, Objects
from signet.metrics.object_confusion import ObjectConfusion
from signet.records import ImageReport, ObjectError, Report
from signet.statistics import Resampling
from signet.summaries import summarise_objects

MOST_ERRORS = 100
"""Of each kind that a report lists."""
MOST_WORST = 12
LOW = 0.05
"""Score floors above this are worth a note."""
Pair = tuple[Objects, Objects]


def measure_objects(question: Question) -> Report:
    """Measure a detector or instance segmenter.

    Labels are those that dataset and model share; what the model finds of others is not looked at, since the
    dataset does not say where they are.

    Raises:
        WrongTask: the model knows none of the dataset's labels.
        BadDataset: the split has no image, or none that can be read; a label name is ambiguous.
    """
    matched = question.matched()
    names = matched.shared(question.model.card.labels or ()).names
    begin = time.monotonic()
    walk = Walk.through(question)
    pairs, sources, _ = _asked(walk, matched)
    seconds = time.monotonic() - begin
    resampling = Resampling(seed=question.seed)
    summary = summarise_objects(pairs, names, voc=question.dataset.format == "voc", resampling=resampling)
    found = summary.confusion
    return Report(
        metrics=summary.metrics,
        per_class=summary.per_class,
        confusion=found.counts,
        labels=(*names, "background"),
        calibration=None,
        count=len(pairs),
        seconds=seconds,
        unreadable=tuple(walk.unreadable),
        provenance={**question.provenance(len(pairs)), "objects": int(summary.matches.counted[0].sum())},
        notes=(
            *walk.notes(matched),
            *_floor_note(question.model.card),
            *_asked_note(summary.matches),
            f"Confusion, misses, false alarms, precision, recall and F1 are of answers with a score of "
            f"{found.score:.3g} or more, where F1 over all labels is best on these images, and an overlap of "
            "at least 0.5 between boxes.",
        ),
        score=found.score,
        curves=summary.curves,
        errors=_errors(summary.matches, found, pairs, (sources, names)),
        worst=_worst(summary.matches, found, pairs, sources),
    )


def tally_objects(question: Question) -> ObjectTally:
    """What a detector or instance segmenter found, beside what is there.

    Raises:
        WrongTask, BadDataset: as `measure_objects`.
    """
    matched, walk = question.matched(), Walk.through(question)
    names = matched.shared(question.model.card.labels or ()).names
    pairs, _, places = _asked(walk, matched)
    return ObjectTally(
        places=np.array(places, np.int64),
        unreadable=tuple(walk.left),
        notes=(*matched.notes, *_floor_note(question.model.card)),
        pairs=tuple(pairs),
        labels=names,
        voc=question.dataset.format == "voc",
    )


def _asked(walk: Walk, matched: Matched) -> tuple[list[Pair], list[str], list[int]]:
    """(answers and truths by the same indices, the sources, the places in the part) of each image."""
    question = walk.question
    shared = matched.shared(question.model.card.labels or ())
    names, by_boxes = shared.names, question.dataset.task == "detect"
    pairs: list[Pair] = []
    sources, places = [], []
    for answered, truth in walk.pairs(lambda truth: boxes_of(truth).size):
        answer = cast("Objects", answered.answer)
        pairs.append((
            _relabelled(boxes_of(answer) if by_boxes else answer, shared.from_model, names),
            _relabelled(truth, shared.from_dataset, names),
        ))  # fmt: skip
        sources.append(answered.source)
        places.append(walk.done - 1)
    walk.check(len(pairs))
    return pairs, sources, places


def _asked_note(matches: Matches) -> tuple[str, ...]:
    """Why there is no figure, where there is none."""
    if matches.counted[0].any():
        return ()
    return (
        "No image shows an object that counts (none at all, or only crowds and labels that the model lacks), "
        "so average precision and recall are not defined.",
    )


def _floor_note(card: Card) -> tuple[str, ...]:
    """That a model keeps much to itself; its figures are lower for it."""
    how = answers.head_of(card).suppression
    if how is None or how.score_floor <= LOW:
        return ()
    return (
        f"The model gives no box with a score below {how.score_floor:g} (its card's nms.score_floor), so "
        "what it would find there counts as missed. A lower floor in the card can only raise recall.",
    )


def _relabelled(objects: Objects, table: Integers, names: Sequence[str]) -> Objects:
    """With the indices of the table; what has none is left out."""
    boxes = boxes_of(objects)
    indices = table[np.minimum(boxes.indices, len(table) - 1)]
    kept = np.flatnonzero(indices >= 0)
    labels = tuple(names[place] for place in indices[kept].tolist())
    named = dataclasses.replace(boxes[kept], indices=indices[kept], labels=labels)
    if isinstance(objects, Instances):
        return Instances(named, tuple(objects.masks[place] for place in kept.tolist()))
    return named


def _errors(
    matches: Matches, found: ObjectConfusion, pairs: Sequence[Pair], called: tuple[list[str], tuple[str, ...]]
) -> tuple[ObjectError, ...]:
    """The greatest misses, then the surest confusions, then the surest false alarms."""
    sources, names = called

    def box(row: int, of_truth: bool) -> tuple[float, float, float, float]:
        image = (matches.truth_image if of_truth else matches.image)[row]
        place = (matches.truth_place if of_truth else matches.place)[row]
        left, top, right, bottom = boxes_of(pairs[image][of_truth]).xyxy[place].tolist()
        return left, top, right, bottom

    missed = [
        ObjectError(
            "missed", sources[matches.truth_image[row]], names[matches.truth_label[row]], box(row, True)
        )
        for row in np.flatnonzero(found.taken == -1).tolist()
    ]
    missed.sort(key=lambda one: -(one.xyxy[2] - one.xyxy[0]) * (one.xyxy[3] - one.xyxy[1]))
    confused, alarms = [], []
    for row, shows in zip(found.wrong.tolist(), found.showed.tolist(), strict=True):
        answer, score = names[matches.label[row]], float(matches.score[row])
        source, place = sources[matches.image[row]], box(row, False)
        if shows >= 0:
            confused.append(ObjectError("confused", source, names[shows], place, answer, score))
        else:
            alarms.append(ObjectError("false alarm", source, answer, place, answer, score))
    return (*missed[:MOST_ERRORS], *confused[:MOST_ERRORS], *alarms[:MOST_ERRORS])


def _worst(
    matches: Matches, found: ObjectConfusion, pairs: Sequence[Pair], sources: Sequence[str]
) -> tuple[ImageReport, ...]:
    """Images with the lowest F1 at the score; of equal ones those with the most errors."""
    f1, errors = f1_of_images(matches, found)
    order = np.lexsort((-errors, f1))
    chosen = [place for place in order.tolist() if errors[place]][:MOST_WORST]
    return tuple(
        ImageReport(sources[place], float(f1[place]), pairs[place][1], _sure(pairs[place][0], found.score))
        for place in chosen
    )


def _sure(answer: Objects, score: float) -> Objects:
    return answer[boxes_of(answer).scores >= score]
