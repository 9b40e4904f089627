"""Several labels an image, from end to end: learned, judged, sealed, verified, evaluated, predicted."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from signet.datasets import open_dataset
from signet.errors import BadDataset
from signet.evaluation import evaluate
from signet.finetuning import RunSettings, finetune, label_scores, label_sets, scoring
from signet.finetuning.partition import Part, partition
from signet.models import load
from signet.predictions import Classes
from signet.probing import ProbeSettings
from signet.progress import silent
from signet.recipes import Recipe
from signet.reporting import finetuning_page, render
from signet.statistics import Resampling
from signet.summaries import summarise_multilabel
from signet.verification import verify

pytest.importorskip("onnx")
pytest.importorskip("imagehash")

PROBE = Recipe(strategy="probe", golden="made", threads=1)


@pytest.fixture(scope="module")
def data(tagged):
    return open_dataset(tagged)


@pytest.fixture(scope="module")
def probed(data, tmp_path_factory):
    return finetune("starter", data, out=tmp_path_factory.mktemp("probed") / "tags.signet", recipe=PROBE)


def test_a_probe_of_several_labels_is_sealed_with_its_figures(probed, data):
    assert list(probed.metrics) == ["ap", "f1_macro", "f1_micro", "ece"]
    assert probed.metrics["ap"].low <= probed.metrics["ap"].value <= probed.metrics["ap"].high
    assert probed.metrics["ap"].value > 0.9
    assert probed.report.count == 30
    assert [row.label for row in probed.report.per_class] == list(data.labels)
    assert all(row.ap is not None and row.ap.low <= row.ap.value for row in probed.report.per_class)
    output = probed.seal.manifest.card.output
    assert (output.head, output.classes) == ("sigmoid", 3)
    assert output.temperature == probed.seal.manifest.calibration["temperature"] != 1
    assert any(line.startswith("average precision: ") for line in probed.words())
    plain = json.loads(json.dumps(probed.to_dict()))
    assert set(plain["metrics"]["f1_micro"]) == {"value", "low", "high"}


def test_the_seal_is_verified_evaluated_and_predicts(probed, data):
    assert verify(probed.seal.path).ok
    with load(probed.seal.path, Classes, precision="fp32") as model:
        report = evaluate(model, data)
        answers = model(list(data.select("test").paths[:10]))
    for name in ("ap", "f1_macro", "f1_micro"):
        assert report.metrics[name].value == pytest.approx(probed.metrics[name].value, abs=1e-6)
    assert not answers[0].exclusive
    assert any(answer.scores.sum() > 1.3 for answer in answers)


def test_the_page_is_of_average_precision(probed):
    page = render(finetuning_page(probed.story()))
    assert "verage precision" in page
    assert "F1, all answers" in page
    assert "f1_micro" not in page
    assert "average precision" in page


def test_without_test_images_nested_folds_measure(data, tmp_path):
    rows = data.select("train").with_splits([None] * 60)
    done = finetune("starter", rows, out=tmp_path / "x.signet", recipe=PROBE)
    assert "nested" in done.plan.measured_on
    assert done.report.count == 60
    assert done.metrics["ap"].value > 0.9


def test_images_are_dealt_with_their_labels(data):
    parts = partition(data, Recipe(), training=True, on_progress=silent)
    table = parts.development.targets
    assert table.dtype == np.bool_
    assert table.shape == (60, 3)
    assert not parts.exclusive
    order = dict(zip(data.paths, data.entries, strict=True))
    for path, row in zip(parts.development.paths, table, strict=True):
        assert tuple(np.flatnonzero(row).tolist()) == order[path].classes
    assert table[parts.validation].any(axis=0).all()
    assert table[parts.training].any(axis=0).all()
    assert label_sets.words_of(table, 3, data.labels) in (
        "disc, red",
        "red",
        "disc",
        "square",
        "disc, square",
    )


def test_a_label_of_every_image_is_said(data):
    entries = tuple(
        dataclasses.replace(entry, classes=tuple(sorted({0, *entry.classes}))) for entry in data.entries
    )
    notes = label_sets.everywhere(dataclasses.replace(data, entries=entries))
    assert notes == (f"every image has {data.labels[0]!r}: what is never absent is answered always.",)
    assert label_sets.everywhere(data) == ()


def test_a_label_without_an_image_is_refused(data):
    wider = dataclasses.replace(data, labels=(*data.labels, "blue"))
    with pytest.raises(BadDataset, match="got none of 'blue'"):
        partition(wider, Recipe(), training=True, on_progress=silent)


def test_folds_deal_every_label(data):
    targets = label_sets.targets_of(data, np.arange(3))
    names = [str(path) for path in data.paths]
    folds = label_sets.folds_of(targets, ProbeSettings(folds=5), names, names)
    assert sorted(set(folds.tolist())) == [0, 1, 2, 3, 4]
    for part in range(5):
        assert targets[folds == part].any(axis=0).all()


@pytest.fixture
def answers():
    random = np.random.default_rng(0)
    truth = random.random((80, 3)) < 0.4
    return truth, (random.normal(size=(80, 3)) + 2 * truth).astype(np.float32)


def test_candidates_are_judged_by_average_precision_and_log_loss(answers):
    from sklearn.metrics import average_precision_score, log_loss

    truth, logits = answers
    found = scoring.judged(logits, truth)
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert found.accuracy == pytest.approx(average_precision_score(truth, logits, average="macro"))
    assert found.loss == pytest.approx(sum(log_loss(truth[:, one], scores[:, one]) for one in range(3)))


def test_the_gain_is_paired(answers):
    truth, logits = answers
    assert label_scores.gain(logits, logits, truth, 0).high == 0
    noise = np.random.default_rng(1).normal(size=logits.shape).astype(np.float32)
    gain = label_scores.gain(logits, noise, truth, 0)
    assert gain.low > 0.1
    first, second = (scoring.Measured(table, 1.0, exclusive=False) for table in (logits, noise))
    assert scoring.gain_of(first, second, truth, 0).value == pytest.approx(gain.value)
    own = summarise_multilabel(first.scores, truth, ("a", "b", "c"), resampling=Resampling(seed=0))
    assert scoring.metrics_of(first, truth, ("a", "b", "c"), 0) == own.metrics


def test_a_mistake_is_a_surest_label_that_is_none_of_the_images(answers, tmp_path):
    truth, logits = answers
    part = Part(tuple(tmp_path / f"{place}.png" for place in range(80)), truth)
    measured = scoring.Measured(logits, 1.0, exclusive=False)
    found = label_scores.mistakes(measured.scores, truth, part.paths, ("a", "b", "c"))
    best = measured.scores.argmax(axis=1)
    expected = [place for place in range(80) if truth[place].any() and not truth[place, best[place]]]
    assert [mistake.source for mistake in found] == [str(part.paths[place]) for place in expected]
    assert all(mistake.answer not in mistake.truth.split(", ") for mistake in found)


@pytest.mark.parametrize("loss", [None, pytest.param("focal", marks=pytest.mark.large)])
def test_a_network_learns_several_labels(classifier, data, tmp_path, loss):
    pytest.importorskip("torch")
    told = []
    recipe = Recipe(
        strategy="full", epochs=2, input_size=48, golden="made", threads=1, loss=loss, head_rate=1e-2
    )
    done = finetune(
        classifier,
        data,
        out=tmp_path / "x.signet",
        recipe=recipe,
        run=RunSettings(on_plan=told.append),
    )
    assert done.tuned is not None
    assert set(done.validation) == {"probe", "fine-tuned"}
    assert "validation_ap" in done.history[0]
    assert done.seal.manifest.card.output.head == "sigmoid"
    losses = [row["train_loss"] for row in done.history[1:]]
    assert losses[-1] < losses[0]
    assert done.gain is not None
