"""Nearest neighbours vote as the paper says, and no image is its own neighbour."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.errors import BadInput
from signet.metrics.neighbours import out_of_fold_accuracy, votes


def slow_votes(known, targets, asked, classes, neighbours):
    """One image at a time, as section 3.4 of arXiv:1805.01978 is printed."""
    table = []
    for query in asked:
        alike = [float(query @ row / np.linalg.norm(query) / np.linalg.norm(row)) for row in known]
        near = sorted(range(len(known)), key=lambda place: (-alike[place], place))[:neighbours]
        row = [
            sum(math.exp(alike[place] / 0.07) for place in near if targets[place] == one)
            for one in range(classes)
        ]
        table.append([vote / sum(row) for vote in row])
    return np.array(table)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(2, 40))
def test_votes_are_those_of_the_paper(seed: int, neighbours: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    known, asked = generator.normal(size=(count, 5)), generator.normal(size=(7, 5))
    targets = generator.integers(0, 4, count)
    found = votes(known, targets, asked, 4, neighbours=neighbours)
    assert found == pytest.approx(slow_votes(known, targets, asked, 4, neighbours), abs=1e-12)
    assert votes(known * 1e20, targets, asked * 1e-20, 4, neighbours=neighbours) == pytest.approx(found)


def test_many_queries_are_answered_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    known, asked, targets = generator.normal(size=(30, 4)), generator.normal(size=(50, 4)), np.arange(30) % 3
    whole = votes(known, targets, asked, 3)
    monkeypatch.setattr("signet.metrics.neighbours._CELLS", 100)
    assert (votes(known, targets, asked, 3) == whole).all()


def test_zero_features_vote_as_the_known_images_come() -> None:
    table = votes(np.zeros((4, 3)), np.array([1, 1, 0, 2]), np.zeros((2, 3)), 3, neighbours=2)
    assert (table == [[0, 1, 0], [0, 1, 0]]).all()


def test_no_image_votes_on_itself_or_on_what_belongs_with_it() -> None:
    generator = np.random.default_rng(1)
    features = np.repeat(generator.normal(size=(20, 6)), 2, axis=0)  # each picture twice
    targets = np.repeat(generator.integers(0, 2, 20), 2)
    together, apart = np.repeat(np.arange(20), 2) % 4, np.arange(40) % 2
    assert out_of_fold_accuracy(features, targets, apart, neighbours=1) == 1.0
    assert out_of_fold_accuracy(features, targets, together, neighbours=1) < 0.9


def test_what_does_not_fit_is_refused() -> None:
    rows, targets = np.ones((4, 3)), np.array([0, 1, 0, 1])
    with pytest.raises(BadInput, match=r"got \(4, 3\), \(4,\) and \(2, 2\)"):
        votes(rows, targets, np.ones((2, 2)), 2)
    with pytest.raises(BadInput, match="from 0 to 0"):
        votes(rows, targets, rows, 1)
    with pytest.raises(BadInput, match="NaN"):
        votes(rows, targets, rows * np.nan, 2)
    with pytest.raises(BadInput, match="at least 1, got 0"):
        votes(rows, targets, rows, 2, neighbours=0)
    with pytest.raises(BadInput, match="at least two different"):
        out_of_fold_accuracy(rows, targets, np.zeros(4, int))
