"""Figures of labelled pixels, against scikit-learn's of the same pixels in one row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.errors import BadInput
from signet.metrics.segmentation import count_pixels, pixel_figures

CLASSES = 5


def maps(seed, images=4):
    """Pairs of answer and truth; the last label occurs nowhere, and some pixels are unlabelled."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(images):
        size = tuple(generator.integers(1, 12, 2))
        truth = generator.integers(-1, CLASSES - 1, size)
        answer = np.where(generator.random(size) < 0.5, truth, generator.integers(0, CLASSES - 1, size))
        pairs.append((answer, truth))
    return pairs


def counted(pairs):
    return np.stack([count_pixels(*pair, CLASSES).sums for pair in pairs])


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_the_figures_are_those_of_all_pixels_in_one_row(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    pairs = maps(seed)
    truth = np.concatenate([right.ravel() for _, right in pairs])
    answer = np.concatenate([given.ravel() for given, _ in pairs])[truth >= 0]
    truth = truth[truth >= 0]
    found = pixel_figures(counted(pairs))
    occurs = np.isin(np.arange(CLASSES), truth)
    names = {"labels": range(CLASSES), "average": None, "zero_division": 0}
    for values, theirs in (
        (found.iou, metrics.jaccard_score(truth, answer, **names)),
        (found.dice, metrics.f1_score(truth, answer, **names)),
    ):
        np.testing.assert_allclose(values[0], np.where(occurs, theirs, np.nan), atol=1e-12)
    if len(truth):
        assert found.accuracy[0] == pytest.approx(metrics.accuracy_score(truth, answer))
        np.testing.assert_allclose(
            np.nan_to_num(found.recall[0]), metrics.recall_score(truth, answer, **names), atol=1e-12
        )


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_a_draw_is_the_list_that_was_drawn(seed):
    pairs = maps(seed)
    drawn = np.random.default_rng(seed).multinomial(4, np.full(4, 0.25), 3)
    found = pixel_figures(counted(pairs), drawn)
    for row, counts in enumerate(drawn):
        listed = pixel_figures(counted([pairs[image] for image in np.repeat(np.arange(4), counts)]))
        np.testing.assert_allclose(found.iou[row], listed.iou[0], atol=1e-12)
        np.testing.assert_allclose(found.accuracy[row], listed.accuracy[0], atol=1e-12)


def test_an_answer_outside_of_the_labels_is_wrong_and_belongs_to_none():
    counts = count_pixels(np.array([[0, 9, -1, 1]]), np.array([[0, 0, 1, -1]]), 2)
    assert counts.table.tolist() == [[1, 0, 1], [0, 0, 1]]
    assert counts.sums.tolist() == [[1, 0], [1, 0], [2, 1]]
    assert pixel_figures(counts.sums[None]).accuracy[0] == pytest.approx(1 / 3)


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match=r"one size, got \(2, 2\) and \(2, 3\)"):
        count_pixels(np.zeros((2, 2)), np.zeros((2, 3)), 1)
    with pytest.raises(BadInput, match="a truth from -1 to 0, got 0 to 1"):
        count_pixels(np.zeros((1, 2)), np.array([[0, 1]]), 1)
