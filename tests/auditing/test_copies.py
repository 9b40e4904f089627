"""Copies: within a split, across splits, under two labels; each group told as the worst that it is."""

from dataclasses import replace

import numpy as np
import pytest

from signet.auditing.copies import find_copies

ONE, TWO = "1" * 64, "2" * 64


def seen(on_paper, digests, classes, splits, alike=()):
    """Files of these digests; those at `alike` look the same."""
    made = on_paper([(one,) for one in classes], splits=splits, digests=digests, labels=["a", "b"])
    hashes, thumbnails = made.prints.hashes.copy(), made.prints.thumbnails.copy()
    for place in alike:
        hashes[place], thumbnails[place] = hashes[alike[0]], thumbnails[alike[0]]
    return replace(made, prints=replace(made.prints, hashes=hashes, thumbnails=thumbnails))


@pytest.mark.parametrize(
    ("digests", "classes", "splits", "alike", "expected"),
    [
        ((ONE, TWO), (0, 0), ("train", "test"), (), []),
        ((ONE, ONE), (0, 0), ("train", "test"), (), [("leak", "severe")]),
        ((ONE, TWO), (0, 0), ("train", "test"), (0, 1), [("leak", "severe")]),
        ((ONE, ONE), (0, 0), ("train", "train"), (), [("copies", "warning")]),
        ((ONE, ONE), (0, 0), (None, None), (), [("copies", "warning")]),
        ((ONE, TWO), (0, 0), ("train", "train"), (0, 1), [("near copies", "note")]),
        ((ONE, ONE), (0, 1), ("train", "train"), (), [("conflict", "severe")]),
        ((ONE, TWO), (0, 1), ("train", "train"), (0, 1), [("near conflict", "warning")]),
        ((ONE, ONE), (0, 1), ("train", "test"), (), [("leak", "severe"), ("conflict", "severe")]),
        ((ONE, TWO), (0, 1), ("train", "test"), (0, 1), [("leak", "severe")]),
        (
            (ONE, ONE, TWO),
            (0, 1, 0),
            ("train",) * 3,
            (0, 2),
            [("conflict", "severe"), ("near conflict", "warning")],
        ),
        (
            (ONE, ONE, TWO),
            (0, 0, 0),
            ("train",) * 3,
            (0, 2),
            [("copies", "warning"), ("near copies", "note")],
        ),
        (("", ""), (0, 0), ("train", "test"), (), []),
    ],
)
def test_each_group_is_told_as_what_it_is(on_paper, digests, classes, splits, alike, expected):
    found = list(find_copies(seen(on_paper, digests, classes, splits, list(alike))))
    assert [(one.kind, one.severity) for one in found] == expected
    for one in found:
        assert sorted(one.sources) == sorted({source for group in one.together for source in group})


def test_a_leak_counts_identical_and_near_ones_and_shows_each(on_paper):
    digests = [ONE, ONE, "3" * 64, "4" * 64, "5" * 64]
    (found,) = find_copies(seen(on_paper, digests, [0] * 5, ["train", "test"] * 2 + ["test"], [2, 3]))
    assert found.details == {"pictures": 2, "identical": 1, "near": 1}
    assert [exhibit.note for exhibit in found.exhibits] == ["train 1, test 1"] * 2
    assert found.exhibits[0].captions == ("a · train", "a · test")
    assert len(found.sources) == 4


def test_an_image_that_nobody_labelled_contradicts_no_other(on_paper):
    made = on_paper([(0,), ()], digests=[ONE, ONE])
    (found,) = find_copies(made)
    assert found.kind == "copies"
    assert np.array_equal(made.groups, [0, 0])
