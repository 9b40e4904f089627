"""What images without labels say: whether they are of another kind, and which answers say more about them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.answers import softmax
from signet.finetuning.domains.evidence import LEAST_IMAGES, gain, information, told_apart

pytest.importorskip("scipy")


def rows(count: int, shift: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(count, 8)) + shift).astype("f4")


def test_images_of_one_kind_are_not_told_apart_and_others_are():
    same = told_apart(rows(200, 0, 0), rows(150, 0, 1), seed=0)
    other = told_apart(rows(200, 0, 0), rows(150, 1.0, 1), seed=0)
    assert same.low < 0.55
    assert other.low > 0.9
    assert told_apart(rows(200, 0, 0), rows(LEAST_IMAGES - 1, 3, 1), seed=0) is None


def test_information_is_one_for_sure_answers_of_all_classes_and_none_for_one_class():
    assert information(np.eye(4)[np.arange(20) % 4]) == pytest.approx(1)
    assert information(np.eye(4)[np.zeros(20, int)]) == 0
    assert information(np.full((20, 4), 0.25)) == pytest.approx(0, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_the_gain_is_the_difference_and_lies_in_its_interval(seed):
    random = np.random.default_rng(seed)
    one, two = (softmax(random.normal(size=(60, 3)).astype("f4") * scale) for scale in (4, 1))
    found = gain(one, two, seed)
    assert found.value == pytest.approx(information(one) - information(two))
    assert found.low <= found.value <= found.high
    back = gain(two, one, seed)
    assert (back.value, back.low) == pytest.approx((-found.value, -found.high))


def test_answers_that_collapse_onto_a_class_do_not_gain_by_being_sure():
    random = np.random.default_rng(0)
    unsure = softmax(random.normal(size=(90, 3)).astype("f4"))
    collapsed = np.eye(3)[np.zeros(90, int)]
    assert gain(collapsed, unsure, 0).high < 0
