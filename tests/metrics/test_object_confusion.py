"""Each truth is found, taken for another, or missed; each answer is right, on another one, or on nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.boxes import Boxes
from signet.metrics.matching import IGNORED, RIGHT, match
from signet.metrics.object_confusion import best_score, confusion

from . import coco


def boxes(rows, **more):
    """From (xyxy, label, score)."""
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return Boxes(
        np.asarray(columns[0], float).reshape(-1, 4),
        np.asarray(columns[2], float),
        np.asarray(columns[1], np.int64),
        tuple(map(str, columns[1])),
        (100, 100),
        **more,
    )


def test_found_taken_for_another_missed_and_nothing_there():
    truth = boxes([((0, 0, 10, 10), 0, 1), ((20, 20, 40, 40), 1, 1), ((60, 60, 90, 90), 2, 1)])
    answer = boxes([
        ((0, 0, 10, 10), 0, 0.9),  # right
        ((20, 20, 40, 38), 2, 0.8),  # on the one with label 1
        ((0, 50, 10, 60), 1, 0.7),  # on nothing
        ((60, 60, 90, 90), 2, 0.1),  # right, too unsure
    ])  # fmt: skip
    pairs = [(answer, truth)]
    found = confusion(match(pairs, 3), pairs, score=0.5)
    expected = np.zeros((4, 4), int)
    expected[0, 0] = expected[1, 2] = expected[3, 1] = expected[2, 3] = 1
    np.testing.assert_array_equal(found.counts, expected)
    assert found.taken.tolist() == [0, 2, -1]
    assert found.showed.tolist() == [1, -1]
    assert found.score == 0.5


def test_a_label_of_its_own_goes_before_a_greater_overlap_with_another():
    truth = boxes([((0, 0, 10, 10), 0, 1), ((0, 0, 10, 11), 1, 1)])
    answer = boxes([((0, 0, 10, 10), 1, 0.9)])
    found = confusion(match([(answer, truth)], 2), [(answer, truth)], score=0)
    assert found.counts.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_a_crowd_is_neither_missed_nor_a_false_alarm():
    truth = boxes([((0, 0, 50, 50), 0, 1)], crowd=np.array([True]))
    answer = boxes([((0, 0, 10, 10), 0, 0.9)])
    found = confusion(match([(answer, truth)], 1), [(answer, truth)], score=0)
    assert found.counts.sum() == 0
    assert found.taken.tolist() == [-2]
    assert len(found.wrong) == 0


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 3]))
def test_every_object_is_counted_once(seed, levels):
    pairs = coco.pairs(seed, levels=levels)
    matches = match(pairs, 3)
    found = confusion(matches, pairs)
    truths = np.bincount(matches.truth_label[matches.counted[0]], minlength=3)
    np.testing.assert_array_equal(found.counts[:3].sum(axis=1), truths)
    used = (matches.score >= found.score) & (matches.outcome[0, 0] != IGNORED)
    np.testing.assert_array_equal(
        found.counts[:, :3].sum(axis=0), np.bincount(matches.label[used], minlength=3)
    )
    right = int((matches.outcome[0, 0][used] == RIGHT).sum())
    assert np.trace(found.counts) == right
    assert len(found.wrong) == used.sum() - right


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 4]))
def test_no_other_score_has_a_better_f1(seed, levels):
    matches = match(coco.pairs(seed, levels=levels), 3)
    kept = matches.outcome[0, 0] != IGNORED
    right = matches.outcome[0, 0] == RIGHT

    def f1(score):
        used = kept & (matches.score >= score)
        return 2 * right[used].sum() / max(used.sum() + matches.counted[0].sum(), 1)

    best = best_score(matches)
    assert f1(best) == pytest.approx(max((f1(score) for score in matches.score), default=0))
