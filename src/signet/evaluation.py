"""How good a model is on labelled images: every figure with an interval, and what it rests on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from signet import answers, machine, streaming
from signet.arrays import Array, Integers
from signet.datasets import Dataset
from signet.errors import BadDataset, WrongTask
from signet.models import Model
from signet.naming import shown
from signet.predictions import Prediction
from signet.progress import OnProgress, Progress, silent
from signet.records import Mistake, Report
from signet.statistics import Resampling
from signet.streaming import Answered
from signet.summaries import Summary, summarise, summarise_multilabel

PREFERRED_SPLITS = ("test", "val")
MOST_MISTAKES = 200
TWINS = {"crane": "crane bird", "maillot": "maillot tank suit"}
"""Names that most lists of ImageNet's classes give to two of them, and how a list that keeps them apart calls
the other: who writes "crane" may mean either."""


def evaluate(
    model: Model[Any],
    dataset: Dataset[Any],
    *,
    split: str | None = None,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> Report:
    """Measure a classifier on labelled images.

    Args:
        model: a classifier, opened for many images.
        dataset: images with their labels.
        split: which part; None takes "test" where there is one, else "val", else all images.
        seed: of the bootstrap.
        on_progress: told of every few images.

    Returns:
        top1, top5 (with more than 5 classes), f1_macro and ece, figures by class, confusion, calibration,
        the most confident mistakes, what could not be read, and where all of it comes from. Multi-label
        models and datasets give average precision and F1 instead.

    Raises:
        WrongTask: the model is no classifier, or knows none of the dataset's labels.
        BadDataset: the split has no image, or none that can be read; a label name is ambiguous.

    Example:
        >>> evaluate(load("birds.signet"), open_dataset("birds/")).metrics["top1"]     # doctest: +SKIP
        Interval(value=0.94, low=0.91, high=0.96)
    """
    _check_task(model)
    part, chosen = _selected(dataset, split)
    matched = match_labels(model, part)
    asked = [entry for entry in part.entries if matched.targets(entry.classes)]
    if not asked:
        raise BadDataset(f"{shown(dataset.source)}: split {chosen!r} has no labelled image to measure on.")
    begin = time.monotonic()
    answered = _answers(model, [entry.path for entry in asked], on_progress)
    truths = [matched.targets(entry.classes) for entry in asked]
    seconds = time.monotonic() - begin
    read = [place for place, one in enumerate(answered) if one.answer is not None]
    if not read:
        raise BadDataset(
            f"{shown(dataset.source)}: none of the {len(asked)} images could be read. "
            f"The first: {answered[0].error}"
        )
    scores = np.stack([answered[place].answer for place in read])  # type: ignore[misc]
    labels = _names(model, scores.shape[1])
    summary = _summary(model, part, scores, [truths[place] for place in read], labels, seed)
    notes = [*matched.notes, *_left_out(len(part), len(asked)), *_source_note(dataset, split, chosen)]
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
        provenance=_provenance(model, dataset, chosen, len(read), seed),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class Matched:
    """Where a dataset's labels are in a model's list.

    Attributes:
        positions: dataset label index to model output index; labels that the model lacks are missing.
        notes: what a reader must know.
    """

    positions: Mapping[int, int]
    notes: tuple[str, ...] = ()

    def targets(self, classes: Sequence[int]) -> tuple[int, ...]:
        """The model's indices of an image's classes; those that it lacks are left out."""
        return tuple(self.positions[index] for index in classes if index in self.positions)


def match_labels(model: Model[Any], dataset: Dataset[Any]) -> Matched:
    """Find each label of a dataset in a model's list.

    A dataset that states class indices is taken by them. A name is that of an equal one; where there is
    none, of one that is equal but for case, blanks, hyphens and underscores ("house_finch"); where there is
    none, of one that is equal in its first part before a comma. What was not equal is in the notes.

    Raises:
        WrongTask: the model has none of the labels, or fewer outputs than the indices need.
        BadDataset: a name that the model's list has several times.
    """
    used = sorted({index for entry in dataset.entries for index in entry.classes})
    known = model.card.labels
    if dataset.indices_given:
        outputs = len(known) if known is not None else model.card.output.classes
        if outputs is not None and used and used[-1] >= outputs:
            raise WrongTask(
                f"{shown(dataset.source)}: its class indices go up to {used[-1]}, and {model.card.name} has "
                f"{outputs} classes. They do not speak of the same labels."
            )
        return Matched({index: index for index in used})
    if known is None:
        raise WrongTask(
            f"{model.card.name} has no label names, so the names of {shown(dataset.source)} cannot be "
            "matched. Give a CSV with class_index."
        )
    names = {index: dataset.labels[index] for index in used}
    positions = _by_name(names, known)
    missing = [name for index, name in names.items() if index not in positions]
    if not positions:
        raise WrongTask(
            f"{model.card.name} knows none of the labels of {shown(dataset.source)} "
            f"({_few([*names.values()])}); its own are {_few(known)}. "
            "Fine-tune it on these labels first, or give a CSV with class_index."
        )
    notes = []
    placed = [(name, known[positions[index]]) for index, name in names.items() if index in positions]
    alike = [f"{name} as {label}" for name, label in placed if name != label]
    if alike:
        notes.append(f"{len(alike)} labels are written otherwise in the model's list: {_few(alike)}.")
    if missing:
        notes.append(
            f"{len(missing)} of the dataset's {len(used)} labels are unknown to the model, and their images "
            f"are left out: {_few(missing)}."
        )
    return Matched(positions, tuple(notes))


def _by_name(names: Mapping[int, str], known: Sequence[str]) -> dict[int, int]:
    """Dataset index to model index, for each name by the strictest rule that finds it.

    Raises:
        BadDataset: that rule finds several.
    """
    positions: dict[int, int] = {}
    for rule in (str, _plain, _first_part):
        places: dict[str, list[int]] = {}
        for place, label in enumerate(known):
            places.setdefault(rule(label), []).append(place)
        for index, name in names.items():
            if index in positions:
                continue
            found = places.get(rule(name), [])
            twin = places.get(rule(TWINS.get(name, "")), []) if found else []
            if len(found) + len(twin) > 1:
                raise BadDataset(
                    f"label {shown(name)!r} means {len(found) + len(twin)} classes of the model (indices "
                    f"{', '.join(map(str, sorted(found + twin)))}). Give a CSV with class_index instead of "
                    "names."
                )
            if found:
                positions[index] = found[0]
    return positions


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-")


def _first_part(name: str) -> str:
    return _plain(name.split(",", maxsplit=1)[0])


def _check_task(model: Model[Any]) -> None:
    if model.card.output.head not in ("softmax", "sigmoid"):
        raise WrongTask(
            f"{model.card.name} (task {model.card.task!r}) gives no labels, so there is nothing to compare "
            "with the truth. Fine-tune it first: `signet finetune`."
        )


def _selected(dataset: Dataset[Any], split: str | None) -> tuple[Dataset[Any], str]:
    if split is not None:
        return dataset.select(split), split
    for name in PREFERRED_SPLITS:
        if name in dataset.splits:
            return dataset.select(name), name
    return dataset, "all"


def _source_note(dataset: Dataset[Any], split: str | None, chosen: str) -> list[str]:
    if split is not None or not dataset.splits:
        return []
    others = ", ".join(name for name in dataset.splits if name != chosen)
    if chosen == "all":
        return [f"Measured on all images: there is no test or val, only {others}."]
    return [f"Measured on the split {chosen!r}; the dataset also has {others}."] if others else []


def _left_out(total: int, asked: int) -> list[str]:
    missing = total - asked
    return [f"{missing} images without a label that the model knows are left out."] if missing else []


def _answers(
    model: Model[Prediction], paths: Sequence[Any], on_progress: OnProgress
) -> list[Answered[Array]]:
    contract = model.card.output

    def take(raw: Any) -> list[Array]:
        return list(answers.probabilities(answers.logits(raw, contract), contract))

    done: list[Answered[Array]] = []
    for one in streaming.outputs(model, paths, take):
        done.append(one)
        if len(done) % 16 == 0 or len(done) == len(paths):
            on_progress(Progress("evaluating", len(done), len(paths)))
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


def _provenance(
    model: Model[Any], dataset: Dataset[Any], split: str, count: int, seed: int
) -> dict[str, Any]:
    card = model.card
    return {
        "model": card.name,
        "model_digest": model.pretrained.digest,
        "model_licence": card.licence.weights,
        "dataset": dataset.source,
        "data_format": dataset.format,
        "data_fingerprint": dataset.fingerprint,
        "split": split,
        "images": count,
        "engine": model.engine.name,
        "engine_version": model.engine.version,
        "precision": model.engine.precision,
        "processor": machine.processor(),
        "intervals": "95 %, bootstrap of 1,000 draws over images",
        "seed": seed,
        "date": datetime.now(UTC).date().isoformat(),
        **{f"version {name}": version for name, version in machine.versions().items()},
    }


def _few(names: Sequence[str], most: int = 4) -> str:
    listed = ", ".join(shown(name) for name in names[:most])
    return f"{listed}, ... ({len(names)})" if len(names) > most else listed
