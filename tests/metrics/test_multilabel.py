import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from signet.errors import BadInput
from signet.metrics.classification import class_figures
from signet.metrics.multilabel import average_precision, label_confusion, mean_average_precision


@pytest.fixture
def sample():
    generator = np.random.default_rng(0)
    truth = generator.random((300, 6)) < [0.5, 0.2, 0.1, 0.02, 0.9, 0.3]
    scores = np.clip(0.35 * truth + generator.random((300, 6)) * 0.65, 0, 1).round(2)  # with ties
    return scores, truth


def test_average_precision_equals_scikit_learn_ties_included(sample):
    scores, truth = sample
    for column in range(6):
        expected = sklearn_metrics.average_precision_score(truth[:, column], scores[:, column])
        assert average_precision(scores[:, column], truth[:, column]) == pytest.approx([expected])
    expected = sklearn_metrics.average_precision_score(truth, scores, average="macro")
    assert mean_average_precision(scores, truth) == pytest.approx(expected)


def test_weighted_average_precision_equals_scikit_learn(sample):
    scores, truth = sample
    copies = np.random.default_rng(1).integers(0, 4, (3, 300)).astype(float)
    ours = average_precision(scores[:, 1], truth[:, 1], copies)
    theirs = [
        sklearn_metrics.average_precision_score(truth[:, 1], scores[:, 1], sample_weight=row)
        for row in copies
    ]
    assert ours == pytest.approx(theirs)


def test_a_class_that_no_image_has_is_left_out(sample):
    scores, truth = sample
    without = truth.copy()
    without[:, 0] = False
    assert np.isnan(average_precision(scores[:, 0], without[:, 0])).all()
    assert mean_average_precision(scores, without) == pytest.approx(
        mean_average_precision(scores[:, 1:], truth[:, 1:])
    )
    assert np.isnan(mean_average_precision(scores, np.zeros_like(truth)))


def test_f1_at_a_threshold_equals_scikit_learn(sample):
    scores, truth = sample
    given = scores >= 0.5
    ours = class_figures((given & truth).sum(axis=0), given.sum(axis=0), truth.sum(axis=0))
    np.testing.assert_allclose(ours.f1, sklearn_metrics.f1_score(truth, given, average=None))


def test_confusion_counts_what_was_given_without_right():
    truth = np.array([[1, 1, 0], [0, 0, 1]], bool)
    given = np.array([[1, 0, 1], [0, 1, 0]], bool)
    assert label_confusion(given, truth).tolist() == [[1, 0, 1], [0, 0, 1], [0, 1, 0]]


def test_what_does_not_fit_is_refused(sample):
    scores, truth = sample
    with pytest.raises(BadInput, match="one shape"):
        mean_average_precision(scores, truth[:, :3])
    with pytest.raises(BadInput, match="0 and 1"):
        mean_average_precision(scores, truth * 2)
    with pytest.raises(BadInput, match="finite"):
        mean_average_precision(np.full((2, 2), np.inf), np.ones((2, 2)))
