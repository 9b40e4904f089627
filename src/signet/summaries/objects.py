"""From found objects and truth to every figure of a detector's or instance segmenter's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from signet.arrays import Array
from signet.errors import BadInput
from signet.instances import Instances
from signet.metrics.average_precision import label_figures, precision_curves
from signet.metrics.classification import class_figures, mean_where_defined
from signet.metrics.matching import IGNORED, RIGHT, Matches, Objects, match
from signet.metrics.object_confusion import ObjectConfusion, confusion
from signet.metrics.pascal_voc import match_voc, voc_precision
from signet.records import Curve, Interval, LabelReport
from signet.statistics import Resampling, Weights, bootstrap, f1_proportion, proportion
from signet.summaries.classification import class_sums
from signet.summaries.few import where_many


@dataclass(frozen=True, slots=True, eq=False)
class ObjectSummary:
    """The measured part of a `Report`.

    Attributes:
        metrics: name to figure with interval; what is not defined (no small object) is left out.
        per_class: in label order.
        confusion: by boxes, at the score where F1 is best.
        curves: by boxes at an overlap of 0.5: the mean of all labels, then each label that has truths.
        matches: by boxes.
    """

    metrics: Mapping[str, Interval]
    per_class: tuple[LabelReport, ...]
    confusion: ObjectConfusion
    curves: tuple[Curve, ...]
    matches: Matches


def summarise_objects(
    pairs: Sequence[tuple[Objects, Objects]],
    labels: tuple[str, ...],
    *,
    voc: bool = False,
    resampling: Resampling | None = None,
) -> ObjectSummary:
    """Every figure of found objects.

    Args:
        pairs: for each image its answer and its truth, by the same indices. Where both are `Instances`, masks
            are measured too.
        labels: C names.
        voc: also count average precision as the Pascal VOC challenges do.
        resampling: draws, seed and level of the intervals.

    Returns:
        Metrics `ap`, `ap50`, `ap75`, `ap_small`, `ap_medium`, `ap_large`, `ar1`, `ar10`, `ar100`, `ar_small`,
        `ar_medium`, `ar_large` as COCO counts them, by boxes, and `mask_ap` ... by masks; `voc_ap` and
        `voc07_ap` where asked for. Intervals are percentiles of the bootstrap over images, except that
        proportions with fewer than 10 right or 10 wrong use a score interval, and that the average precision
        of a label that fewer than 5 images have is without one (NaN), as is all of fewer than 5 images.

    Raises:
        BadInput: no image, or an index that no label has.
    """
    if not pairs:
        raise BadInput("figures of objects: expected at least one image, got none.")
    settings = resampling or Resampling()
    masks = all(isinstance(side, Instances) for pair in pairs for side in pair)
    found = match(pairs, len(labels))
    kinds = {"": found, **({"mask_": match(pairs, len(labels), masks=True)} if masks else {})}
    metrics, rows = {}, {}
    for prefix, matches in kinds.items():
        means, each = _precision(matches, settings)
        metrics.update({f"{prefix}{name}": figure for name, figure in means.items()})
        rows.update({f"{prefix}{name}": figures for name, figures in each.items()})
    if voc:
        metrics.update(_voc(pairs, len(labels), settings))
    metrics = dict(zip(metrics, where_many([*metrics.values()], [len(pairs)] * len(metrics)), strict=True))
    confused = confusion(found, pairs)
    images = _images_of(found)
    rows = {name: where_many(figures, images) for name, figures in rows.items()}
    rows.update(_at_score(found, confused.score, settings))
    counts = np.bincount(found.truth_label[found.counted[0]], minlength=len(labels)).tolist()
    return ObjectSummary(
        metrics={name: figure for name, figure in metrics.items() if not math.isnan(figure.value)},
        per_class=tuple(
            LabelReport(label, counts[place], {name: figures[place] for name, figures in rows.items()})
            for place, label in enumerate(labels)
        ),
        confusion=confused,
        curves=_curves(found, labels),
        matches=found,
    )


def _precision(
    matches: Matches, settings: Resampling
) -> tuple[dict[str, Interval], dict[str, tuple[Interval, ...]]]:
    """COCO's twelve figures, and `ap` and `ap50` of each label."""
    names = tuple(label_figures(matches).means())

    def figures(drawn: Weights) -> Array:
        each = label_figures(matches, drawn)
        means = np.stack(list(each.means().values()), axis=1)
        return np.concatenate([means, each.precision["all"], each.precision50], axis=1)

    found = bootstrap(figures, matches.images, settings)
    first, second = len(names), len(names) + matches.classes
    return dict(zip(names, found[:first], strict=True)), {
        "ap": found[first:second],
        "ap50": found[second:],
    }


def _images_of(matches: Matches) -> list[int]:
    """How many images have each label."""
    pairs = np.unique(np.stack([matches.truth_label, matches.truth_image])[:, matches.counted[0]], axis=1)
    images: list[int] = np.bincount(pairs[0], minlength=matches.classes).tolist()
    return images


def _voc(pairs: Sequence[tuple[Objects, Objects]], classes: int, settings: Resampling) -> dict[str, Interval]:
    boxes = [
        tuple(side.boxes if isinstance(side, Instances) else side for side in (answer, truth))
        for answer, truth in pairs
    ]
    matches = match_voc(((answer, truth) for answer, truth in boxes), classes)

    def figures(drawn: Weights) -> Array:
        return np.stack([mean_where_defined(each) for each in voc_precision(matches, drawn)], axis=1)

    return dict(zip(("voc_ap", "voc07_ap"), bootstrap(figures, len(pairs), settings), strict=True))


def _at_score(matches: Matches, score: float, settings: Resampling) -> dict[str, tuple[Interval, ...]]:
    """Precision, recall and F1 of each label by answers from a score on, with an overlap of at least 0.5."""
    outcome = matches.outcome[0, 0]
    used = (matches.score >= score) & (outcome != IGNORED)
    right = used & (outcome == RIGHT)
    asked = matches.counted[0]
    rows = [
        (matches.image[right], matches.label[right]),
        (matches.image[used], matches.label[used]),
        (matches.truth_image[asked], matches.truth_label[asked]),
    ]

    def figures(drawn: Weights) -> Array:
        sums = [class_sums(drawn[:, images], members, matches.classes) for images, members in rows]
        return np.concatenate([*class_figures(*sums)], axis=1)

    found = bootstrap(figures, matches.images, settings)
    good, called, present = (np.bincount(label, minlength=matches.classes).tolist() for _, label in rows)
    level, size = settings.level, matches.classes
    return {
        "precision": tuple(map(proportion, good, called, found[:size], [level] * size)),
        "recall": tuple(map(proportion, good, present, found[size : 2 * size], [level] * size)),
        "f1": tuple(
            f1_proportion(hits, answers + truths - hits, figure, level)
            for hits, answers, truths, figure in zip(good, called, present, found[2 * size :], strict=True)
        ),
    }


def _curves(matches: Matches, labels: tuple[str, ...]) -> tuple[Curve, ...]:
    each = precision_curves(matches)
    known = np.flatnonzero(~np.isnan(each[:, 0]))
    if not len(known):
        return ()
    mean = Curve("", tuple(each[known].mean(axis=0).tolist()))
    return (mean, *(Curve(labels[label], tuple(each[label].tolist())) for label in known.tolist()))
