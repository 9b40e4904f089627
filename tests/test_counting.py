"""Counts by label, of one picture and of many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from signet.boxes import Boxes
from signet.counting import Tally, Totals, count
from signet.instances import Instances
from signet.masks import Mask
from signet.predictions import Classes
from signet.segments import SegmentMap


def boxes(*labels, scores=None):
    size = len(labels)
    given = np.ones(size) if scores is None else np.array(scores, np.float64)
    return Boxes(np.tile([0.0, 0, 5, 5], (size, 1)), given, np.arange(size), labels, (9, 9))


def test_objects_by_label_the_most_frequent_first():
    assert list(count(boxes("b", "a", "b", "c", "a", "b")).items()) == [("b", 3), ("a", 2), ("c", 1)]
    assert count(boxes("a", "a", scores=[0.3, 0.29]), 0.3) == {"a": 1}
    assert count(boxes()) == {}
    masks = tuple(Mask.of(np.ones((9, 9), bool)) for _ in range(2))
    assert count(Instances(boxes("a", "a"), masks)) == {"a": 2}


def test_answers_without_objects_have_no_counts():
    assert count(Classes.truth(0, "a")) is None
    assert count(SegmentMap(np.zeros((2, 2), np.int32), ("a",))) is None


def test_totals():
    totals = Totals().and_then({"a": 2}).and_then({}).and_then({"a": 1, "b": 4, "c": 0})
    assert totals.pictures == 3
    assert dict(totals.labels) == {"a": Tally(3, 2, 2), "b": Tally(4, 1, 4)}
    assert list(totals.to_dict()) == ["b", "a"]
    assert totals.to_dict()["a"] == {"objects": 3, "pictures": 2, "most": 2}


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 9))))
def test_totals_are_the_sums(pictures):
    totals = Totals()
    for counts in pictures:
        before = totals.to_dict()
        after = totals.and_then(counts)
        assert totals.to_dict() == before
        totals = after
    for label in "abc":
        numbers = [counts.get(label, 0) for counts in pictures]
        tally = totals.labels.get(label, Tally())
        assert tally == Tally(sum(numbers), sum(n > 0 for n in numbers), max(numbers, default=0))
