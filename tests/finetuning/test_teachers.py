"""A teacher: found, asked once or of every view, learned from, and named in the seal."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from signet.datasets import open_dataset
from signet.errors import BadRequest, WrongTask
from signet.finetuning import RunSettings, finetune, teachers
from signet.finetuning.workplace import Workplace
from signet.models import load, resolve
from signet.networks import Pretrained
from signet.progress import silent
from signet.recipes import Recipe

pytest.importorskip("torch")
pytest.importorskip("imagehash")

QUICK = Recipe(
    strategy="full", epochs=2, input_size=64, golden="made", threads=1, augmentation="none", head_rate=1e-2
)


@pytest.fixture(scope="module")
def teacher(shapes, tmp_path_factory):
    out = tmp_path_factory.mktemp("teacher") / "teacher.signet"
    recipe = Recipe(strategy="probe", golden="made", threads=1)
    return finetune("starter", open_dataset(shapes), out=out, recipe=recipe).seal.path


def found(recipe, dataset):
    return teachers.teacher_of(recipe, dataset, offline=True, on_progress=silent)


def test_how_often_it_is_asked_follows_from_the_views():
    assert not teachers.asked_each(Recipe(teacher="x", augmentation="none"))
    assert teachers.asked_each(Recipe(teacher="x"))
    assert teachers.asked_each(Recipe(teacher="x", augmentation="none", mixup=0.2))
    assert not teachers.asked_each(Recipe(teacher="x", augmentation="strong", teacher_views="once"))


def test_its_answers_are_those_of_the_model_in_the_order_of_the_run(teacher, shapes):
    paths = open_dataset(shapes).paths[:5]
    recipe = QUICK.changed(teacher=str(teacher))
    model = found(recipe, open_dataset(shapes))
    labels = ("stripes", "disc")
    with teachers.lessons(model, paths, labels, recipe) as taught:
        table = taught.logits
    with load(teacher, precision="fp32") as opened:
        answers = opened(list(paths))
    order = [list(answers[0].labels).index(label) for label in labels]
    temperature = model.card.output.temperature
    logs = np.log(np.stack([answer.scores[order] for answer in answers]))
    # Scores are of the calibrated logits; differences of two logits are differences of their logarithms.
    np.testing.assert_allclose((table[:, 0] - table[:, 1]) / temperature, logs[:, 0] - logs[:, 1], atol=2e-3)


def test_answers_that_were_asked_for_once_are_kept_for_a_resume(teacher, shapes, tmp_path, monkeypatch):
    recipe, paths = QUICK.changed(teacher=str(teacher)), open_dataset(shapes).paths[:3]
    model, work = found(recipe, open_dataset(shapes)), Workplace(tmp_path)
    with teachers.lessons(model, paths, ("disc", "square"), recipe, work) as taught:
        first = np.array(taught.logits)
    monkeypatch.setattr(teachers, "_asked_once", lambda *_: pytest.fail("it was asked twice"))
    with teachers.lessons(model, paths, ("disc", "square"), recipe, work) as taught:
        assert np.array_equal(taught.logits, first)


def test_a_view_is_resized_straight_to_its_size(teacher, shapes):
    recipe = QUICK.changed(teacher=str(teacher), teacher_views="each")
    model = found(recipe, open_dataset(shapes))
    size = model.card.input_size
    views = np.random.default_rng(0).integers(0, 255, (3, *size, 3)).astype(np.uint8)
    with teachers.lessons(model, (), model.card.labels, recipe) as taught:
        same, half = taught.teach(views), taught.teach(views[:, ::2, ::2])
    assert same.shape == half.shape == (3, 3)
    assert teachers.for_views(model.card.program).input_size() == size
    assert not np.allclose(same, half)


def test_what_cannot_teach_is_refused(shapes, teacher, tmp_path):
    data = open_dataset(shapes)
    with pytest.raises(WrongTask, match=r"teacher .*: expected a classifier"):
        found(QUICK.changed(teacher="starter"), data)
    other = dataclasses.replace(data, labels=("disk", "square", "stripes"))
    with pytest.raises(BadRequest, match=r"none of which is 'disk'\. Did you mean 'disc'"):
        found(QUICK.changed(teacher=str(teacher)), other)
    several = dataclasses.replace(data, exclusive=False)
    with pytest.raises(WrongTask, match="expected a model of several labels an image"):
        found(QUICK.changed(teacher=str(teacher)), several)
    twice = resolve(teacher)
    card = dataclasses.replace(twice.card, labels=("disc", "disc", "stripes"))
    with pytest.raises(BadRequest, match="two of its classes are named 'disc'"):
        teachers.columns_of(dataclasses.replace(twice, card=card), ("disc",))
    assert isinstance(twice, Pretrained)


@pytest.mark.parametrize("views", [pytest.param("once", marks=pytest.mark.large), "each"])
def test_a_network_learns_from_it_and_the_seal_says_so(classifier, shapes, teacher, tmp_path, views):
    told = []
    recipe = QUICK.changed(
        teacher=str(teacher), teacher_weight=1.0, teacher_views=views, augmentation="light"
    )
    done = finetune(
        classifier,
        open_dataset(shapes),
        out=tmp_path / "x.signet",
        recipe=recipe,
        run=RunSettings(on_plan=told.append),
    )
    (plan,) = told
    words = "once of each image" if views == "once" else "of every view"
    assert any("100 % of the loss" in why and words in why for why in plan.why)
    text = (done.seal.path / "seal.json").read_text()
    assert json.loads(text)["training"]["recipe"]["teacher"] == "teacher.signet"
    assert str(teacher.parent) not in text
    lineage = done.seal.manifest.card.lineage
    assert ("taught_by" in lineage) == (done.chosen == "fine-tuned")
