"""When two answers for one image are one decision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.agreement import COARSE, FINE, TIE_INT8, alike, alike_unseen, equal_pixels, matched, tied
from signet.boxes import Boxes
from signet.instances import Instances
from signet.masks import Mask
from signet.predictions import Classes, Embedding
from signet.segments import SegmentMap

SIZE = (100, 100)


def _boxes(*rows, labels=("a", "b")):
    """Boxes of (left, top, right, bottom, score, index)."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    indices = table[:, 5].astype(np.int64)
    names = tuple(labels[index] for index in indices)
    return Boxes(table[:, :4], table[:, 4], indices, names, SIZE)


def _labels(logits, temperature=1.0):
    """Softmax scores of logits, as a model answers."""
    raised = np.exp(np.asarray(logits, np.float64) / temperature)
    scores = (raised / raised.sum()).astype(np.float32)
    return Classes(np.arange(len(scores)), scores, tuple("abcdefgh"[: len(scores)]))


def test_a_head_that_learned_from_an_image_is_surer_of_it_than_one_that_did_not():
    # 4 to 1 for the head that learned from it; the other one has 2.1 to 2, and bf16 moves both by a tenth.
    before, after = _labels([4.0, 1.0, 0.0]), _labels([3.9, 1.1, 0.0])
    assert alike(before, after)
    assert not alike_unseen(before, after, np.array([2.1, 2.0, 0.0]), 1.0)
    assert alike_unseen(before, after, np.array([2.3, 2.0, 0.0]), 1.0)


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3),
    st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3),
    st.sampled_from([0.5, 1.0, 2.5]),
)
def test_what_changes_is_told_by_scores_at_any_temperature(first, second, temperature):
    unseen = np.array([0.3, 0.0, -0.2])
    moved = unseen + np.array(second) - np.array(first)
    apart = np.sort(moved)[-1] - np.sort(moved)[-2]
    found = alike_unseen(_labels(first, temperature), _labels(second, temperature), unseen, temperature)
    if apart > 1e-3:  # closer than that, rounding to float32 decides
        assert found == (moved.argmax() == 0)


@given(st.lists(st.integers(0, 7), max_size=6), st.randoms(use_true_random=False))
def test_an_answer_is_like_itself_in_any_order(places, random):
    rows = [(10 * place, 5, 10 * place + 8, 40, 0.3 + place / 20, place % 2) for place in places]
    shuffled = random.sample(rows, len(rows))
    assert alike(_boxes(*rows), _boxes(*shuffled), FINE)
    assert matched(_boxes(*rows), _boxes(*shuffled), FINE).pairs == len(rows)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(0, 5))
def test_one_box_less_is_another_decision_either_way(places, gone):
    rows = [(10 * place, 5, 10 * place + 8, 40, 0.5, 0) for place in places]
    fewer = [row for number, row in enumerate(rows) if number != gone % len(rows)]
    assert not alike(_boxes(*rows), _boxes(*fewer))
    assert not alike(_boxes(*fewer), _boxes(*rows))


@pytest.mark.parametrize(
    ("change", "fine", "coarse"),
    [
        ((0, 0, 0, 0, 0, 0), True, True),
        ((0.05, 0.05, 0.05, 0.05, 0, 0), True, True),
        ((1, 0, 1, 0, 0, 0), False, True),
        ((9, 0, 9, 0, 0, 0), False, False),
        ((0, 0, 0, 0, 0.05, 0), False, True),
        ((0, 0, 0, 0, 0.2, 0), False, False),
        ((0, 0, 0, 0, 0, 1), False, False),
    ],
)
def test_overlap_score_and_label_all_count(change, fine, coarse):
    row = (10, 10, 60, 60, 0.6, 0)
    moved = tuple(np.add(row, change))
    assert alike(_boxes(row), _boxes(moved), FINE) is fine
    assert alike(_boxes(row), _boxes(moved), COARSE) is coarse


def test_a_box_is_the_partner_of_one_only():
    twice = _boxes((10, 10, 60, 60, 0.6, 0), (10, 10, 60, 60, 0.6, 0))
    found = matched(twice, _boxes((10, 10, 60, 60, 0.6, 0)), FINE)
    assert found.pairs == 1
    assert found.alone == ("a 0.600 at 10.0, 10.0, 60.0, 60.0",)


def test_as_many_pairs_as_can_be_are_made():
    """The first box fits both of the others, best the one that alone fits the second."""
    one = _boxes((0, 0, 100, 100, 0.9, 0), (0, 0, 91, 100, 0.9, 0))
    two = _boxes((0, 0, 96, 100, 0.9, 0), (9, 0, 100, 100, 0.9, 0))
    assert not matched(one, two, COARSE).alone


@pytest.mark.parametrize(("score", "same"), [(0.26, True), (0.34, True), (0.36, False), (0.24, True)])
def test_a_score_at_the_threshold_is_on_no_side_of_it(score, same):
    both = (0, 0, 9, 9, 0.9, 0)
    assert alike(_boxes(both, (50, 50, 70, 70, score, 0)), _boxes(both)) is same


def test_of_two_equal_scores_either_box_may_suppress_the_other():
    one, two = _boxes((0, 0, 40, 40, 0.6, 0)), _boxes((8, 0, 48, 40, 0.6, 0))
    assert matched(one, two, FINE).alone
    assert not matched(one, two, FINE, suppressed=0.6).alone
    assert matched(one, _boxes((8, 0, 48, 40, 0.6, 1)), FINE, suppressed=0.6).alone
    assert matched(one, _boxes((8, 0, 48, 40, 0.59, 0)), FINE, suppressed=0.6).alone
    assert matched(one, _boxes((35, 0, 75, 40, 0.6, 0)), FINE, suppressed=0.6).alone


def test_masks_count_beside_their_boxes():
    inside = np.zeros(SIZE, np.bool_)
    inside[10:60, 10:60] = True
    other = inside.copy()
    other[10:17, 10:60] = False
    box = _boxes((10, 10, 60, 60, 0.6, 0))
    one, two = (Instances(box, (Mask.of(mask),)) for mask in (inside, other))
    assert alike(one, one, FINE)
    assert not alike(one, two)
    empty = Instances(box, (Mask.of(np.zeros(SIZE, np.bool_)),))
    assert alike(empty, empty, FINE)


def test_maps_by_their_pixels():
    one = np.zeros(SIZE, np.int32)
    two = one.copy()
    two[0] = 1
    first, second = (SegmentMap(indices, ("a", "b")) for indices in (one, two))
    assert equal_pixels(first, second) == 0.99
    assert alike(first, second)
    assert not alike(first, second, dataclasses.replace(COARSE, pixels=0.991))
    assert equal_pixels(first, SegmentMap(one[1:], ("a", "b"))) == 0


def test_labels_by_the_first_one_and_kinds_apart():
    def classes(*scores):
        return Classes(np.arange(2), np.array(scores, np.float32), ("a", "b"))

    assert alike(classes(0.6, 0.4), classes(0.9, 0.1))
    assert not alike(classes(0.6, 0.4), classes(0.4, 0.6))
    assert not alike(classes(0.6, 0.4), _boxes())
    vector = Embedding(np.ones(3, np.float32))
    assert not alike(vector, vector)
    assert alike(_boxes(), _boxes())


def test_that_only_close_logits_are_a_tie_and_only_where_that_is_allowed():
    sealed = {"head": np.array([10.0, 9.5, 9.0, -3.0]), "answer": np.array([0.5, 0.3, 0.2, 0.0])}
    assert tied(sealed, 0, 1, TIE_INT8)
    assert tied(sealed, 1, 0, TIE_INT8)
    assert not tied(sealed, 0, 2, TIE_INT8)
    assert not tied(sealed, 0, 1, 0.0)
    assert not tied({"answer": sealed["answer"]}, 0, 1, TIE_INT8)


def test_that_a_background_of_the_head_is_no_class_of_the_answer():
    sealed = {"head": np.array([10.0, 1.0, 9.5, 9.4]), "answer": np.array([0.0, 0.3, 0.3])}
    assert tied(sealed, 1, 2, TIE_INT8)
    assert not tied(sealed, 0, 1, TIE_INT8)
    assert not tied(sealed, 2, 3, TIE_INT8)
