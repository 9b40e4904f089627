"""k-fold training: every image judged by a network that did not see it, and all networks sealed as one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from signet.datasets import open_dataset
from signet.errors import BadDataset, BadRequest, CheckFailed
from signet.finetuning import RunSettings, finetune, folding, trained
from signet.finetuning.partition import partition
from signet.finetuning.strategies import dealt, strategy_for
from signet.models import load, resolve
from signet.predictions import Classes
from signet.preprocessing import finish
from signet.progress import silent
from signet.recipes import Recipe
from signet.verification import verify

torch = pytest.importorskip("torch")
pytest.importorskip("imagehash")

FOLDS = Recipe(
    strategy="full", epochs=2, input_size=48, golden="made", threads=1, kfold=2, head_rate=1e-2, patience=0
)


def test_every_image_is_in_one_fold_and_none_is_only_for_validation(shapes):
    parts = partition(open_dataset(shapes), FOLDS, training=True, on_progress=silent)
    assert len(parts.validation) == 0
    assert len(parts.training) == 60
    assert sorted(set(parts.folds.tolist())) == [0, 1]
    probe = partition(open_dataset(shapes), FOLDS, training=False, on_progress=silent)
    assert sorted(set(probe.folds.tolist())) == [0, 1, 2, 3, 4]  # those of the probe


def test_validation_images_of_the_dataset_join_the_folds(make_shapes, tmp_path):
    data = open_dataset(make_shapes(tmp_path, {"train": 6, "val": 3, "test": 3}))
    parts = partition(data, FOLDS, training=True, on_progress=silent)
    assert len(parts.development) == 27
    assert len(parts.validation) == 0


def test_a_class_in_one_fold_alone_is_refused_before_anything_long(shapes):
    parts = partition(open_dataset(shapes), FOLDS, training=True, on_progress=silent)
    folding.check_folds(parts, "shapes")
    lone = np.where(parts.development.targets == 1, 0, parts.folds)
    with pytest.raises(BadDataset, match="kfold: expected images of every class in at least two folds, got"):
        folding.check_folds(dataclasses.replace(parts, folds=lone), "shapes")


def test_the_recipe_keeps_the_number_of_folds():
    pytest.importorskip("tomli_w")
    assert Recipe.from_toml(Recipe(kfold=4).to_toml()).kfold == 4
    with pytest.raises(BadRequest, match="kfold is a whole number from 2 to 20; got 1"):
        Recipe(kfold=1)


def test_what_needs_images_aside_contradicts_folds():
    with pytest.raises(BadRequest, match="kfold 5 and search_seconds: a search needs images that decide"):
        Recipe(kfold=5, search_seconds=60)
    with pytest.raises(BadRequest, match="kfold 5 and random_baseline: random weights are compared with one"):
        Recipe(kfold=5, random_baseline=True)


def test_it_costs_as_many_passes_as_networks_learn():
    assert folding.passes(Recipe()) == 1
    assert folding.passes(Recipe(kfold=5)) == pytest.approx(4 + 1 / 3)
    assert folding.reasons(Recipe()) == ()
    (line,) = folding.reasons(Recipe(kfold=5))
    assert "5 networks" in line
    assert "costs 5 times" in line


def test_the_history_is_the_mean_as_long_as_all_folds_went_on():
    rows = folding.mean_history(
        [
            [{"epoch": 0, "loss": 1.0}, {"epoch": 1, "loss": 3.0, "odd": 1.0}, {"epoch": 2, "loss": 9.0}],
            [{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 5.0}],
        ]
    )
    assert rows == ({"epoch": 0.0, "loss": 1.5}, {"epoch": 1.0, "loss": 4.0})


def test_what_a_check_refuses_is_said_of_its_network(monkeypatch):
    def moved(*_):
        raise CheckFailed("stem.weight moved")

    monkeypatch.setattr(folding, "train_further", moved)
    with pytest.raises(CheckFailed, match=r"network 2 of 5: stem\.weight moved"):
        folding._trained(None, None, 2, 5)


def test_without_torch_or_images_nothing_is_folded(shapes):
    found = resolve("starter")
    recipe = FOLDS.changed(strategy="probe", kfold=None)
    data = open_dataset(shapes)
    parts, strategy = dealt(data, recipe, strategy_for(found, data, recipe), silent)
    assert strategy.name == "probe"
    assert folding.record(None, parts, 0) is None


@pytest.mark.large
def test_networks_of_all_folds_are_sealed_as_one(classifier, shapes, tmp_path, monkeypatch):
    made, modules = [], []

    def kept(job, probe):
        one = trained.train_further(job, probe)
        made.append((job.parts, one))
        modules.append(one.source.build())  # its file is gone when the run ends
        return one

    monkeypatch.setattr(folding, "train_further", kept)
    monkeypatch.setattr(folding.scoring.Judged, "beats", lambda *_: True)  # so that the ensemble is sealed
    data = open_dataset(shapes)
    told = []
    run = RunSettings(on_progress=told.append)
    done = finetune(classifier, data, out=tmp_path / "x.signet", recipe=FOLDS, run=run)
    assert len(made) == 2
    assert [moment.history for moment in told if moment.history] == [done.history]
    assert {"network 1 of 2: fine-tuning", "network 2 of 2: fine-tuning"} <= {one.stage for one in told}
    seen = [set(parts.training.tolist()) for parts, _ in made]
    judged = [set(parts.validation.tolist()) for parts, _ in made]
    assert judged[0] | judged[1] == set(range(60))
    assert not seen[0] & judged[0]
    assert done.folds["count"] == 2
    assert [one.after for one in done.frozen.folds] == [one.proof.after for _, one in made]
    assert done.frozen.holds
    assert "in each of 2 networks" in done.frozen.words()
    right = sum(
        int((one.validation_logits.argmax(1) == parts.development.targets[parts.validation]).sum())
        for parts, one in made
    )
    assert done.folds["metrics"]["top1"]["value"] == pytest.approx(right / 60)
    assert done.validation["fine-tuned"] == pytest.approx(right / 60)
    assert any("2 folds, each image by the network" in line for line in done.words())
    assert verify(done.seal.path).ok
    assert done.seal.manifest.training["folds"] == done.folds
    with load(done.seal.path, Classes, precision="fp32") as model:
        paths = list(data.select("test").paths[:4])
        raw = model.run(model.prepare([model.read(path) for path in paths]))
        logits = raw["logits"]
        batch = finish(model.prepare([model.read(path) for path in paths]))
        temperature = model.card.output.temperature
        scores = np.stack([answer.scores for answer in model(paths)])
    expected = np.exp(logits / temperature)
    np.testing.assert_allclose(scores, expected / expected.sum(1, keepdims=True), atol=1e-4)
    with torch.no_grad():
        images = torch.from_numpy(np.asarray(batch.arrays))
        mean = torch.stack([module(images) for module in modules]).mean(0).numpy()
    np.testing.assert_allclose(logits, mean, atol=2e-3)


@pytest.mark.large
def test_a_run_goes_on_at_the_fold_where_it_was(classifier, shapes, tmp_path):
    data = open_dataset(shapes)
    straight = finetune(classifier, data, out=tmp_path / "a.signet", recipe=FOLDS)
    begun = []

    def stop(progress):
        if progress.stage == "training folds":
            begun.append(progress.done)
        if begun[-1:] == [1] and progress.stage.endswith("fine-tuning") and progress.done:
            raise KeyboardInterrupt

    out = tmp_path / "b.signet"
    with pytest.raises(KeyboardInterrupt) as caught:
        finetune(classifier, data, out=out, recipe=FOLDS, run=RunSettings(on_progress=stop))
    assert any("continue with --resume" in note for note in caught.value.__notes__)
    with pytest.raises(BadRequest, match="an interrupted training lies beside it"):
        finetune(classifier, data, out=out, recipe=FOLDS)
    done = finetune(classifier, data, out=out, recipe=FOLDS, run=RunSettings(resume=True))
    assert done.folds == straight.folds
    assert done.history == straight.history
    assert done.metrics == straight.metrics
