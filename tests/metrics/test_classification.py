import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as sklearn_metrics

from signet.arrays import Array
from signet.errors import BadInput
from signet.metrics.classification import (
    class_figures,
    confusion_matrix,
    mean_where_defined,
    ranks,
    top_k_accuracy,
)
from signet.predictions import Classes


@pytest.fixture
def answers() -> tuple[Array, Array]:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 12, 500)
    truth[truth == 7] = 6  # a class without images
    scores = generator.dirichlet(np.full(12, 0.3), 500)
    scores[np.arange(500), truth] += 0.3
    scores[:, 11] = 0  # a class that nobody is called
    return scores / scores.sum(axis=1, keepdims=True), truth


@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_top_k_equals_scikit_learn(answers, k):
    scores, truth = answers
    expected = (
        sklearn_metrics.top_k_accuracy_score(truth, scores, k=k, labels=np.arange(12)) if k < 12 else 1.0
    )
    assert top_k_accuracy(scores, truth, k) == pytest.approx(expected)


def test_figures_of_each_class_equal_scikit_learn(answers):
    scores, truth = answers
    called = scores.argmax(axis=1)
    confusion = confusion_matrix(truth, called, 12)
    assert (confusion == sklearn_metrics.confusion_matrix(truth, called, labels=np.arange(12))).all()
    ours = class_figures(np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1))
    theirs = sklearn_metrics.precision_recall_fscore_support(
        truth, called, labels=np.arange(12), zero_division=np.nan
    )
    for mine, other in zip(ours, theirs[:3], strict=True):
        np.testing.assert_allclose(mine, other)
    assert np.isnan(ours.recall[7])
    assert np.isnan(ours.precision[11])


def test_macro_f1_equals_scikit_learn(answers):
    scores, truth = answers
    called = scores.argmax(axis=1)
    confusion = confusion_matrix(truth, called, 20)  # eight more classes that do not occur
    figures = class_figures(np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1))
    expected = sklearn_metrics.f1_score(truth, called, average="macro")
    assert mean_where_defined(figures.f1) == pytest.approx(expected)


def test_ties_are_broken_as_by_the_answer_itself():
    scores = np.array([[0.25, 0.25, 0.25, 0.25]] * 4, np.float32)
    assert ranks(scores, np.arange(4)).tolist() == [0, 1, 2, 3]
    order = Classes(np.arange(4), scores[0], tuple("abcd")).top(4).indices
    assert order.tolist() == [0, 1, 2, 3]


scores_tables = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 6)), elements=st.floats(0, 1, width=16)
)


@given(scores_tables)
def test_a_rank_is_the_place_in_the_sorted_answer(scores):
    for column in range(scores.shape[1]):
        places = ranks(scores, np.full(len(scores), column))
        for row, place in zip(scores, places, strict=True):
            answer = Classes(np.arange(len(row)), row, ("",) * len(row))
            assert answer.top(len(row)).indices[place] == column


@given(scores_tables)
def test_more_guesses_never_hurt(scores):
    truth = np.zeros(len(scores), np.int64)
    found = [top_k_accuracy(scores, truth, k) for k in range(1, scores.shape[1] + 1)]
    assert found == sorted(found)
    assert found[-1] == 1


@pytest.mark.parametrize(
    ("scores", "truth", "words"),
    [
        (np.ones((2, 3)), np.array([0, 3]), "expected labels from 0 to 2, got 0 to 3"),
        (np.ones((2, 3)), np.array([0, -1]), "got -1 to 0"),
        (np.ones((2, 3)), np.array([0]), r"got \(2, 3\) and \(1,\)"),
        (np.ones((0, 3)), np.array([], int), r"\(0, 3\)"),
        (np.ones((2, 3)), np.array([0.0, 1.0]), "whole numbers"),
        (np.array([[np.nan, 1]]), np.array([0]), "finite"),
    ],
)
def test_what_does_not_fit_is_refused(scores, truth, words):
    with pytest.raises(BadInput, match=words):
        top_k_accuracy(scores, truth)


def test_a_confusion_of_labels_out_of_range_is_refused():
    with pytest.raises(BadInput, match="labels from 0 to 1"):
        confusion_matrix(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(BadInput, match="one length"):
        confusion_matrix(np.array([0, 2]), np.array([0]), 3)
