"""Pascal VOC's figures against a plain reading of its description, answer by answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.boxes import Boxes
from signet.metrics.pascal_voc import match_voc, voc_precision

SIZE = (60, 60)


def made(seed, images=4, classes=3):
    """Pairs of answer and truth on a coarse grid; the last label has no truth."""
    generator = np.random.default_rng(seed)

    def some(count, labels, **more):
        corners = generator.integers(0, 6, (count, 2)) * 8
        xyxy = np.concatenate([corners, corners + generator.integers(1, 3, (count, 2)) * 8], axis=1)
        where = generator.integers(0, labels, count)
        scores = generator.permutation(count) / max(count, 1)
        return Boxes(xyxy.astype(float), scores, where, tuple(map(str, where)), SIZE, **more)

    pairs = []
    for _ in range(images):
        count = int(generator.integers(0, 6))
        truth = some(count, classes - 1, crowd=generator.random(count) < 0.2)
        pairs.append((some(int(generator.integers(0, 12)), classes), truth))
    return pairs


def overlap(one, two):
    """In whole pixels, the last included, as the development kit counts."""
    left, top = max(one[0], two[0]), max(one[1], two[1])
    right, bottom = min(one[2] - 1, two[2] - 1), min(one[3] - 1, two[3] - 1)
    if right < left or bottom < top:
        return 0.0
    both = (right - left + 1) * (bottom - top + 1)
    return both / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)) - both)


def plain(pairs, label):
    """(all points, eleven points) of one label."""
    answers = [
        (-answer.scores[row], image, row)
        for image, (answer, _) in enumerate(pairs)
        for row in np.flatnonzero(answer.indices == label)
    ]
    total = sum(int((~truth.crowd[truth.indices == label]).sum()) for _, truth in pairs)
    if not total:
        return np.nan, np.nan
    taken, hits = set(), []
    for _, image, row in sorted(answers, key=lambda one: one[:2]):
        answer, truth = pairs[image]
        rows = np.flatnonzero(truth.indices == label)
        overlaps = [overlap(answer.xyxy[row], truth.xyxy[other]) for other in rows]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best < 0 or overlaps[best] < 0.5:
            hits.append(False)
        elif truth.crowd[rows[best]]:
            continue
        else:
            hits.append((image, best) not in taken)
            taken.add((image, best))
    if not hits:
        return 0.0, 0.0
    recall = np.cumsum(hits) / total
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    greatest = [precision[place:].max() for place in range(len(hits))]
    area = sum(
        high * (there - before)
        for high, there, before in zip(greatest, recall, [0, *recall[:-1]], strict=True)
    )
    points = [
        max((p for p, r in zip(precision, recall, strict=True) if r >= level), default=0)
        for level in np.linspace(0, 1, 11)
    ]
    return area, float(np.mean(points))


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_the_figures_are_those_of_the_description(seed):
    pairs = made(seed)
    whole, eleven = voc_precision(match_voc(pairs, 3))
    expected = [plain(pairs, label) for label in range(3)]
    np.testing.assert_allclose(whole[0], [area for area, _ in expected], atol=1e-12)
    np.testing.assert_allclose(eleven[0], [points for _, points in expected], atol=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_draw_is_the_list_that_was_drawn(seed):
    pairs = made(seed)
    drawn = np.random.default_rng(seed).multinomial(4, np.full(4, 0.25), 3)
    whole, eleven = voc_precision(match_voc(pairs, 3), drawn)
    for row, counts in enumerate(drawn):
        listed = match_voc([pairs[image] for image in np.repeat(np.arange(4), counts)], 3)
        alone = voc_precision(listed)
        np.testing.assert_allclose(whole[row], alone[0][0], atol=1e-12)
        np.testing.assert_allclose(eleven[row], alone[1][0], atol=1e-12)


def test_a_truth_is_not_found_twice_though_another_one_is_near():
    truth = Boxes.truth([[0, 0, 10, 10], [0, 2, 10, 12]], [0, 0], ("a",), SIZE)
    answer = Boxes(
        np.array([[0, 0, 10, 10.0]] * 2), np.array([0.9, 0.8]), np.zeros(2, np.int64), ("a", "a"), SIZE
    )
    whole, _ = voc_precision(match_voc([(answer, truth)], 1))
    assert whole[0, 0] == pytest.approx(0.5)


def test_a_difficult_truth_and_what_finds_it_are_in_no_figure():
    truth = Boxes.truth(
        [[0, 0, 10, 10], [20, 20, 40, 40]], [0, 0], ("a",), SIZE, crowd=np.array([True, False])
    )
    answer = Boxes(
        np.array([[0, 0, 10, 10.0], [20, 20, 40, 40]]),
        np.array([0.9, 0.8]),
        np.zeros(2, np.int64),
        ("a", "a"),
        SIZE,
    )
    whole, eleven = voc_precision(match_voc([(answer, truth)], 1))
    assert whole[0, 0] == pytest.approx(1)
    assert eleven[0, 0] == pytest.approx(1)
