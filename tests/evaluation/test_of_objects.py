"""Detectors and instance segmenters: which labels and images count, what is listed as wrong and refused."""

from __future__ import annotations

import dataclasses
import json

import pytest

from signet.errors import BadDataset, WrongTask
from signet.evaluation import evaluate
from signet.reporting import evaluation_page, render

from .told import NAMES, SIZE, Told, boxes, dataset, instances, pictures

LEFT, RIGHT = (0, 0, 20, 20), (30, 0, 55, 35)
TRUTHS = (
    [(LEFT, 0, 1), (RIGHT, 1, 1)],
    [(LEFT, 2, 1)],
    [],
)
ANSWERS = (
    [(LEFT, 0, 0.9), (RIGHT, 2, 0.8)],  # the second is taken for another
    [(RIGHT, 0, 0.7)],  # one is missed, and nothing is there
    [],
)


@pytest.fixture
def asked(running, tmp_path):
    """A function: a model and a dataset of three images."""

    def make(task="detect", truth="detect", answers=ANSWERS, truths=TRUTHS, **more):
        paths = pictures(tmp_path, len(truths))
        made = {"detect": boxes, "instances": instances}
        model = Told(running, task, {str(n): made[task](rows) for n, rows in enumerate(answers)})
        return model, dataset(paths, [made[truth](rows) for rows in truths], truth, **more)

    return make


def test_every_object_is_found_confused_missed_or_not_there(asked):
    report = evaluate(*asked())
    assert report.task == "detect"
    assert report.count == 3
    assert report.labels == (*NAMES, "background")
    assert report.score == 0.9
    assert report.metrics["ap50"].value == pytest.approx(1 / 3)
    assert report.confusion.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    missed = [(error.kind, error.label, error.xyxy) for error in report.errors]
    assert missed == [("missed", "bee", RIGHT), ("missed", "cat", LEFT)], "the largest first"
    assert report.provenance["objects"] == 3
    assert any("score of 0.9 or more" in note for note in report.notes)


def test_what_is_sure_and_wrong_is_listed_with_what_it_stands_on(asked):
    answers = ([(LEFT, 0, 0.9), (RIGHT, 2, 0.95)], [(RIGHT, 0, 0.97), (LEFT, 2, 0.9)], [])
    report = evaluate(*asked(answers=answers))
    assert report.score == 0.9
    found = {error.kind: error for error in report.errors}
    assert set(found) == {"confused", "false alarm"}
    confused, alarm = found["confused"], found["false alarm"]
    assert (confused.label, confused.answer, confused.score, confused.xyxy) == ("bee", "cat", 0.95, RIGHT)
    assert (alarm.label, alarm.answer, alarm.score) == ("ant", "ant", 0.97)
    assert report.confusion.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0]]
    assert [row.source.rsplit("/", 1)[-1] for row in report.worst] == ["0.png", "1.png"]
    assert [row.figure for row in report.worst] == pytest.approx([0.5, 2 / 3])


def test_masks_are_measured_where_both_sides_have_them(asked):
    report = evaluate(*asked("instances", "instances"))
    assert report.task == "instances"
    assert report.metrics["mask_ap50"].value == report.metrics["ap50"].value
    assert {"ap", "mask_ap", "f1"} <= report.per_class[0].figures.keys()


@pytest.mark.parametrize(("task", "truth"), [("detect", "instances"), ("instances", "detect")])
def test_where_one_side_has_no_masks_boxes_are_measured(asked, task, truth, monkeypatch):
    model, data = asked(task, truth)
    if truth == "instances":
        # A dataset of values has no annotations, of which `as_task` makes boxes.
        flat = dataclasses.replace(data, task="detect", truth_of=lambda *row: data.truth_of(*row).boxes)
        monkeypatch.setattr(type(data), "as_task", lambda self, task: flat)
    report = evaluate(model, data)
    assert report.task == "detect"
    assert report.metrics["ap50"].value == pytest.approx(1 / 3)
    assert "mask_ap" not in report.metrics


def test_labels_are_matched_by_name_and_others_are_left_out(asked, running, tmp_path):
    paths = pictures(tmp_path, 1)
    truth = boxes([(LEFT, 1, 1), (RIGHT, 0, 1)], labels=("yak", "Bee"))
    model = Told(running, "detect", {"0": boxes([(LEFT, 1, 0.9), (RIGHT, 2, 0.99)])})
    report = evaluate(model, dataset(paths, [truth], "detect", ("yak", "Bee")))
    assert report.labels == ("bee", "background")
    assert report.metrics["ap"].value == pytest.approx(1)
    assert report.confusion.tolist() == [[1, 0], [0, 0]]
    assert any("yak" in note and "objects are left out" in note for note in report.notes)
    strange = dataset(paths, [truth], "detect", ("yak", "zebu"))
    told = r"none of the labels.*yak, zebu.*its own are ant, bee, cat.*Fine-tune it on these labels first\.$"
    with pytest.raises(WrongTask, match=told):
        evaluate(model, strange)


def test_pascal_voc_figures_belong_to_its_format(asked):
    assert "voc_ap" not in evaluate(*asked()).metrics
    report = evaluate(*asked(form="voc"))
    assert report.metrics["voc_ap"].value == pytest.approx(1 / 3)
    assert report.metrics["voc07_ap"].value == pytest.approx(1 / 3)


def test_images_without_truth_or_with_one_of_another_size_are_left_out_and_said(asked):
    model, data = asked()
    turned = boxes([(LEFT, 0, 1)], size=SIZE[::-1])
    truths = {"0": data[0].truth, "1": turned, "2": None}
    odd = dataclasses.replace(data, truth_of=lambda entry, *_: truths[entry.path.stem])
    report = evaluate(model, odd)
    assert report.count == 1
    (row,) = report.unreadable
    assert "its truth is for 40x60 pixels, and the upright image has 60x40" in row.error
    assert any("1 images whose truth nobody said" in note for note in report.notes)


def test_nothing_to_measure_is_refused(asked):
    model, data = asked()
    untold = dataclasses.replace(data, truth_of=lambda *_: None)
    with pytest.raises(BadDataset, match="has no labelled image"):
        evaluate(model, untold)
    data.entries[0].path.write_bytes(b"nothing")
    with pytest.raises(BadDataset, match="none of the 1 images could be read"):
        evaluate(model, data.subset([0]))


def test_a_model_that_keeps_unsure_boxes_to_itself_is_told_of(asked):
    model, data = asked()
    assert not any("nms.score_floor" in note for note in evaluate(model, data).notes)
    output = dataclasses.replace(model.card.output, extra={"nms": {"iou": 0.5, "score_floor": 0.3}})
    card = dataclasses.replace(model.card, output=output)
    model.pretrained = dataclasses.replace(model.pretrained, card=card)
    assert any("no box with a score below 0.3" in note for note in evaluate(model, data).notes)


def test_a_split_is_chosen_as_for_classes(asked):
    model, data = asked(splits=["train", "val", "val"])
    report = evaluate(model, data)
    assert report.count == 2
    assert "Measured on the split 'val'; the dataset also has train." in report.notes


@pytest.mark.parametrize(
    ("task", "truth", "words"),
    [
        (
            "detect",
            "classify",
            "gives boxes, and .* states one answer for an image.*boxes or objects with masks",
        ),
        ("classify", "detect", "gives one answer for an image, and .* states boxes"),
        ("segment", "instances", "gives a label for each pixel, and .* states objects with masks"),
        ("instances", "segment", "gives objects with masks, and .* states a label for each pixel"),
    ],
)
def test_model_and_dataset_of_different_kinds_are_refused(asked, running, task, truth, words):
    _, data = asked()
    model = running if task == "classify" else Told(running, task, {})
    with pytest.raises(WrongTask, match=words):
        evaluate(model, dataclasses.replace(data, task=truth))


def test_the_report_is_json_and_a_page(asked):
    report = evaluate(*asked("instances", "instances"))
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["metrics"]["ap50"]["value"] == pytest.approx(1 / 3, abs=1e-12)
    assert plain["calibration"] is None
    assert plain["confusion"]["labels"][-1] == "background"
    assert len(plain["curves"][""]) == 101
    assert plain["errors"][0]["kind"] == "missed"
    assert plain["per_class"][0]["ap"]["low"] is None, "one image has the label"
    text = render(evaluation_page(report))
    assert text.count("data:image/jpeg;base64,") == len(report.worst[:8]) + len(report.errors)


def test_the_same_seed_gives_the_same_intervals(asked):
    first, second = (evaluate(*asked(), seed=3).metrics for _ in range(2))
    assert first == second


def test_where_nothing_is_to_be_found_no_figure_is_defined_and_that_is_said(asked, running, tmp_path):
    words = "No image shows an object that counts"
    paths = pictures(tmp_path, 1)
    model = Told(running, "detect", {"0": boxes([(LEFT, 1, 0.9)])})
    report = evaluate(model, dataset(paths, [boxes([])], "detect", NAMES))
    assert not report.metrics
    assert any(words in note for note in report.notes)
    assert not any(words in note for note in evaluate(*asked()).notes)
