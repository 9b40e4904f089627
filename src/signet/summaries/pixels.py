"""From counted pixels to every figure of a semantic segmenter's report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from signet.arrays import Array
from signet.errors import BadInput
from signet.metrics.classification import mean_where_defined
from signet.metrics.segmentation import pixel_figures
from signet.records import Interval, LabelReport
from signet.statistics import Resampling, Weights, bootstrap
from signet.summaries.few import where_many

_EACH = ("iou", "dice", "precision", "recall")


@dataclass(frozen=True, slots=True, eq=False)
class PixelSummary:
    """The measured part of a `Report`.

    Attributes:
        metrics: name to figure with interval; what is not defined (no boundary in any image) is left out.
        per_class: in label order.
    """

    metrics: Mapping[str, Interval]
    per_class: tuple[LabelReport, ...]


def summarise_pixels(
    sums: Array, boundaries: Array, labels: tuple[str, ...], *, resampling: Resampling | None = None
) -> PixelSummary:
    """Every figure of labelled pixels.

    Args:
        sums: int (N, 3, C): `PixelCounts.sums` of each image.
        boundaries: float (N,): boundary F1 of each image, NaN where it has none.
        labels: C names.
        resampling: draws, seed and level of the intervals.

    Returns:
        Metrics `miou` and `dice` (the pixels of all images together, then the mean over the labels that the
        truth has), `pixel_accuracy`, and `boundary_f1` (the mean of the images). Intervals are percentiles of
        the bootstrap over images; a label that fewer than 5 images have is without one (NaN), as is all of
        fewer than 5 images.

    Raises:
        BadInput: no image, or shapes that do not fit.
    """
    counts, edges = np.asarray(sums, np.float64), np.asarray(boundaries, np.float64)
    if counts.ndim != 3 or counts.shape[1:] != (3, len(labels)) or edges.shape != counts.shape[:1]:
        raise BadInput(
            f"figures of pixels: expected counts (images, 3, {len(labels)}) and boundaries (images,), "
            f"got {counts.shape} and {edges.shape}."
        )
    if not len(counts):
        raise BadInput("figures of pixels: expected at least one image, got none.")
    known = ~np.isnan(edges)

    def figures(drawn: Weights) -> Array:
        found = pixel_figures(counts, drawn)
        images = drawn @ known
        edge = np.divide(
            drawn @ np.nan_to_num(edges), images, out=np.full(len(drawn), np.nan), where=images > 0
        )
        means = [mean_where_defined(found.iou), found.accuracy, mean_where_defined(found.dice), edge]
        return np.concatenate([np.stack(means, axis=1), *(getattr(found, name) for name in _EACH)], axis=1)

    found = bootstrap(figures, len(counts), resampling)
    means = where_many(found[:4], [len(counts)] * 4)
    metrics = dict(zip(("miou", "pixel_accuracy", "dice", "boundary_f1"), means, strict=True))
    images = (counts[:, 2] > 0).sum(axis=0).tolist()
    each = [
        where_many(found[4 + place * len(labels) :][: len(labels)], images) for place in range(len(_EACH))
    ]
    return PixelSummary(
        metrics={name: figure for name, figure in metrics.items() if not math.isnan(figure.value)},
        per_class=tuple(
            LabelReport(
                label, images[place], {name: part[place] for name, part in zip(_EACH, each, strict=True)}
            )
            for place, label in enumerate(labels)
        ),
    )
