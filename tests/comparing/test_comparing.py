"""Models side by side: the same images, the same draws, and differences that add up."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.comparing import compare
from signet.datasets import from_csv, from_folder
from signet.errors import BadDataset, BadRequest, UnknownName, WrongTask
from signet.evaluation import evaluate
from signet.models import Model
from signet.statistics import Resampling, mcnemar, paired_difference

from .beside import pair, set_beside

NAMES = ("ant", "bee", "cat", "dog", "elk")


@pytest.fixture(scope="module")
def photos(tmp_path_factory, floor3):
    """Ten pictures of noise for each of five names."""
    folder = tmp_path_factory.mktemp("photos")
    for place, name in enumerate(NAMES):
        (folder / name).mkdir()
        for number in range(10):
            picture = floor3.picture(100 * place + number).pixels
            PillowImage.fromarray(picture).save(folder / name / f"{number}.png")
    return folder


class Answering(Model):
    """A classifier that answers by the folder of the file: right but for the images it is told to miss."""

    def __init__(self, model, name, missed=(), labels=NAMES, sure=0.9):
        output = dataclasses.replace(model.card.output, classes=len(labels))
        card = dataclasses.replace(model.card, name=name, labels=labels, output=output)
        super().__init__(dataclasses.replace(model.pretrained, card=card), model.running)
        self.missed, self.sure = frozenset(missed), sure

    def run(self, batch):
        labels, rows = self.card.labels, []
        for source in batch.sources:
            right = labels.index(Path(source).parent.name.removeprefix("a "))
            said = (right + 1) % len(labels) if self.key(source) in self.missed else right
            row = np.full(len(labels), np.log((1 - self.sure) / (len(labels) - 1)))
            row[said] = np.log(self.sure)
            rows.append(row)
        return {"logits": np.array(rows, np.float32), "features": np.zeros((len(rows), 2), np.float32)}

    @staticmethod
    def key(source):
        return f"{Path(source).parent.name}/{Path(source).stem}"

    def close(self):
        pass


def some(names, numbers):
    return {f"{name}/{number}" for name in names for number in numbers}


@pytest.fixture
def three(running):
    good = Answering(running, "tests/good", some(NAMES[:2], range(2)))
    bad = Answering(running, "tests/bad", some(NAMES[:2], range(1, 9)), sure=0.6)
    return good, bad, Answering(running, "tests/same", some(NAMES[:2], range(2)))


def test_each_figure_is_that_of_evaluate_and_each_difference_of_the_images_themselves(three, photos):
    data = from_folder(photos)
    found = set_beside(three, data, seed=3)
    assert found.count == 50
    for model, row in zip(three, found.models, strict=True):
        assert row.metrics == evaluate(model, data, seed=3).metrics
        assert row.milliseconds > 0
        assert row.size_bytes == model.pretrained.networks[0].path.stat().st_size
    right = [np.array([model.key(path) not in model.missed for path in data.paths]) for model in three]
    gap = pair(found, "tests/bad", "top1")
    assert gap.figure == paired_difference(right[1], right[0], Resampling(seed=3))
    assert gap.figure.value == pytest.approx(-12 / 50)
    assert gap.p == mcnemar(right[1], right[0])
    assert gap.p_holm == pytest.approx(2 * gap.p)
    assert gap.sure
    assert {one.metric for one in found.pairs} == {"top1", "f1_macro", "ece"}
    for one in found.pairs:
        if one.first == "tests/bad":
            assert one.figure.low <= one.figure.value <= one.figure.high


def test_a_model_is_level_with_itself(three, photos):
    found = set_beside([three[0], three[2]], from_folder(photos))
    assert [one.figure.value for one in found.pairs] == [0.0] * 3
    assert pair(found, "tests/same", "f1_macro").figure == pair(found, "tests/same", "ece").figure
    assert (found.pairs[1].figure.low, found.pairs[1].figure.high) == (0.0, 0.0)
    assert pair(found, "tests/same", "top1").p == 1.0
    assert not pair(found, "tests/same", "top1").sure
    assert found.disagreeing == 0
    assert found.alike == {"tests/same": 50}


def test_the_baseline_may_be_named_and_two_of_one_name_are_told_apart(three, photos):
    data = from_folder(photos)
    found = set_beside(three, data, baseline="tests/bad")
    assert {one.first for one in found.pairs} == {"tests/good", "tests/same"}
    assert pair(found, "tests/good", "top1").figure.value == pytest.approx(12 / 50)
    twice = set_beside([three[0], three[0]], data)
    assert [row.name for row in twice.models] == ["tests/good", "tests/good (2)"]
    with pytest.raises(UnknownName, match="Did you mean 'tests/good'"):
        set_beside(three, data, baseline="tests/god")


def test_models_that_do_not_run_alike_are_said_to(three, photos):
    found = set_beside(three[:2], from_folder(photos))
    assert not any("run alike" in note for note in found.notes)
    other = three[1].running.engine

    class Rounded:
        precision = "bf16"

        def __getattr__(self, name):
            return getattr(other, name)

    three[1].running = dataclasses.replace(three[1].running, engine=Rounded())
    (note,) = (note for note in set_beside(three[:2], from_folder(photos)).notes if "run alike" in note)
    assert "onnx fp32: tests/good; onnx bf16: tests/bad" in note


def test_parameters_are_those_of_the_card_or_counted(three, photos, tmp_path, floor3):
    from safetensors.numpy import save_file

    save_file({"a.weight": np.zeros((3, 4), np.float32)}, tmp_path / "model.safetensors")
    source = dataclasses.replace(floor3.module_source(), weights=tmp_path / "model.safetensors")
    found = three[0].pretrained
    counted = Answering(three[0], "tests/counted")
    counted.pretrained = dataclasses.replace(counted.pretrained, networks=(*found.networks, source))
    stated = Answering(three[0], "tests/stated")
    card = dataclasses.replace(stated.card, parameters=77)
    stated.pretrained = dataclasses.replace(stated.pretrained, card=card)
    rows = set_beside([three[0], counted, stated], from_folder(photos)).models
    assert [row.params for row in rows] == [None, 12, 77]
    assert rows[1].size_bytes == (tmp_path / "model.safetensors").stat().st_size < rows[0].size_bytes


def test_disagreements_come_with_what_each_model_said(three, photos):
    found = set_beside(three[:2], from_folder(photos))
    assert found.disagreeing == 16  # each wrong where the other is right: number 0, and numbers 2 to 8
    assert len(found.disagreements) == 16
    assert found.to_dict()["alike"] == {"tests/bad": 34}
    for one in found.disagreements:
        assert sorted(reply.figure for reply in one.replies) == [0.0, 1.0]
        right = next(reply for reply in one.replies if reply.figure == 1)
        assert right.label == one.truth == Path(one.source).parent.name
    plain = json.loads(json.dumps(found.to_dict()))
    assert {"models", "pairs", "count", "disagreements"} <= plain.keys()
    assert plain["pairs"][0].keys() >= {"first", "second", "metric", "difference", "low", "high", "p"}
    assert plain["models"][0].keys() >= {"name", "metrics", "milliseconds", "params", "size_bytes", "claims"}
    assert "tests/bad" in found._repr_html_()


def test_only_labels_that_every_model_knows_are_measured(running, photos):
    whole = Answering(running, "tests/whole", some(["elk"], range(10)))
    fewer = Answering(running, "tests/fewer", labels=("cat", "bee", "ant", "zebra"))
    found = set_beside([whole, fewer], from_folder(photos))
    assert found.count == 30
    assert [row.metrics["top1"].value for row in found.models] == [1.0, 1.0]  # the elks are in no figure
    assert "2 labels that not every model knows are left out for all: dog, elk." in found.notes
    other = Answering(running, "tests/other", labels=("dog", "elk"))
    with pytest.raises(WrongTask, match=r"no label of .* is known to all"):
        set_beside([fewer, other], from_folder(photos))


def test_an_image_that_one_model_cannot_answer_is_in_no_figure(three, photos, tmp_path):
    class Failing(Answering):
        def prepare(self, images):
            from signet.errors import BadInput

            if any(image.source.endswith("cat/3.png") for image in images):
                raise BadInput("too odd for this one")
            return super().prepare(images)

    failing = Failing(three[0], "tests/failing")
    found = set_beside([three[0], failing], from_folder(photos))
    assert found.count == 49
    assert "1 images are in no figure" in found.notes[0]
    nothing = Failing(three[0], "tests/nothing")
    only = tmp_path / "data.csv"
    only.write_text(f"file,label\n{photos}/cat/3.png,cat\n{photos}/ant/0.png,ant\n")
    nothing.missed = frozenset()
    data = from_csv(only)
    assert set_beside([three[0], nothing], data).count == 1
    with pytest.raises(BadDataset, match="could be read"):
        set_beside([three[0], nothing], data.subset([0]))


def test_what_cannot_be_compared_is_refused(three, running, photos, told):
    data = from_folder(photos)
    with pytest.raises(BadRequest, match="at least two models"):
        compare(["starter"], data)
    with pytest.raises(BadRequest, match="at least two models"):
        compare("starter", data)
    boxes = told.Told(running, "detect", {})
    with pytest.raises(WrongTask, match="gives boxes"):
        set_beside([three[0], boxes], data)
    sigmoid = Answering(running, "tests/sigmoid")
    card = sigmoid.card
    output = dataclasses.replace(card.output, head="sigmoid")
    sigmoid.pretrained = dataclasses.replace(
        sigmoid.pretrained, card=dataclasses.replace(card, output=output)
    )
    with pytest.raises(WrongTask, match="no figure in common"):
        set_beside([three[0], sigmoid], data)


def test_several_labels_an_image(three, photos, tmp_path):
    rows = [f"{photos}/{name}/{number}.png,{name}|elk" for name in NAMES[:4] for number in range(5)]
    (tmp_path / "data.csv").write_text("\n".join(["file,label", *rows]))
    found = set_beside(three[:2], from_csv(tmp_path / "data.csv"))
    assert {one.metric for one in found.pairs} == {"ap", "f1_macro", "f1_micro", "ece"}
    for row, model in zip(found.models, three, strict=False):
        assert row.metrics == evaluate(model, from_csv(tmp_path / "data.csv")).metrics
    assert all(one.p is None for one in found.pairs)
    for name in ("ap", "f1_macro", "f1_micro"):
        first, second = (row.metrics[name].value for row in found.models)
        assert pair(found, "tests/bad", name).figure.value == pytest.approx(second - first)
    assert pair(found, "tests/bad", "f1_macro").figure.value < 0


@pytest.mark.large
def test_real_models_beside_each_other(shared):
    """The tiny TFLite classifiers on real pictures, as they were measured apart from each other."""
    names = ("mobilenet_v1_0.5_160_quant.tflite", "mobilenet_v1_0.25_128_quant.tflite")
    from signet.datasets import open_dataset

    data = open_dataset(shared / "data" / "imagenet_sample_250").subset(range(0, 250, 10))
    found = compare([shared / "weights" / "files" / name for name in names], data, baseline=None)
    assert found.count == 25
    gap = pair(found, found.models[1].name, "top1").figure
    values = [row.metrics["top1"].value for row in found.models]
    assert gap.value == pytest.approx(values[1] - values[0])
    assert [claim.value for claim in found.models[0].claims if claim.metric == "top1"] == [0.687]
