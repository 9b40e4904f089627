"""Any models side by side on the same images: paired differences, not figures that only look comparable."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array, Integers
from signet.catalogue.sizes import bytes_of, parameters_of
from signet.comparisons import Comparison, Contestant, Difference, Disagreement, Reply
from signet.datasets import Dataset
from signet.errors import BadDataset, BadRequest, UnknownName, WrongTask
from signet.evaluation.dispatch import fitting, tally
from signet.evaluation.labels import few, match_labels
from signet.evaluation.question import Question, preferred
from signet.evaluation.tallies import ClassTally, LabelTally, ObjectTally, PixelTally, Tally
from signet.measuring import prediction_milliseconds
from signet.models import Model, load, resolve
from signet.naming import shown
from signet.networks import Pretrained
from signet.progress import OnProgress, silent
from signet.records import Interval
from signet.statistics import Resampling, Weights, bootstrap, holm, mcnemar, paired_difference
from signet.streaming import settings_for
from signet.summaries.few import where_many

MOST_DISAGREEMENTS = 100
TIMED = 32
"""Images on which the milliseconds are measured."""

Opener = Callable[[Pretrained], Model[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How models are compared.

    Attributes:
        split: which part of the dataset; None takes "test" where there is one, else "val", else all images.
        baseline: the name of the model that the others are held to; None for the first.
        seed: of the bootstrap.
    """

    split: str | None = None
    baseline: str | None = None
    seed: int = 0


def compare(
    models: Sequence[str | Path | Pretrained],
    dataset: Dataset[Any],
    *,
    split: str | None = None,
    baseline: str | None = None,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> Comparison:
    """Measure models on the same images in the same order, and each one's difference from a baseline.

    Only images that every model answered are counted, and only labels that every model knows. A model is
    opened, asked and closed before the next one is.

    Args:
        models: two or more: names, seals, folders, graph files, or what `resolve` found.
        dataset: images with their truth: classes, boxes, masks or labelled pixels.
        split: which part; None takes "test" where there is one, else "val", else all images.
        baseline: the name of the model that the others are held to; the first by default.
        seed: of the bootstrap; all models are drawn alike.
        on_progress: told of every few images.

    Returns:
        Figures with intervals, paired differences with intervals and, for shares of right answers, the p of
        McNemar's exact test, milliseconds, sizes, published claims, and the images that they disagree on.

    Raises:
        BadRequest: fewer than two models.
        UnknownName: no such model, split, or baseline.
        WrongTask: models and dataset do not speak of the same kind of thing, or of none of the same labels.
        BadDataset: no image that all models answered.

    Example:
        >>> compare(["mine.signet", "timm/resnet50.a1_in1k"], open_dataset("birds/"))     # doctest: +SKIP
    """
    if isinstance(models, str | Path) or len(models) < 2:
        raise BadRequest("compare: expected at least two models, to be set side by side on one dataset.")
    found = [one if isinstance(one, Pretrained) else resolve(one, on_progress=on_progress) for one in models]
    terms = Terms(split=split, baseline=baseline, seed=seed)
    return side_by_side(found, dataset, terms, on_progress=on_progress)


def side_by_side(
    found: Sequence[Pretrained],
    dataset: Dataset[Any],
    terms: Terms,
    *,
    open_model: Opener | None = None,
    on_progress: OnProgress = silent,
) -> Comparison:
    """As `compare`, of models that are resolved already.

    Args:
        found: two or more models.
        dataset: images with their truth.
        terms: split, baseline, seed.
        open_model: opens one; with all processors at work on different images when None.
        on_progress: told of every few images.
    """
    begin = time.monotonic()
    names = _names(found)
    baseline = names[0] if terms.baseline is None else terms.baseline
    if baseline not in names:
        raise UnknownName("model", baseline, names, f"The baseline is one of {', '.join(names)}.")
    data = _common_truth(found, dataset)
    among, notes = _common_labels(found, data, terms.split)
    asked: list[tuple[Tally, Contestant]] = []
    for name, one in zip(names, found, strict=True):
        with (open_model or _open)(one) as opened:
            question = Question.of(opened, data, terms.split, terms.seed, on_progress)
            question = dataclasses.replace(question, among=among)
            kept = tally(question)
            asked.append((kept, _contestant(name, question, kept)))
    joined = _joined(asked, question, baseline)
    return dataclasses.replace(joined, notes=(*notes, *joined.notes), seconds=time.monotonic() - begin)


def _open(pretrained: Pretrained) -> Model[Any]:
    return load(pretrained, settings=settings_for(many=True))


def _names(found: Sequence[Pretrained]) -> tuple[str, ...]:
    """Card names, told apart where two are equal."""
    seen: Counter[str] = Counter()
    names = []
    for one in found:
        name = one.card.name
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(names)


def _common_truth(found: Sequence[Pretrained], dataset: Dataset[Any]) -> Dataset[Any]:
    """The dataset as all models can be measured on it; boxes, where one of them gives nothing else.

    Raises:
        WrongTask: models of different kinds, or none that the dataset has a truth for.
    """
    fitted = [fitting(one.card, dataset) for one in found]
    by_boxes = next((data for data in fitted if data.task == "detect"), None)
    heads = {one.card.output.head for one in found if one.card.task == "classify"}
    if dataset.exclusive and heads == {"softmax", "sigmoid"}:
        raise WrongTask(
            "compare: some of these classifiers choose one label and others give each label a score of its "
            "own, so they have no figure in common. Compare classifiers of one kind (`signet show MODEL` "
            "tells the head)."
        )
    return by_boxes or fitted[0]


def _common_labels(
    found: Sequence[Pretrained], dataset: Dataset[Any], split: str | None
) -> tuple[frozenset[int], tuple[str, ...]]:
    """The dataset's labels, by index, that every model knows; and a note where others are left out.

    Raises:
        WrongTask: a model knows none, or no label is known to all.
    """
    name = split or preferred(dataset)
    part = dataset if name is None else dataset.select(name)
    each = [frozenset(match_labels(one, part).positions) for one in found]
    among = frozenset.intersection(*each)
    if not among:
        raise WrongTask(
            f"compare: no label of {shown(dataset.source)} is known to all of these models, so there is no "
            "image on which they could be set side by side. Fine-tune them on these labels first."
        )
    left = sorted(frozenset.union(*each) - among)
    if not left:
        return among, ()
    names = few([dataset.labels[index] for index in left])
    return among, (f"{len(left)} labels that not every model knows are left out for all: {names}.",)


def _contestant(name: str, question: Question, kept: Tally) -> Contestant:
    """What is known of a model beside its figures, which follow when all models were asked."""
    model = question.model
    paths = [question.part.paths[place] for place in kept.places[:TIMED].tolist()]
    card = model.card
    whole = question.provenance(len(kept.places))
    own = ("model_digest", "model_licence", "engine", "engine_version", "precision")
    return Contestant(
        name=name,
        metrics={},
        milliseconds=prediction_milliseconds(model, paths),
        params=parameters_of(model.pretrained),
        size_bytes=bytes_of(model.pretrained),
        claims=card.claims,
        provenance={key: whole[key] for key in own},
        notes=kept.notes,
    )


def _runs(rows: Sequence[Contestant]) -> tuple[str, ...]:
    """That not all models ran alike, where they did not: rounding decides a few images."""
    runs: dict[str, list[str]] = {}
    for row in rows:
        how = f"{row.provenance['engine']} {row.provenance['precision']}"
        runs.setdefault(how, []).append(row.name)
    if len(runs) < 2:
        return ()
    each = "; ".join(f"{how}: {few(names)}" for how, names in runs.items())
    return (f"The models did not run alike ({each}). Where each can, --engine and --precision make them.",)


def _joined(asked: Sequence[tuple[Tally, Contestant]], question: Question, baseline: str) -> Comparison:
    """Everything on the images that all models answered."""
    tallies = _on_common_images([kept for kept, _ in asked], question)
    resampling = Resampling(seed=question.seed)
    rows = tuple(
        dataclasses.replace(row, metrics=kept.metrics(resampling))
        for kept, (_, row) in zip(tallies, asked, strict=True)
    )
    named = dict(zip((row.name for row in rows), tallies, strict=True))
    count = len(tallies[0].places)
    lost = len(question.part) - count
    left = (f"{lost} images are in no figure: not every model answered them, or they have no truth.",)
    disagreements, disagreeing = _disagreements(named, question)
    whole = question.provenance(count)
    return Comparison(
        task=question.dataset.task,
        models=rows,
        baseline=baseline,
        pairs=_differences(named, baseline, resampling),
        count=count,
        alike={
            name: int(kept.decided_as(named[baseline]).sum())
            for name, kept in named.items()
            if name != baseline
        },
        disagreements=disagreements,
        disagreeing=disagreeing,
        provenance={
            key: value
            for key, value in whole.items()
            if not key.startswith(("model", "engine")) and key != "precision"
        },
        notes=(*(left if lost else ()), *_runs(rows), *question.notes()),
    )


def _on_common_images(tallies: Sequence[Tally], question: Question) -> list[Tally]:
    """The tallies of the images that all have, in the dataset's order.

    Raises:
        BadDataset: there is none.
    """
    common = tallies[0].places
    for kept in tallies[1:]:
        common = np.intersect1d(common, kept.places)
    if not len(common):
        raise BadDataset(f"{question.source}: no image was answered by all {len(tallies)} models.")
    return [kept.only(np.flatnonzero(np.isin(kept.places, common))) for kept in tallies]


def _differences(named: Mapping[str, Tally], baseline: str, resampling: Resampling) -> tuple[Difference, ...]:
    """Each other model minus the baseline, for each figure that both have."""
    held = named[baseline]
    others = {name: kept for name, kept in named.items() if name != baseline}
    found = []
    for name, gaps in _gaps(others, held, resampling).items():
        hits = others[name].hits(), held.hits()
        for metric, figure in gaps.items():
            p = mcnemar(hits[0][metric], hits[1][metric]) if metric in hits[0] else None
            found.append(Difference(name, baseline, metric, figure, p))
    for metric in {pair.metric for pair in found if pair.p is not None}:
        places = [place for place, pair in enumerate(found) if pair.metric == metric]
        for place, p in zip(places, holm([found[place].p or 0.0 for place in places]), strict=True):
            found[place] = dataclasses.replace(found[place], p_holm=p)
    return tuple(found)


def _gaps(others: Mapping[str, Tally], held: Tally, resampling: Resampling) -> dict[str, dict[str, Interval]]:
    """Differences of all shared figures, on the same draws, for which each model counts its figures once."""
    count = len(held.places)
    once = np.ones((1, count))
    values = held.figures(once)
    shared = [
        (name, metric)
        for name, kept in others.items()
        for metric, value in kept.figures(once).items()
        if metric in values and not np.isnan(value - values[metric]).any()
    ]

    def gaps(drawn: Weights) -> Array:
        base = held.figures(drawn)
        own = {name: kept.figures(drawn) for name, kept in others.items()}
        columns = [own[name][metric] - base[metric] for name, metric in shared]
        return np.stack(columns, axis=1) if columns else np.zeros((len(drawn), 0))

    figures = list(bootstrap(gaps, count, resampling))
    if isinstance(held, ObjectTally | PixelTally):
        figures = list(where_many(figures, [count] * len(figures)))
    found: dict[str, dict[str, Interval]] = {name: {} for name in others}
    for (name, metric), figure in zip(shared, figures, strict=True):
        found[name][metric] = _corrected((others[name], held), metric, figure, resampling)
    return found


def _corrected(pair: tuple[Tally, Tally], metric: str, figure: Interval, resampling: Resampling) -> Interval:
    """The interval of draws, or what is better than it for the figure."""
    first, second = (kept.hits() for kept in pair)
    if metric in first:
        return paired_difference(first[metric], second[metric], resampling)
    if metric == "ece":  # draws raise it: as `evaluate` does, its interval is mirrored about the value
        return Interval(figure.value, 2 * figure.value - figure.high, 2 * figure.value - figure.low)
    return figure


def _disagreements(named: Mapping[str, Tally], question: Question) -> tuple[tuple[Disagreement, ...], int]:
    """The images with the greatest difference between models, and how many images have one."""
    table = np.stack([kept.each() for kept in named.values()])
    known = ~np.isnan(table).any(axis=0)
    # Of right and wrong the variance is greatest where the models are evenly divided.
    spread = np.where(known, np.nan_to_num(table).var(axis=0), 0.0)
    order = np.lexsort((-_sureness(named), -spread))
    rows = [row for row in order.tolist() if spread[row] > 0]
    return tuple(_disagreement(named, question, row, table) for row in rows[:MOST_DISAGREEMENTS]), len(rows)


def _sureness(named: Mapping[str, Tally]) -> Array:
    """Of classifiers, how far apart the scores of the right label are: the plainest disagreements first."""
    scores = [kept.decided.right_score for kept in named.values() if isinstance(kept, ClassTally)]
    count = len(next(iter(named.values())).places)
    return np.ptp(np.stack(scores), axis=0) if scores else np.zeros(count)


def _disagreement(named: Mapping[str, Tally], question: Question, row: int, table: Array) -> Disagreement:
    first = next(iter(named.values()))
    source = str(question.part.paths[int(first.places[row])])
    truth, there, replies = "", None, []
    for name, kept, figure in zip(named, named.values(), table[:, row].tolist(), strict=True):
        if isinstance(kept, ClassTally):
            decided = kept.decided
            truth = truth or kept.labels[int(decided.truth[row])]
            label = kept.labels[int(decided.answers[row])]
            replies.append(Reply(name, figure, label, round(float(decided.confidence[row]), 6)))
        elif isinstance(kept, LabelTally):
            truth = truth or _listed(kept.labels, kept.truth[row] > 0)
            replies.append(Reply(name, figure, _listed(kept.labels, kept.scores[row] >= 0.5)))
        elif isinstance(kept, ObjectTally | PixelTally):
            answer, there = kept.seen(row)
            replies.append(Reply(name, figure, answer=answer))
    return Disagreement(source, truth, tuple(replies), there)


def _listed(labels: Sequence[str], given: Integers) -> str:
    return few([label for label, one in zip(labels, given.tolist(), strict=True) if one])
