"""Splits of different kind are told apart, splits dealt by chance are not."""

import numpy as np

from signet.auditing.drift import find_drift, matched
from signet.auditing.observing import Look

SPLITS = ["train"] * 200 + ["test"] * 100
CLASSES = [(place % 2,) for place in range(300)]


def features(seed=0, shift=0.0):
    rows = np.random.default_rng(seed).normal(size=(300, 8)).astype(np.float32)
    rows[200:] += shift
    return rows


def test_one_kind_of_images_is_no_drift(on_paper):
    seen = on_paper(CLASSES, splits=SPLITS)
    for seed in range(5):
        assert list(find_drift(seen, features(seed), seed=seed)) == []


def test_another_kind_of_images_is_told_with_its_interval(on_paper):
    (found,) = find_drift(on_paper(CLASSES, splits=SPLITS), features(shift=0.8))
    assert found.kind == "drift"
    assert found.details["splits"] == ["train", "test"]
    assert 0.9 < found.details["area"]["value"] <= 1
    assert found.details["area"]["low"] >= 0.6


def test_brighter_pictures_are_drift_without_a_model(on_paper):
    generator = np.random.default_rng(0)
    looks = [
        Look((32, 32), 1, False, False, float(value), 50.0)
        for value in np.concatenate([generator.normal(100, 10, 200), generator.normal(120, 10, 100)])
    ]
    (found,) = find_drift(on_paper(CLASSES, splits=SPLITS, looks=looks), None)
    assert found.details["area"] is None
    assert "mean brightness differs by +1.8 standard deviations" in found.message
    assert abs(found.details["shifts"]["contrast"]) < 0.5


def test_other_shares_of_classes_are_no_drift(on_paper):
    classes = [(0,)] * 150 + [(1,)] * 50 + [(0,)] * 25 + [(1,)] * 75
    rows = features()
    rows[:, 0] += 6 * np.array([one[0] for one in classes])
    seen = on_paper(classes, splits=SPLITS)
    assert list(find_drift(seen, rows)) == []
    one, two = matched(seen, np.arange(200), np.arange(200, 300), 0)
    assert len(one) == len(two) == 75
    assert [classes[place] for place in one] == [classes[place] for place in two]


def test_a_split_of_one_group_is_compared_all_the_same(on_paper):
    seen = on_paper(CLASSES, splits=SPLITS, groups=[None] * 200 + ["video"] * 100)
    assert list(find_drift(seen, features())) == []


def test_few_images_and_a_single_split_say_nothing(on_paper):
    few = on_paper(CLASSES[:30], splits=["train"] * 20 + ["test"] * 10)
    assert list(find_drift(few, features()[:30])) == []
    assert list(find_drift(on_paper(CLASSES, splits=["train"] * 300), features(shift=3))) == []
