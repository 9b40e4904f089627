"""Which candidate is better, and what its report says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signet.finetuning.partition import Part
from signet.finetuning.scoring import Judged, Measured, gain_of, judged, metrics_of, report_of
from signet.statistics import Resampling
from signet.summaries import summarise

LABELS = ("a", "b", "c")


@pytest.fixture
def measured():
    random = np.random.default_rng(0)
    targets = np.arange(60) % 3
    logits = random.normal(size=(60, 3)).astype(np.float32) + 2 * np.eye(3, dtype=np.float32)[targets]
    return Measured(logits, 1.7), Part(tuple(Path(f"{place}.png") for place in range(60)), targets)


def test_more_right_is_better_and_of_equals_the_surer():
    assert Judged(0.8, 0.9).beats(Judged(0.7, 0.1))
    assert Judged(0.8, 0.5).beats(Judged(0.8, 0.6))
    assert not Judged(0.8, 0.5).beats(Judged(0.8, 0.5))


def test_what_decides_is_accuracy_and_log_loss():
    from sklearn.metrics import log_loss

    logits = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    found = judged(logits, np.array([0, 1, 1]))
    powers = np.exp(logits)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.loss == pytest.approx(log_loss([0, 1, 1], powers / powers.sum(axis=1, keepdims=True)))


def test_the_report_is_that_of_the_calibrated_scores(measured):
    candidate, part = measured
    about = {"seconds": 1.0, "unreadable": (), "provenance": {"model": "x"}, "notes": ("n",)}
    report = report_of(candidate, part, LABELS, seed=3, about=about)
    expected = summarise(candidate.scores, part.targets, LABELS, resampling=Resampling(seed=3))
    assert report.metrics == expected.metrics == metrics_of(candidate, part.targets, LABELS, 3)
    assert report.count == 60
    assert report.notes == ("n",)
    wrong = candidate.right != part.targets
    assert {mistake.source for mistake in report.mistakes} == {
        str(part.paths[place]) for place in np.flatnonzero(wrong)
    }
    scores = [mistake.score for mistake in report.mistakes]
    assert scores == sorted(scores, reverse=True)


def test_a_mistake_holds_what_the_page_shows(measured):
    candidate, part = measured
    about = {"seconds": 1.0, "unreadable": (), "provenance": {}, "notes": ()}
    mistake = report_of(candidate, part, LABELS, seed=0, about=about).mistakes[0]
    place = part.paths.index(Path(mistake.source))
    assert mistake.truth == LABELS[part.targets[place]]
    assert mistake.answer == LABELS[candidate.right[place]]
    assert mistake.truth_score == pytest.approx(float(candidate.scores[place, part.targets[place]]))
    assert mistake.top[0] == (mistake.answer, mistake.score)


def test_the_gain_is_paired(measured):
    candidate, part = measured
    same = gain_of(candidate, candidate, part.targets, 0)
    assert same.value == 0
    perfect = Measured(np.eye(3, dtype=np.float32)[part.targets], 1.0)
    gain = gain_of(perfect, candidate, part.targets, 0)
    assert gain.value == pytest.approx(float((candidate.right != part.targets).mean()))
    assert gain.low <= gain.value <= gain.high
