"""When stages thaw: from the head down, the head alone first, all by the middle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.finetuning.thawing import thawing


@given(count=st.integers(1, 40), epochs=st.integers(2, 60))
def test_later_stages_thaw_first_and_all_learn_for_half_of_the_run(count, epochs):
    names = [f"stage{place}" for place in range(count)]
    rows = thawing(names, epochs)
    assert [name for name, _ in rows] == names
    firsts = [epoch for _, epoch in rows]
    assert firsts == sorted(firsts, reverse=True)
    assert all(2 <= epoch <= 1 + max(1, epochs // 2) for epoch in firsts)


def test_one_epoch_is_too_few():
    with pytest.raises(ValueError, match="at least 2"):
        thawing(["stem"], 1)
