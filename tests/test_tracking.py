"""Objects keep their numbers: through crossings, gaps, low scores; labels are never mixed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from signet.boxes import Boxes
from signet.errors import BadRequest
from signet.tracking import UNTRACKED, Tracks, TrackSettings, _iou, follow

SIZE = (480, 640)


def frame(*objects):
    """Boxes of (left, top, label, score), 40 x 60 each."""
    return Boxes(
        np.array([(left, top, left + 40, top + 60) for left, top, _, _ in objects], np.float64).reshape(
            -1, 4
        ),
        np.array([score for *_, score in objects], np.float64),
        np.array([label for *_, label, _ in objects], np.int64),
        tuple(f"l{label}" for *_, label, _ in objects),
        SIZE,
    )


def run(frames, tracking=None):
    tracks, given = Tracks(), []
    for boxes in frames:
        tracks, numbers = follow(tracks, boxes, tracking)
        given.append(numbers.tolist())
    return tracks, given


def test_objects_keep_their_numbers_whatever_the_order_of_boxes():
    rng = np.random.default_rng(0)
    start = np.array([(50.0 + 120 * n, 40.0 + 60 * n) for n in range(4)])
    speed = rng.uniform(-4, 4, (4, 2))
    owners = {}
    tracks = Tracks()
    for number in range(40):
        order = rng.permutation(4)
        places = start + speed * number + rng.normal(0, 1, (4, 2))
        tracks, given = follow(tracks, frame(*((*places[n], 0, 0.9) for n in order)))
        for place, track in zip(order.tolist(), given.tolist(), strict=True):
            assert owners.setdefault(place, track) == track
    assert sorted(owners.values()) == [1, 2, 3, 4]
    assert (len(tracks), tracks.frames, tracks.last) == (4, 40, 4)


def test_two_that_cross_do_not_swap():
    frames = [frame((10 + 6 * n, 100, 0, 0.9), (500 - 6 * n, 130, 0, 0.9)) for n in range(80)]
    _, given = run(frames)
    assert given == [[1, 2]] * 80


def test_a_hidden_object_has_its_number_again():
    seen = [frame((10 + 5 * n, 100, 0, 0.9)) for n in range(10)]
    gone = [frame() for _ in range(12)]
    again = [frame((10 + 5 * n, 100, 0, 0.9)) for n in range(22, 30)]
    _, given = run([*seen, *gone, *again])
    assert {number for numbers in given for number in numbers} == {1}
    _, given = run([*seen, *gone, *again], TrackSettings(keep_frames=5))
    assert [numbers[0] for numbers in given[22:]] == [UNTRACKED, *[2] * 7]


def test_a_low_score_keeps_a_track_and_begins_none():
    scores = [0.9, 0.9, 0.9, 0.3, 0.2, 0.3, 0.9]
    _, given = run(frame((10 + 2 * n, 50, 0, score)) for n, score in enumerate(scores))
    assert given == [[1]] * 7
    _, given = run(frame((10 + 2 * n, 50, 0, 0.3)) for n in range(5))
    assert given == [[UNTRACKED]] * 5
    _, given = run(frame((10 + 2 * n, 50, 0, score)) for n, score in enumerate([0.9, 0.9, 0.05, 0.9]))
    assert given == [[1], [1], [UNTRACKED], [1]]


def test_a_new_object_is_numbered_when_a_second_frame_confirms_it():
    here = (10, 50, 0, 0.9)
    _, given = run([frame(here), frame(here, (300, 50, 0, 0.9)), frame(here, (302, 50, 0, 0.9)), frame(here)])
    assert given == [[1], [1, UNTRACKED], [1, 2], [1]]
    tracks, given = run([frame(here), frame(here, (300, 50, 0, 0.9)), frame(here), frame(here)])
    assert given == [[1], [1, UNTRACKED], [1], [1]]
    assert (len(tracks), tracks.last) == (1, 1)


def test_labels_are_never_mixed():
    _, given = run([frame((10, 50, 0, 0.9)), frame((10, 50, 1, 0.9)), frame((10, 50, 1, 0.9))])
    assert given == [[1], [UNTRACKED], [2]]


def test_where_a_track_is():
    tracks, _ = run(frame((10 + 7 * n, 100 - 3 * n, 0, 0.9)) for n in range(20))
    np.testing.assert_allclose(tracks.xyxy, [[143, 43, 183, 103]], atol=1)
    np.testing.assert_allclose(tracks.state[0, :2, 1], [7, -3], atol=0.3)


def test_odd_boxes_do_not_stop_it():
    flat = Boxes(np.array([[5.0, 5, 5, 5], [5, 5, 5, 90]]), np.ones(2), np.zeros(2, int), ("a", "a"), SIZE)
    tracks, given = run([flat, frame(), flat])
    assert len(given[0]) == 2
    assert np.isfinite(tracks.state).all()
    assert run([frame()] * 3)[1] == [[], [], []]


def test_memory_is_bounded_by_what_is_kept():
    rng = np.random.default_rng(0)
    tracks = Tracks()
    for _ in range(100):
        objects = ((left, top, 0, 0.9) for left, top in rng.uniform(0, 400, (10, 2)))
        tracks, _ = follow(tracks, frame(*objects), TrackSettings(keep_frames=3))
        assert len(tracks) <= 10 * 5
        assert (tracks.missed <= 3).all()


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.floats(0, 600),
                st.floats(0, 400),
                st.integers(0, 2),
                st.floats(0, 1, allow_subnormal=False),
            ),
            max_size=6,
        ),
        max_size=8,
    )
)
def test_no_number_is_given_twice_in_a_frame_nor_to_two_labels(film):
    label_of = {}
    tracks = Tracks()
    for objects in film:
        boxes = frame(*objects)
        tracks, given = follow(tracks, boxes)
        numbers = given[given != UNTRACKED].tolist()
        assert len(set(numbers)) == len(numbers)
        assert all(1 <= number <= tracks.last for number in numbers)
        for number, label in zip(given.tolist(), boxes.indices.tolist(), strict=True):
            assert number == UNTRACKED or label_of.setdefault(number, label) == label
        assert not set(given[boxes.scores < 0.1].tolist()) - {UNTRACKED}


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_the_assignment_has_the_greatest_overlap(seed):
    rng = np.random.default_rng(seed)
    first = frame(*((*rng.uniform(0, 100, 2), 0, 0.9) for _ in range(4)))
    second = frame(*((*rng.uniform(0, 100, 2), 0, 0.9) for _ in range(4)))
    _, given = run([first, second], TrackSettings(iou=1e-9))
    overlap = _iou(first.xyxy, second.xyxy)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    got = sum(overlap[number - 1, place] for place, number in enumerate(given[1]) if number > 0)
    assert got == pytest.approx(overlap[rows, columns].sum())
    best = max(sum(overlap[row, column] for row, column in enumerate(order))
               for order in itertools.permutations(range(4)))  # fmt: skip
    assert got == pytest.approx(best)


@pytest.mark.parametrize(
    "wrong", [{"high": 0.1, "low": 0.2}, {"iou": 0}, {"low_iou": 2}, {"keep_frames": -1}, {"high": 1.2}]
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(BadRequest, match="tracking: expected"):
        TrackSettings(**wrong)
