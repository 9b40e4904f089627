"""What a report says of pixels: named as the contract names it, with intervals over images."""

from __future__ import annotations

import numpy as np
import pytest

from signet.errors import BadInput
from signet.metrics.segmentation import pixel_figures
from signet.statistics import Resampling
from signet.summaries import summarise_pixels


def counts(seed=0, images=20, classes=4):
    """Right, answered and true pixels; the last label occurs nowhere."""
    generator = np.random.default_rng(seed)
    table = generator.integers(0, 50, (images, classes, classes))
    table[:, -1] = table[:, :, -1] = 0
    return np.stack([table.diagonal(axis1=1, axis2=2), table.sum(axis=1), table.sum(axis=2)], axis=1)


def test_values_are_the_figures_and_intervals_hold_them():
    sums, edges = counts(), np.linspace(0.2, 0.8, 20)
    found = summarise_pixels(sums, edges, tuple("abcd"), resampling=Resampling(resamples=200))
    figures = pixel_figures(sums)
    assert list(found.metrics) == ["miou", "pixel_accuracy", "dice", "boundary_f1"]
    assert found.metrics["miou"].value == pytest.approx(np.nanmean(figures.iou))
    assert found.metrics["dice"].value == pytest.approx(np.nanmean(figures.dice))
    assert found.metrics["pixel_accuracy"].value == pytest.approx(figures.accuracy[0])
    assert found.metrics["boundary_f1"].value == pytest.approx(0.5)
    for figure in found.metrics.values():
        assert figure.low < figure.value < figure.high
    assert [row.count for row in found.per_class] == [20, 20, 20, 0]
    assert np.isnan(found.per_class[3].figures["iou"].value)


def test_images_without_a_boundary_are_in_no_mean_of_it():
    edges = np.array([np.nan, 0.25, 0.75, np.nan])
    found = summarise_pixels(counts(images=4), edges, tuple("abcd"), resampling=Resampling(resamples=20))
    assert found.metrics["boundary_f1"].value == pytest.approx(0.5)
    none = summarise_pixels(counts(images=2), edges[[0, 3]], tuple("abcd"))
    assert "boundary_f1" not in none.metrics


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(
        BadInput, match=r"counts \(images, 3, 2\) and boundaries \(images,\), got \(4, 3, 4\)"
    ):
        summarise_pixels(counts(images=4), np.zeros(4), ("a", "b"))
    with pytest.raises(BadInput, match="at least one image"):
        summarise_pixels(np.zeros((0, 3, 1)), np.zeros(0), ("a",))
