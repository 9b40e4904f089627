"""Detectors and segmenters side by side: every figure on the same draws of the same images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from signet.comparing import compare
from signet.evaluation import evaluate

from .beside import pair, set_beside


@pytest.fixture(scope="module")
def frames(told, tmp_path_factory):
    return told.pictures(tmp_path_factory.mktemp("frames"), 8)


def objects(told, running, frames, kind, shift):
    """Models with perfect boxes, with boxes that are off, and the dataset."""
    make = {"detect": told.boxes, "instances": told.instances}[kind]
    truths = [make([((5, 5, 25 + n, 25), n % 3, 1.0), ((30, 10, 50, 35), 1, 1.0)]) for n in range(8)]
    off = [
        make([((5 + shift, 5, 25 + n + shift, 25), n % 3, 0.8), ((30, 10, 50, 35), 1, 0.9)]) for n in range(8)
    ]
    data = told.dataset(frames, truths, kind)
    models = [
        named(told.Told(running, kind, {str(n): answers[n] for n in range(8)}), name)
        for name, answers in (("tests/perfect", truths), ("tests/off", off))
    ]
    return models, data


def named(model, name):
    model.pretrained = dataclasses.replace(model.pretrained, card=dataclasses.replace(model.card, name=name))
    model.close = lambda: None
    return model


def test_pascal_voc_s_figures_are_compared_where_evaluate_has_them(told, running, frames):
    models, data = objects(told, running, frames, "detect", shift=6)
    data = dataclasses.replace(data, format="voc")
    found = set_beside(models, data)
    for model, row in zip(models, found.models, strict=True):
        assert row.metrics == evaluate(model, data).metrics
    first, second = (row.metrics for row in found.models)
    for name in ("voc_ap", "voc07_ap"):
        gap = pair(found, "tests/off", name).figure
        assert gap.value == pytest.approx(second[name].value - first[name].value)
        assert gap.low <= gap.value <= gap.high


@pytest.mark.parametrize("kind", ["detect", "instances"])
def test_objects(told, running, frames, kind):
    models, data = objects(told, running, frames, kind, shift=4)
    found = set_beside(models, data)
    assert found.task == kind
    main = {"detect": "ap", "instances": "mask_ap"}[kind]
    assert found.main_metric() == main
    for model, row in zip(models, found.models, strict=True):
        assert row.metrics == evaluate(model, data).metrics
    gap = pair(found, "tests/off", main).figure
    assert gap.value == pytest.approx(found.models[1].metrics[main].value - 1)
    assert gap.low <= gap.value <= gap.high < 0
    same = set_beside([models[1], models[1]], data)
    assert {(one.figure.value, one.figure.low, one.figure.high) for one in same.pairs} == {(0.0, 0.0, 0.0)}


def test_a_detector_beside_an_instance_segmenter_is_measured_by_boxes(told, running, frames, monkeypatch):
    (masks, _), data = objects(told, running, frames, "instances", shift=4)
    # A dataset of values has no annotations, of which `as_task` makes boxes.
    flat = dataclasses.replace(data, task="detect", truth_of=lambda *row: data.truth_of(*row).boxes)
    monkeypatch.setattr(type(data), "as_task", lambda self, task: flat)
    (_, boxes), _ = objects(told, running, frames, "detect", shift=10)
    found = set_beside([masks, boxes], data)
    assert found.task == "detect"
    assert {one.metric for one in found.pairs} == set(found.models[0].metrics)
    assert not any("mask" in one.metric for one in found.pairs)
    assert found.disagreeing == 8
    one = found.disagreements[0]
    assert one.there is not None
    assert [reply.figure for reply in one.replies] == [1.0, pytest.approx(2 / 3)]


def pixels(told, running, frames):
    grid = np.arange(40 * 60).reshape(40, 60)
    truths = [told.segments((grid // (120 + 40 * n)) % 3) for n in range(8)]
    wrong = [told.segments(np.where(grid % 7 < n, 0, truth.indices)) for n, truth in enumerate(truths)]
    models = [
        named(told.Told(running, "segment", {str(n): answers[n] for n in range(8)}), name)
        for name, answers in (("tests/perfect", truths), ("tests/off", wrong))
    ]
    return models, told.dataset(frames, truths, "segment", form="masks")


def test_pixels(told, running, frames):
    models, data = pixels(told, running, frames)
    found = set_beside(models, data)
    for model, row in zip(models, found.models, strict=True):
        assert row.metrics == evaluate(model, data).metrics
    gap = pair(found, "tests/off", "miou").figure
    assert gap.value == pytest.approx(found.models[1].metrics["miou"].value - 1)
    assert gap.high < 0
    assert found.disagreeing == 7  # the first has no wrong pixel
    assert 1 <= found.alike["tests/off"] < len(data)
    assert found.disagreements[0].source.endswith("7.png")
    assert (found.disagreements[0].there.indices == data[7].truth.indices).all()


def test_fewer_than_five_images_have_a_difference_without_an_interval(told, running, frames):
    models, data = pixels(told, running, frames)
    found = set_beside(models, data.subset([5, 6, 7]))
    assert pair(found, "tests/off", "miou").figure.value < 0
    assert np.isnan(pair(found, "tests/off", "miou").figure.low)
    assert found.to_dict()["pairs"][0]["low"] is None


@pytest.mark.large
def test_a_real_detector_is_level_with_itself(shared):
    from signet.datasets import open_dataset

    model = shared / "weights" / "files" / "yolox_nano.onnx"
    found = compare([model, model], open_dataset(shared / "data" / "coco_tiny"))
    assert found.count == 80
    assert found.models[0].metrics["ap"].value == pytest.approx(0.295, abs=0.0005)  # as the card claims
    assert len(found.pairs) == 12
    assert {(one.figure.value, one.figure.low, one.figure.high) for one in found.pairs} == {(0.0, 0.0, 0.0)}
    assert found.disagreeing == 0
