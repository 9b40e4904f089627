"""Boundary F1 against distances between all pairs of boundary pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.errors import BadInput
from signet.metrics.boundaries import boundary_f1


def outline(labels, known, label):
    """Boundary pixels of a label, one by one."""
    height, width = labels.shape
    return np.array([
        (row, column)
        for row in range(height)
        for column in range(width)
        if known[row, column] and labels[row, column] == label
        and any(
            0 <= row + down < height
            and 0 <= column + along < width
            and known[row + down, column + along]
            and labels[row + down, column + along] != label
            for down, along in ((0, 1), (1, 0), (0, -1), (-1, 0))
        )
    ]).reshape(-1, 2)  # fmt: skip


def plain(answer, truth, tolerance):
    known = truth >= 0
    reach = tolerance * math.hypot(*truth.shape)
    figures = []
    for label in np.setdiff1d(np.union1d(answer[known], truth[known]), [-1]):
        found, right = outline(answer, known, label), outline(truth, known, label)
        if not len(found) and not len(right):
            continue
        if not len(found) or not len(right):
            figures.append(0.0)
            continue
        distances = np.linalg.norm(found[:, None] - right[None], axis=2)
        precision, recall = (distances.min(axis=1) < reach).mean(), (distances.min(axis=0) < reach).mean()
        figures.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return float(np.mean(figures)) if figures else math.nan


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.03, 0.1, 0.2]))
def test_it_is_what_distances_between_all_pairs_give(seed, tolerance):
    generator = np.random.default_rng(seed)
    truth = np.kron(generator.integers(-1, 3, generator.integers(1, 6, 2)), np.ones((2, 3), int))
    answer = np.where(generator.random(truth.shape) < 0.8, np.roll(truth, 1, axis=1), 2)
    expected = plain(answer, truth, tolerance)
    assert boundary_f1(answer, truth, tolerance) == pytest.approx(expected, nan_ok=True)


def test_a_boundary_may_be_off_by_less_than_the_tolerance():
    truth = np.zeros((300, 400), np.int32)  # a diagonal of 500: 3.75 pixels
    truth[:, 200:] = 1
    for shift, expected in ((0, 1.0), (3, 1.0), (5, 0.0)):
        assert boundary_f1(np.roll(truth, shift, axis=1)[:, 10:-10], truth[:, 10:-10]) == expected


def test_without_a_boundary_there_is_no_figure_and_a_missed_one_is_nought():
    flat, halves = np.zeros((40, 40), np.int32), np.tri(40, dtype=np.int32)
    assert math.isnan(boundary_f1(flat, flat))
    assert boundary_f1(flat, halves) == 0
    assert boundary_f1(halves, halves) == 1
    assert math.isnan(boundary_f1(halves, np.full_like(halves, -1)))


def test_two_sizes_are_refused():
    with pytest.raises(BadInput, match=r"one size, got \(2, 2\) and \(2, 3\)"):
        boundary_f1(np.zeros((2, 2)), np.zeros((2, 3)))
