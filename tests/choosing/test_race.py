"""The race: the best is found at a part of the cost, the hopeless stop, time may end it, the seed decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.choosing import race as race_module
from signet.choosing.evidence import Rows, final_right
from signet.choosing.posterior import Beliefs, Prior, Seen
from signet.choosing.race import SETTLED, Entrant, Raced, Track, growing_order, race

IMAGES = 1500
STRENGTHS = (0.15, 0.24, 0.3, 0.2, 0.02)


@pytest.fixture(scope="module")
def course():
    """Five networks whose features show the class more or less clearly; the third is the best."""
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 4, IMAGES)
    centres = generator.normal(size=(4, 24))
    tables = [
        (strength * centres[targets] + 0.6 * generator.normal(size=(IMAGES, 24))).astype("f4")
        for strength in STRENGTHS
    ]
    rows = Rows(targets, np.arange(IMAGES), tuple(f"{k:05d}" for k in range(IMAGES)))
    return tables, rows


def run(course, entrants=None, **changes):
    tables, rows = course
    some = entrants or [Entrant(Prior(0.7), 10.0) for _ in tables]
    track = Track(**{"images": IMAGES, "first": 60, "allowed": 0.1 * 50 * IMAGES, **changes})
    return race(some, rows, lambda k, count: tables[k][:count], final_right, track)


def test_the_best_is_found_at_a_tenth_of_the_cost(course):
    found = run(course)
    assert found.pick() == 2
    assert found.spent <= 0.1 * 50 * IMAGES
    assert found.counts[2] == max(found.counts) > 60
    assert found.seen[2].final is not None


def test_the_hopeless_one_stops_first_and_is_told_why(course):
    found = run(course)
    assert found.counts[4] == 60
    assert "points behind after 60 images" in found.stopped[4]
    assert 2 not in found.stopped


def test_a_network_that_costs_more_than_is_allowed_sees_only_the_first_images(course):
    found = run(course, allowed=1.0)
    assert set(found.counts) == {60}


def test_a_wrong_prior_is_overruled(course):
    priors = [Entrant(Prior(top1), 10.0) for top1 in (0.85, 0.8, 0.5, 0.75, 0.9)]
    assert run(course, priors).pick() == 2


def test_who_saw_fewer_images_is_not_the_pick_however_lucky():
    draws = np.random.default_rng(0).normal([0.7, 0.8, 0.6], 0.01, (500, 3))
    found = Raced([Seen()] * 3, Beliefs(draws), [400, 100, 400])
    assert found.beliefs.regret().argmin() == 1
    assert found.pick() == 0


def test_the_one_that_published_figures_put_first_is_beaten_on_the_same_images_or_not_at_all():
    """Last among equals when money runs out: the others stop, it goes on to the images of the leader."""
    draws = np.random.default_rng(0).normal([0.7, 0.69, 0.68, 0.67], 0.02, (500, 4))
    found = Raced([Seen()] * 4, Beliefs(draws), [100] * 4)
    entrants = [Entrant(Prior(top1), 1.0) for top1 in (0.6, 0.6, None, 0.8)]
    order, count = race_module._next(found, entrants, range(4), (100, 1000), 200.0)
    assert order == [0, 3]
    assert count == 150
    assert set(found.stopped) == {1, 2}


def test_a_look_takes_no_more_than_is_left():
    draws = np.random.default_rng(0).normal([0.7, 0.69], 0.02, (500, 2))
    found = Raced([Seen()] * 2, Beliefs(draws), [100] * 2, spent=200.0)
    entrants = [Entrant(Prior(0.7), 1.0)] * 2
    assert race_module._next(found, entrants, range(2), (100, 1000), 260.0)[1] == 130
    assert race_module._next(found, entrants, range(2), (100, 1000), 200.0)[1] == 0
    assert race_module._next(found, entrants, range(2), (100, 120), 1e9)[1] == 120


def test_what_is_settled_costs_no_more(course):
    """With one network far ahead, much more than is needed may be spent, and is not."""
    tables, rows = course
    entrants = [Entrant(Prior(0.7), 10.0)] * 2
    track = Track(images=IMAGES, first=60, allowed=1e9)
    pair = [tables[2], tables[4]]
    found = race(entrants, rows, lambda k, count: pair[k][:count], final_right, track)
    assert found.counts == [60, 60]
    assert found.beliefs.regret()[0] < SETTLED


def test_one_candidate_is_no_race(course):
    tables, rows = course
    track = Track(images=IMAGES, first=60, allowed=1e9)
    found = race([Entrant(Prior(None), 1.0)], rows, lambda _, n: tables[2][:n], final_right, track)
    assert found.counts == [60]
    assert found.beliefs.regret().tolist() == [0.0]


def test_time_that_is_over_leaves_what_is_known(course):
    tables, rows = course
    calls = []

    def supply(k, count):
        calls.append(k)
        return tables[k][:count] if len(calls) <= 2 else None

    track = Track(images=IMAGES, first=60, allowed=1e9)
    entrants = [Entrant(Prior(0.7 - k / 100), 10.0) for k in range(5)]
    found = race(entrants, rows, supply, final_right, track)
    assert found.out_of_time
    assert sum(count > 0 for count in found.counts) == 2
    assert np.isfinite(found.beliefs.draws).all()


def test_the_seed_decides(course):
    one, same = run(course, seed=3), run(course, seed=3)
    assert np.array_equal(one.beliefs.draws, same.beliefs.draws)
    assert one.counts == same.counts


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 5))
def test_each_beginning_has_each_class_as_often_as_the_whole(targets, seed):
    order = growing_order(np.array(targets), seed)
    assert sorted(order.tolist()) == list(range(len(targets)))
    taken = np.array(targets)[order]
    for end in range(1, len(targets) + 1):
        for one in set(targets):
            wanted = end * targets.count(one) / len(targets)
            assert abs((taken[:end] == one).sum() - wanted) <= 1 + len(set(targets))


@given(st.floats(0.01, 1e4), st.floats(0.97, 1.03))
def test_the_noise_of_a_clock_rarely_changes_a_candidates_time(milliseconds, noise):
    one, other = (
        Entrant.timed(Prior(None), value).milliseconds for value in (milliseconds, milliseconds * noise)
    )
    assert one / other in (0.5, 1.0, 2.0)
    assert 0.7 < one / milliseconds < 1.42
    assert Entrant.timed(Prior(None), 0.0).milliseconds > 0
