"""COCO's figures are those of pycocotools and of faster-coco-eval, for the images and for draws of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.boxes import Boxes
from signet.errors import BadInput
from signet.metrics.average_precision import RECALLS, label_figures, levels_reached, precision_curves
from signet.metrics.matching import MOST, RIGHT, match

from . import coco

pytest.importorskip("pycocotools")


def ours(made, classes, masks=False, weights=None):
    figures = label_figures(match(made, classes, masks=masks), weights)
    return figures, np.stack([figures.means()[name] for name in coco.NAMES], axis=1)


def said(evaluation):
    """Its figures, NaN where it says -1."""
    stats = np.asarray(evaluation.stats[:12], np.float64)
    return np.where(stats < 0, np.nan, stats)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 3]), st.sampled_from([4, 13]), st.booleans())
def test_the_figures_are_those_of_pycocotools(seed, levels, grid, masks):
    made = coco.pairs(seed, levels=levels, grid=grid)
    evaluation = coco.by_library(made, 3, "segm" if masks else "bbox")
    if evaluation is None:
        return
    figures, found = ours(made, 3, masks)
    np.testing.assert_allclose(found[0], said(evaluation), atol=1e-12)
    precision = evaluation.eval["precision"][:, :, :, 0, 2].mean(axis=(0, 1))
    np.testing.assert_allclose(
        figures.precision["all"][0], np.where(precision < 0, np.nan, precision), atol=1e-12
    )


@pytest.mark.parametrize("masks", [False, True])
def test_the_figures_are_those_of_faster_coco_eval(masks):
    for seed in range(5):
        made = coco.pairs(seed, images=10)
        evaluation = coco.by_library(made, 3, "segm" if masks else "bbox", "faster_coco_eval")
        np.testing.assert_allclose(ours(made, 3, masks)[1][0], said(evaluation), atol=1e-9)


def test_of_each_label_and_image_the_best_hundred_count():
    made = coco.pairs(3, images=3, classes=2, most=30, answers=400, grid=4, levels=50)
    assert max(len(answer) for answer, _ in made) > 2 * MOST
    np.testing.assert_allclose(ours(made, 2)[1][0], said(coco.by_library(made, 2)), atol=1e-12)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_draw_is_the_library_on_the_list_that_was_drawn(seed, masks):
    """Scores differ within an image, as within a list of copies equal ones have no order of their own."""
    made = coco.pairs(seed, images=5)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(5, np.full(5, 0.2), 3)
    _, found = ours(made, 3, masks, drawn)
    for row, counts in zip(found, drawn, strict=True):
        listed = [made[image] for image in np.repeat(np.arange(5), counts)]
        evaluation = coco.by_library(listed, 3, "segm" if masks else "bbox")
        if evaluation is not None:
            np.testing.assert_allclose(row, said(evaluation), atol=1e-12)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_curves_are_those_of_pycocotools(seed):
    made = coco.pairs(seed, levels=4)
    evaluation = coco.by_library(made, 3)
    if evaluation is None:
        return
    theirs = evaluation.eval["precision"][0, :, :, 0, 2].T
    curves = precision_curves(match(made, 3))
    np.testing.assert_allclose(curves, np.where(theirs < 0, np.nan, theirs), atol=1e-12)
    assert curves.shape == (3, len(RECALLS))


def one(xyxy, scores=None, size=(100, 100), **more):
    count = len(xyxy)
    where = np.zeros(count, np.int64)
    given_scores = np.ones(count) if scores is None else np.asarray(scores)
    return Boxes(np.asarray(xyxy, np.float64), given_scores, where, ("a",) * count, size, **more)


def test_nothing_to_find_is_no_figure_and_nothing_found_is_nought():
    empty, some = one([]), one([[0, 0, 50, 50]])
    assert np.isnan(ours([(some, empty)], 1)[1]).all()
    means = label_figures(match([(empty, some)], 1)).means()
    assert means["ap"] == means["ar100"] == means["ap_medium"] == 0
    assert np.isnan(means["ap_small"]).all()
    assert np.isnan(ours([], 1)[1]).all()


def test_a_crowd_takes_in_any_number_and_is_in_no_figure():
    crowd = one([[0, 0, 80, 80], [90, 90, 100, 100]], crowd=np.array([True, False]))
    answer = one([[0, 0, 20, 20], [20, 20, 40, 40], [90, 90, 100, 100]], [0.9, 0.8, 0.7])
    found = match([(answer, crowd)], 1)
    assert label_figures(found).means()["ap"] == pytest.approx(1)
    assert found.outcome[0, 0].tolist() == [2, 2, RIGHT]


def test_the_truth_that_is_overlapped_most_is_taken_and_then_another_one():
    truth = one([[0, 0, 10, 10], [0, 0, 10, 12]])
    answer = one([[0, 0, 10, 12], [0, 0, 10, 12]], [0.9, 0.8])
    found = match([(answer, truth)], 1)
    assert found.partner.tolist() == [1, 0]
    assert found.outcome[0, 0].tolist() == [RIGHT, RIGHT]


def test_labels_that_nobody_has_are_refused():
    wrong = dataclasses.replace(one([[0, 0, 5, 5]]), indices=np.array([4]))
    with pytest.raises(
        BadInput, match=r"an answer of image 0: expected label indices from 0 to 2, got \[4\]"
    ):
        match([(wrong, one([]))], 3)
    with pytest.raises(BadInput, match="got boxes without masks"):
        match([(one([[0, 0, 5, 5]]), one([[0, 0, 5, 5]]))], 1, masks=True)


def test_every_fraction_reaches_the_levels_that_a_search_finds():
    parts, wholes = np.meshgrid(np.arange(301), np.arange(1, 301))
    shares = (parts / wholes)[parts <= wholes]
    for levels in (RECALLS, np.linspace(0, 1, 11)):
        np.testing.assert_array_equal(
            levels_reached(shares, levels), np.searchsorted(levels, shares, side="right")
        )
