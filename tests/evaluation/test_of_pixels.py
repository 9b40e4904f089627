"""Semantic segmenters: which labels and pixels count, and which images are shown as the worst."""

from __future__ import annotations

import json

import numpy as np
import pytest

from signet.errors import WrongTask
from signet.evaluation import evaluate
from signet.reporting import evaluation_page, render

from .told import NAMES, SIZE, Told, dataset, pictures, segments


def halves(left, right, **more):
    indices = np.full(SIZE, left)
    indices[:, 30:] = right
    return segments(indices, **more)


@pytest.fixture
def measured(running, tmp_path):
    """A function: the report on images with these answers and truths."""

    def make(answers, truths, labels=NAMES):
        paths = pictures(tmp_path, len(truths))
        model = Told(running, "segment", {str(number): one for number, one in enumerate(answers)})
        return evaluate(model, dataset(paths, truths, "segment", labels, form="masks"))

    return make


def test_figures_are_those_of_all_pixels_together(measured):
    report = measured([halves(0, 1), halves(0, 0)], [halves(0, 1), halves(0, 1)])
    assert report.task == "segment"
    assert report.count == 2
    assert report.metrics["pixel_accuracy"].value == pytest.approx(0.75)
    assert report.metrics["miou"].value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert report.metrics["dice"].value == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert report.metrics["boundary_f1"].value == pytest.approx(0.5)
    assert [row.figures["iou"].value for row in report.per_class[:2]] == pytest.approx([2 / 3, 1 / 2])
    assert np.isnan(report.per_class[2].figures["iou"].value)
    assert [row.count for row in report.per_class] == [2, 2, 0]
    assert report.confusion.tolist() == [[2400, 0, 0], [1200, 1200, 0], [0, 0, 0]]
    (worst,) = report.worst
    assert worst.source.endswith("1.png")
    assert worst.figure == pytest.approx((1 / 2 + 0) / 2)


def test_unlabelled_pixels_are_in_no_figure(measured):
    report = measured([halves(0, 1)], [halves(0, -1)])
    assert report.metrics["pixel_accuracy"].value == 1
    assert report.metrics["miou"].value == 1
    assert "boundary_f1" not in report.metrics
    assert report.worst == ()


def test_labels_that_the_model_lacks_are_left_out_and_others_of_its_own_are_wrong(measured):
    labels = ("Bee", "yak")
    report = measured([halves(1, 2)], [halves(0, 1, labels=labels)], labels)
    assert report.labels == ("bee",)
    assert report.metrics["pixel_accuracy"].value == 1
    assert any("yak" in note and "pixels are left out" in note for note in report.notes)
    other = measured([halves(1, 2)], [halves(0, 0, labels=labels)], labels)
    assert other.labels == ("bee", "none of these")
    assert other.confusion.tolist() == [[1200, 1200], [0, 0]]
    assert other.metrics["miou"].value == pytest.approx(0.5)
    with pytest.raises(WrongTask, match="knows none of the labels"):
        measured([halves(1, 2)], [halves(0, 0, labels=("yak",))], ("yak",))


def test_a_truth_of_another_size_is_left_out(measured):
    turned = segments(np.zeros(SIZE[::-1]))
    report = measured([halves(0, 1), halves(0, 1)], [turned, halves(0, 1)])
    assert report.count == 1
    assert "its truth is for 40x60 pixels" in report.unreadable[0].error


def test_the_worst_images_come_first_and_are_not_all_kept(measured):
    answers, truths = [], []
    for number in range(20):
        indices = np.zeros(SIZE, np.int32)
        indices[:, : 3 * number] = 1
        answers.append(segments(indices))
        truths.append(segments(np.zeros(SIZE)))
    report = measured(answers, truths)
    assert len(report.worst) == 12
    figures = [row.figure for row in report.worst]
    assert figures == sorted(figures)
    assert report.worst[0].source.endswith("19.png")


def test_the_report_is_json_and_a_page(measured):
    report = measured([halves(0, 0, background=0)], [halves(0, 1, background=0)])
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["task"] == "segment"
    assert plain["per_class"][2]["iou"]["value"] is None
    assert plain["worst"][0]["figure"] == pytest.approx(0.25)
    assert render(evaluation_page(report)).count("data:image/jpeg;base64,") == 3
