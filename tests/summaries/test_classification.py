import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from signet.errors import BadInput
from signet.statistics import Resampling
from signet.summaries import summarise, summarise_multilabel

LABELS = tuple(f"class {number}" for number in range(8))


@pytest.fixture
def sample():
    generator = np.random.default_rng(0)
    scores = generator.dirichlet(np.full(8, 0.2), 800)
    return scores, np.array([generator.choice(8, p=row) for row in scores])


def test_every_figure_is_the_plain_one_and_lies_in_its_interval(sample):
    scores, truth = sample
    summary = summarise(scores, truth, LABELS)
    called = scores.argmax(axis=1)
    assert list(summary.metrics) == ["top1", "top5", "f1_macro", "ece"]
    values = {name: figure.value for name, figure in summary.metrics.items()}
    assert values["top1"] == pytest.approx(sklearn_metrics.accuracy_score(truth, called))
    assert values["top5"] == pytest.approx(sklearn_metrics.top_k_accuracy_score(truth, scores, k=5))
    assert values["f1_macro"] == pytest.approx(sklearn_metrics.f1_score(truth, called, average="macro"))
    recalls = sklearn_metrics.recall_score(truth, called, average=None)
    assert [row.recall.value for row in summary.per_class] == pytest.approx(recalls)
    assert sum(row.count for row in summary.per_class) == summary.confusion.sum() == 800
    for figure in (*summary.metrics.values(), *(row.f1 for row in summary.per_class)):
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
        assert figure.low < figure.high


def test_the_interval_of_an_accuracy_is_that_of_a_binomial(sample):
    top1 = summarise(*sample, LABELS).metrics["top1"]
    half = 1.96 * (top1.value * (1 - top1.value) / 800) ** 0.5
    assert (top1.low, top1.high) == pytest.approx((top1.value - half, top1.value + half), abs=0.003)


def test_same_seed_same_summary(sample):
    one, again, other = (summarise(*sample, LABELS, resampling=Resampling(seed=seed)) for seed in (1, 1, 2))
    assert one.metrics == again.metrics
    assert one.per_class == again.per_class
    assert one.metrics != other.metrics


def test_strata_narrow_the_interval_of_an_accuracy():
    truth = np.repeat([0, 1], 200)
    scores = np.where(np.arange(400)[:, None] % 200 < 190, [[0.9, 0.1]], [[0.2, 0.8]])  # always says 0
    plain = summarise(scores, truth, ("a", "b")).metrics["top1"]
    kept = summarise(scores, truth, ("a", "b"), strata=truth).metrics["top1"]
    assert kept.high - kept.low < 0.6 * (plain.high - plain.low)


def test_perfect_answers_are_not_certain():
    truth = np.arange(20) % 2
    summary = summarise(np.eye(2)[truth], truth, ("a", "b"))
    assert list(summary.metrics) == ["top1", "f1_macro", "ece"]  # top-5 of two says nothing
    assert summary.metrics["top1"].value == 1
    assert summary.metrics["top1"].low == pytest.approx(0.8389, abs=1e-4)
    assert summary.per_class[0].f1.low < 0.9


def test_classes_without_images_are_told_as_unknown():
    summary = summarise(np.array([[0.9, 0.1, 0.0]] * 3), np.array([0, 0, 1]), ("a", "b", "c"))
    empty = summary.per_class[2]
    assert (empty.count, empty.recall.value, empty.recall.low, empty.recall.high) == (0, 0, 0, 1)
    assert summary.per_class[1].precision.high == 1
    json.dumps([row.to_dict() for row in summary.per_class], allow_nan=False)
    json.dumps([figure.to_dict() for figure in summary.metrics.values()], allow_nan=False)


def test_single_precision_scores_that_sum_to_a_little_more_than_one():
    scores = np.full((3, 1), np.nextafter(np.float32(1), np.float32(2)))
    assert summarise(scores, np.zeros(3, int), ("only",)).metrics["top1"].value == 1


def test_several_labels_equal_scikit_learn():
    generator = np.random.default_rng(3)
    truth = generator.random((400, 5)) < [0.5, 0.3, 0.2, 0.1, 0.4]
    scores = np.clip(0.4 * truth + 0.6 * generator.random((400, 5)), 0, 1)
    summary = summarise_multilabel(scores, truth, LABELS[:5], resampling=Resampling(resamples=200))
    expected = sklearn_metrics.average_precision_score(truth, scores, average="macro")
    assert summary.metrics["ap"].value == pytest.approx(expected)
    f1 = sklearn_metrics.f1_score(truth, scores >= 0.5, average="macro")
    assert summary.metrics["f1_macro"].value == pytest.approx(f1)
    assert summary.calibration.counts.sum() == 2000
    centres = summary.calibration
    filled = centres.counts > 0
    gap = np.abs(centres.accuracy - centres.confidence)[filled] @ centres.counts[filled] / 2000
    assert summary.metrics["ece"].value == pytest.approx(gap)
    for figure in summary.metrics.values():
        assert 0 <= figure.low <= figure.value <= figure.high <= 1


def test_what_does_not_fit_is_refused(sample):
    with pytest.raises(BadInput, match="expected 8 names"):
        summarise(*sample, LABELS[:3])
    with pytest.raises(BadInput, match="at least one image with a label"):
        summarise_multilabel(np.ones((2, 2)), np.zeros((2, 2)), ("a", "b"))
    with pytest.raises(BadInput, match="from 0 to 1"):
        summarise(np.array([[5.0, 1.0]]), np.array([0]), ("a", "b"))
