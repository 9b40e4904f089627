"""Suppression decides as torchvision does, on anything; soft suppression as its paper's loop does."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from signet.answers.suppression import Candidates, best, kept, selected, soft
from signet.heads import Suppression

SIDES = some.one_of(some.integers(0, 8).map(float), some.floats(0, 60, width=32, allow_subnormal=False))


@some.composite
def sets(draw: some.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes with shared corners, no area, equal scores: what a grid of whole numbers makes likely."""
    count = draw(some.integers(0, 40))
    corners = draw(arrays(np.float32, (count, 2), elements=SIDES))
    sides = draw(arrays(np.float32, (count, 2), elements=SIDES))
    scores = draw(arrays(np.float32, count, elements=some.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])))
    classes = draw(arrays(np.int64, count, elements=some.integers(0, 2)))
    return np.concatenate([corners, corners + sides], axis=1), scores, classes


def torchvision_nms(xyxy: np.ndarray, scores: np.ndarray, iou: float) -> np.ndarray:
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    found = ops.nms(torch.from_numpy(xyxy), torch.from_numpy(scores), iou)
    return np.asarray(found.numpy())


@settings(max_examples=100)
@given(sets(), some.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.6, 0.9, 1.0]))
def test_the_decisions_are_torchvisions(found: tuple[np.ndarray, ...], iou: float) -> None:
    xyxy, scores, classes = found
    one = np.zeros(len(xyxy), np.int64)
    assert kept(xyxy, scores, one, iou).tolist() == torchvision_nms(xyxy, scores, iou).tolist()
    apart = kept(xyxy, scores, classes, iou)
    each = [np.flatnonzero(classes == label) for label in range(3)]
    wanted = np.concatenate([part[torchvision_nms(xyxy[part], scores[part], iou)] for part in each])
    assert sorted(apart.tolist()) == sorted(wanted.tolist())
    assert (np.diff(scores[apart]) <= 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("side", [4.0, 60.0, 900.0])
def test_batched_suppression_is_torchvisions_on_many_boxes(side: float, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    random = np.random.default_rng(int(side))
    # Eighths of a pixel: torchvision moves the classes apart, which must not round.
    corners = random.integers(0, 8000, (1500, 2)) / 8
    xyxy = np.concatenate([corners, corners + random.integers(0, int(8 * side), (1500, 2)) / 8], 1)
    scores = random.permutation(1500) / 1500
    classes = random.integers(0, 7, 1500)
    xyxy, scores = xyxy.astype(dtype), scores.astype(dtype)
    found = kept(xyxy, scores, classes, 0.45)
    wanted = ops.batched_nms(
        torch.from_numpy(xyxy), torch.from_numpy(scores), torch.from_numpy(classes), 0.45
    ).numpy()
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize("case", ["apart", "one place", "dense", "one that spans all"])
def test_a_hundred_thousand_boxes_take_bounded_time(case: str) -> None:
    random = np.random.default_rng(3)
    count = 100_000
    y, x = np.divmod(np.arange(count), 317)
    corners = {
        "apart": np.stack([x, y], 1) * 3.0,
        "one place": np.zeros((count, 2)),
        "dense": random.uniform(0, 300, (count, 2)),
        "one that spans all": np.stack([x, y], 1) * 3.0,
    }[case]
    sides = random.uniform(1, 60, (count, 2)) if case == "dense" else np.full((count, 2), 2.0)
    xyxy = np.concatenate([corners, corners + sides], 1).astype("f4")
    classes = random.integers(0, 80, count)
    if case == "one that spans all":
        xyxy[0], classes[0] = (0, 0, 951, 951), 0
    start = time.process_time()
    found = kept(xyxy, random.uniform(0, 1, count).astype("f4"), classes, 0.6)
    # Measured at 0.5 to 2.5 s on a shared processor; a comparison of all pairs takes minutes.
    assert time.process_time() - start < 20
    assert len(found) == {"apart": count, "one place": 80, "one that spans all": count}.get(case, len(found))


def test_the_first_of_equal_boxes_stays_and_an_overlap_of_the_threshold_does() -> None:
    xyxy = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 1]], "f4")
    scores = np.array([0.5, 0.5, 0.4], "f4")
    assert kept(xyxy, scores, np.zeros(3, int), 0.5).tolist() == [0, 2], "1/2 is not above 1/2"
    assert kept(xyxy, scores, np.zeros(3, int), 0.49).tolist() == [0]
    assert kept(xyxy, scores, np.array([0, 1, 0]), 0.49).tolist() == [0, 1]
    assert kept(xyxy, scores, np.zeros(3, int), 1.0, most=2).tolist() == [0, 1]


def test_no_boxes_are_no_boxes() -> None:
    none = np.zeros((0, 4), "f4")
    assert kept(none, np.zeros(0, "f4"), np.zeros(0, int), 0.5).tolist() == []
    places, scores = soft(none, np.zeros(0, "f4"), np.zeros(0, int), Suppression(soft="gaussian"))
    assert (places.tolist(), scores.tolist()) == ([], [])


@given(
    arrays(np.float32, some.integers(0, 30), elements=some.sampled_from([0.0, 0.5, 1.0])),
    some.integers(1, 40),
)
def test_the_best_are_those_of_a_stable_sort(scores: np.ndarray, count: int) -> None:
    assert best(scores, count).tolist() == np.argsort(-scores, kind="stable")[:count].tolist()
    assert best(scores).tolist() == np.argsort(-scores, kind="stable").tolist()


def overlap(one: np.ndarray, two: np.ndarray) -> float:
    wide = min(one[2], two[2]) - max(one[0], two[0])
    high = min(one[3], two[3]) - max(one[1], two[1])
    both = max(wide, 0.0) * max(high, 0.0)
    either = (one[2] - one[0]) * (one[3] - one[1]) + (two[2] - two[0]) * (two[3] - two[1]) - both
    return both / either if either > 0 else 0.0


def by_the_paper(
    xyxy: np.ndarray, scores: np.ndarray, classes: np.ndarray, how: Suppression
) -> list[tuple[int, float]]:
    """Figure 2 of the paper, as it is written."""
    left = {place: float(score) for place, score in enumerate(scores)}
    done: list[tuple[int, float]] = []
    while left and len(done) != how.after:
        place = max(left, key=lambda box: (left[box], -box))
        score = left.pop(place)
        if score < max(how.score_floor, 1e-30):
            break
        done.append((place, score))
        for other in left:
            if how.class_wise and classes[other] != classes[place]:
                continue
            share = overlap(xyxy[place].astype("f8"), xyxy[other].astype("f8"))
            if how.soft == "gaussian":
                left[other] *= np.exp(-(share**2) / how.sigma)
            elif share > (how.iou or 0):
                left[other] *= 1 - share
    return done


@given(
    sets(),
    some.builds(
        Suppression,
        soft=some.sampled_from(["linear", "gaussian"]),
        iou=some.sampled_from([0.3, 0.5]),
        sigma=some.sampled_from([0.3, 0.5]),
        class_wise=some.booleans(),
        score_floor=some.sampled_from([0.0, 0.05]),
        after=some.sampled_from([None, 5]),
    ),
)
def test_soft_suppression_is_the_papers(found: tuple[np.ndarray, ...], how: Suppression) -> None:
    xyxy, scores, classes = found
    # Whole corners and distinct scores, so that rounding decides nothing.
    xyxy = np.rint(xyxy)
    scores = (scores + np.arange(len(scores)) * 1e-3).astype("f4")
    places, values = soft(xyxy, scores, classes, how)
    wanted = by_the_paper(xyxy, scores, classes, how)
    # A score within rounding of the floor may fall on either side of it.
    floors = (max(0.0, how.score_floor + step) for step in (-1e-6, 1e-6))
    assume(
        len({len(by_the_paper(xyxy, scores, classes, replace(how, score_floor=one))) for one in floors}) == 1
    )
    assert len(places) == len(wanted)
    np.testing.assert_allclose(values, [score for _, score in wanted], atol=1e-5)


def candidates(xyxy: list[list[float]], scores: list[float], classes: list[int]) -> Candidates:
    return Candidates(
        np.array(xyxy, "f4").reshape(-1, 4), np.array(scores, "f4"), np.array(classes), np.arange(len(scores))
    )


def test_what_is_no_box_is_left_out_and_counted() -> None:
    nan, inf = float("nan"), float("inf")
    found = selected(
        candidates(
            [[0, 0, 5, 5], [nan, 0, 5, 5], [0, 0, inf, 5], [5, 0, 0, 5], [0, 0, 5, 5], [9, 9, 9, 9]],
            [0.9, 0.8, 0.7, 0.6, nan, 0.5],
            [0] * 6,
        ),
        Suppression(iou=0.5),
    )
    assert found.rows.tolist() == [0, 5], "a box without area is a box"
    assert found.invalid == 4


def test_floor_and_limits_are_the_cards() -> None:
    found = candidates([[x, 0, x + 1, 1] for x in range(6)], [0.3, 0.9, 0.0, 0.1, 0.2, 0.8], [0] * 6)
    assert selected(found, Suppression()).rows.tolist() == [1, 5, 0, 4, 3], "a score of 0 is no answer"
    assert selected(found, Suppression(score_floor=0.2)).rows.tolist() == [1, 5, 0, 4]
    assert selected(found, Suppression(after=2)).rows.tolist() == [1, 5]
    assert selected(found, Suppression(iou=0.5, before=3)).rows.tolist() == [1, 5, 0]
    assert selected(found, Suppression(iou=0.5, after=2)).rows.tolist() == [1, 5]


def test_classes_suppress_each_other_only_when_the_card_says_so() -> None:
    found = candidates([[0, 0, 9, 9], [0, 0, 9, 8]], [0.9, 0.8], [0, 1])
    assert len(selected(found, Suppression(iou=0.5))) == 2
    assert len(selected(found, Suppression(iou=0.5, class_wise=False))) == 1
