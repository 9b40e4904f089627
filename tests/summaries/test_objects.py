"""What a report says of objects: named as in the contract, with intervals that hold what they should."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from signet.boxes import Boxes
from signet.errors import BadInput
from signet.metrics.average_precision import label_figures
from signet.metrics.matching import match
from signet.statistics import Resampling
from signet.summaries import summarise_objects

SIZE = (100, 100)
FEW = Resampling(resamples=50)


def images(seed, count=30, recall=0.7):
    """One or two labels an image, found with some luck, and a false alarm now and then."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        number = int(generator.integers(1, 5))
        corners = generator.random((number, 2)) * 50
        xyxy = np.concatenate([corners, corners + 10 + generator.random((number, 2)) * 40], axis=1)
        truth = Boxes.truth(xyxy, generator.integers(0, 2, number), ("a", "b"), SIZE)
        found = generator.random(number) < recall
        near = np.concatenate([xyxy[found] + generator.normal(0, 1, (int(found.sum()), 4)), [[0, 0, 9, 9]]])
        near[:, 2:] = np.maximum(near[:, :2], near[:, 2:])
        where = np.append(truth.indices[found], 0)
        names = tuple("ab"[one] for one in where)
        pairs.append((Boxes(near, generator.random(len(near)), where, names, SIZE), truth))
    return pairs


def test_values_are_the_figures_and_intervals_hold_them():
    pairs = images(0)
    found = summarise_objects(pairs, ("a", "b"), resampling=FEW)
    figures = label_figures(match(pairs, 2))
    for name, value in figures.means().items():
        if math.isnan(value[0]):
            assert name not in found.metrics
            continue
        figure = found.metrics[name]
        assert figure.value == pytest.approx(value[0], abs=1e-12)
        assert figure.low <= figure.value <= figure.high
    for label, row in enumerate(found.per_class):
        assert row.figures["ap"].value == pytest.approx(figures.precision["all"][0, label], abs=1e-12)
        assert list(row.figures) == ["ap", "ap50", "precision", "recall", "f1"]
    assert found.metrics["ap"].high - found.metrics["ap"].low > 0.02
    assert not any(name.startswith(("mask_", "voc")) for name in found.metrics)


def test_intervals_hold_the_figure_of_ever_more_images_about_as_often_as_they_say():
    """Of 25 sets; a true rate of 95 % gives fewer than 19 about once in six thousand times."""
    large = label_figures(match(images(999, 2000), 2)).means()["ap50"][0]
    held = 0
    for seed in range(25):
        figure = summarise_objects(images(seed, 40), ("a", "b"), resampling=Resampling(resamples=80))
        held += figure.metrics["ap50"].low <= large <= figure.metrics["ap50"].high
    assert held >= 19


def test_a_label_that_few_images_have_is_without_an_interval():
    rare = Boxes.truth([[0, 0, 20, 20]], [2], ("a", "b", "c"), SIZE)
    found = summarise_objects([*images(1), (rare, rare)], ("a", "b", "c"), resampling=FEW)
    figure = found.per_class[2].figures["ap"]
    assert figure.value == pytest.approx(1)
    assert math.isnan(figure.low)
    assert not math.isnan(found.per_class[0].figures["ap"].low)
    json.dumps([row.to_dict() for row in found.per_class], allow_nan=False)


def test_a_handful_of_images_is_without_intervals():
    found = summarise_objects(images(1)[:4], ("a", "b"), voc=True, resampling=FEW)
    assert {"ap", "voc_ap"} <= found.metrics.keys()
    assert all(math.isnan(figure.low) and figure.value >= 0 for figure in found.metrics.values())


def test_the_first_curve_is_the_mean_of_the_labels():
    found = summarise_objects(images(2), ("a", "b", "never"), resampling=FEW)
    mean, *each = found.curves
    assert mean.label == ""
    assert [curve.label for curve in each] == ["a", "b"]
    np.testing.assert_allclose(mean.precision, np.mean([curve.precision for curve in each], axis=0))
    assert found.metrics["ap50"].value == pytest.approx(np.mean(mean.precision))


def test_no_image_is_refused():
    with pytest.raises(BadInput, match="at least one image"):
        summarise_objects([], ("a",))
