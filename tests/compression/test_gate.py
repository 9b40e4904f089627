"""The rule of the gate: what passes, and what is said of how sure that is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.compression.gate import Gate, Ruling
from signet.errors import BadRequest
from signet.records import Interval
from signet.statistics import paired_difference


def ruling(drop: Interval, count: int = 250, alike: int | None = None, **gate: object) -> Ruling:
    return Ruling(
        metric="top1", drop=drop, count=count, alike=count if alike is None else alike, gate=Gate(**gate)
    )


def test_that_the_drop_itself_is_judged_unless_proof_is_asked_for() -> None:
    drop = Interval(0.004, -0.004, 0.016)
    assert ruling(drop, max_drop=0.01).passed
    assert not ruling(drop, max_drop=0.01).proven
    assert "too few to rule out" in ruling(drop, max_drop=0.01).words()
    refused = ruling(drop, max_drop=0.01, proven=True)
    assert refused.faults() == ("top1 may drop by up to 1.60 points, allowed 1",)
    assert ruling(drop, max_drop=0.02, proven=True).passed


def test_what_250_equal_answers_can_prove() -> None:
    """The bound that the documentation states: 1.1 points of 250 images, 0.3 of 1,000."""
    for count, bound in ((250, 0.011), (1000, 0.0028)):
        right = np.ones(count, bool)
        gap = paired_difference(right, right)
        assert gap.high == pytest.approx(bound, abs=0.0002)
        assert not ruling(gap, count, max_drop=0.0025, proven=True).passed


def test_that_many_other_decisions_are_refused_though_as_many_came_right() -> None:
    found = ruling(Interval(0.0, -0.02, 0.02), alike=230)
    assert found.faults() == ("20 of 250 decisions are others (92.0 % as before, at least 95 % needed)",)
    assert ruling(Interval(0.0, -0.02, 0.02), alike=230, min_alike=0.9).passed


def test_that_an_unknown_drop_is_refused() -> None:
    assert not ruling(Interval(math.nan, math.nan, math.nan)).passed


@given(st.floats(-1, 1), st.floats(0, 1), st.integers(20, 400))
def test_that_a_gate_never_lets_through_more_than_it_says(drop: float, most: float, count: int) -> None:
    found = ruling(Interval(drop, drop - 0.1, drop + 0.1), count, max_drop=most, min_alike=0.0)
    assert found.passed == (drop <= most + 1e-12)
    strict = ruling(Interval(drop, drop - 0.1, drop + 0.1), count, max_drop=most, min_alike=0.0, proven=True)
    assert not strict.passed or found.passed


def test_that_fractions_are_asked_for() -> None:
    with pytest.raises(BadRequest, match="fraction from 0 to 1"):
        Gate(max_drop=1.5)
