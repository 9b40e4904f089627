"""Which candidate is sealed: a lead counts when it is more than chance, or when training was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.finetuning.deciding import better, standard_error

TARGETS = np.arange(50) % 5


def logits(right, sureness=3.0):
    """Logits of 50 images, of which the first so many are answered right."""
    answers = np.where(np.arange(50) < right, TARGETS, (TARGETS + 1) % 5)
    table = np.zeros((50, 5), np.float32)
    table[np.arange(50), answers] = sureness
    return table


def shuffled(right, seed):
    """Likewise, the right ones anywhere."""
    order = np.random.default_rng(seed).permutation(50)
    table = np.zeros((50, 5), np.float32)
    answers = (TARGETS + 1) % 5
    answers[order[:right]] = TARGETS[order[:right]]
    table[np.arange(50), answers] = 3
    return table


def test_a_lead_of_three_images_in_fifty_is_chance_unless_they_agree_on_all_others():
    # 30 against 33 right, but different ones: the case of 2.8 points lost on the test images.
    first, second = shuffled(30, 0), shuffled(33, 1)
    assert better((first, TARGETS), second, careful=True) == ("probe", {"probe": 0.6, "fine-tuned": 0.66})
    assert better((first, TARGETS), second, careful=False)[0] == "fine-tuned"
    # The same ones and three more.
    assert better((logits(30), TARGETS), logits(33), careful=True)[0] == "fine-tuned"


def test_a_clear_lead_counts():
    assert better((shuffled(20, 0), TARGETS), shuffled(40, 1), careful=True)[0] == "fine-tuned"


def test_equal_ones_are_told_apart_by_their_loss():
    surer = better((logits(30, 0.5), TARGETS), logits(30, 0.6), careful=True)
    assert surer[0] == "fine-tuned"
    assert better((logits(30, 0.6), TARGETS), logits(30, 0.5), careful=True)[0] == "probe"


def test_without_a_training_or_without_images_it_is_the_probe():
    assert better((logits(30), TARGETS), None, careful=True) == ("probe", {"probe": 0.6})
    nothing = np.zeros((0, 5), np.float32), np.zeros(0, np.int64)
    assert better(nothing, None, careful=True) == ("probe", {})


@given(first=st.integers(0, 50), second=st.integers(0, 50), seed=st.integers(0, 99))
def test_careful_never_seals_what_is_worse_on_the_validation_images(first, second, seed):
    one, other = shuffled(first, seed), shuffled(second, seed + 1)
    kept, accuracies = better((one, TARGETS), other, careful=True)
    if kept == "fine-tuned":
        assert accuracies["fine-tuned"] >= accuracies["probe"]


def test_the_standard_error_is_that_of_paired_differences():
    one, other = logits(33), logits(30)
    share = 3 / 50
    expected = np.sqrt(share * (1 - share) / 49)
    assert standard_error(one, other, TARGETS) == pytest.approx(expected)
    assert standard_error(one, other, np.ones((50, 5), bool)) == 0.0
