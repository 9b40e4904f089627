"""Adapting to images of another kind: what is refused, what each way changes, and that no label decides."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.datasets import open_dataset
from signet.errors import BadDataset, BadRequest
from signet.evaluation import evaluate
from signet.finetuning import RunSettings, domains, finetune, scoring
from signet.finetuning.domains import target_of
from signet.models import load
from signet.predictions import Classes
from signet.recipes import Recipe
from signet.seals import open_seal
from signet.verification import verify

pytest.importorskip("onnx")
pytest.importorskip("imagehash")
needs_torch = pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed")

PROBE = Recipe(strategy="probe", golden="made", threads=1)


@pytest.fixture(scope="module")
def foggy(make_shapes, tmp_path_factory) -> Path:
    """60 other pictures of the same shapes, in fog. Not to be changed."""
    folder = make_shapes(tmp_path_factory.mktemp("foggy"), {"": 20}, start=500)
    for path in folder.rglob("*.png"):
        with PillowImage.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB"), np.float64)
        PillowImage.fromarray((pixels * 0.2 + 170).astype(np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def unlabelled(foggy, tmp_path_factory) -> Path:
    """The same pictures in one folder, whose names say nothing. Not to be changed."""
    folder = tmp_path_factory.mktemp("unlabelled")
    for number, path in enumerate(sorted(foggy.rglob("*.png"))):
        shutil.copy(path, folder / f"{number:03}.png")
    return folder


def adapted(shapes, target, way, out):
    recipe = PROBE.changed(target=str(target), adaptation=way)
    return finetune("starter", open_dataset(shapes), out=out / f"{way}.signet", recipe=recipe)


@pytest.fixture(scope="module")
def by_coral(shapes, foggy, tmp_path_factory):
    return adapted(shapes, foggy, "coral", tmp_path_factory.mktemp("coral"))


@pytest.fixture(scope="module")
def by_statistics(shapes, foggy, tmp_path_factory):
    return adapted(shapes, foggy, "adabn", tmp_path_factory.mktemp("adabn"))


def weights_of(done) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(done.seal.path / "weights.safetensors")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"adaptation": "coral"}, "adaptation 'coral': expected images to adapt to, got no target"),
        ({"target": "x", "kfold": 3, "strategy": "full"}, "kfold 3 and target: expected one network"),
        ({"target": "x", "adaptation": "coral", "head": "mlp"}, "expected a linear head"),
        ({"target": "x", "adaptation": "cora"}, "adaptation is one of 'auto', 'none', 'adabn', 'coral'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, words):
    with pytest.raises(BadRequest, match=words):
        Recipe(**settings)


@needs_torch
def test_a_network_without_batchnorm_has_no_statistics_to_adapt(shapes, foggy, transformer, tmp_path):
    recipe = PROBE.changed(target=str(foggy), adaptation="adabn")
    with pytest.raises(BadRequest, match=r"has no BatchNorm.*Use --adaptation coral or tent"):
        finetune(transformer, open_dataset(shapes), out=tmp_path / "x.signet", recipe=recipe)
    assert not list(tmp_path.iterdir())


def test_several_labels_an_image_are_refused(tagged, foggy):
    with pytest.raises(BadRequest, match="target: expected one label an image"):
        target_of(PROBE.changed(target=str(foggy)), open_dataset(tagged / "index.csv"))


def test_a_target_without_images_is_refused(shapes, tmp_path):
    dataset = open_dataset(shapes)
    with pytest.raises(BadDataset, match="no image at all"):
        target_of(PROBE.changed(target=str(tmp_path)), dataset)
    with pytest.raises(BadDataset, match="there is no such path"):
        target_of(PROBE.changed(target=str(tmp_path / "none")), dataset)
    PillowImage.new("RGB", (9, 9)).save(tmp_path / "one.png")
    with pytest.raises(BadDataset, match="expected at least 2 images to adapt to, got 1"):
        target_of(PROBE.changed(target=str(tmp_path)), dataset)


def test_folders_of_classes_and_none_are_the_same_target(shapes, foggy, unlabelled):
    dataset = open_dataset(shapes)
    sorted_, plain = (target_of(PROBE.changed(target=str(place)), dataset) for place in (foggy, unlabelled))
    assert sorted_.identity == plain.identity
    assert sorted_.digests == plain.digests
    assert plain.labelled is None
    assert len(sorted_.measured(dataset.labels)) == 60
    assert not sorted_.apart


def test_a_test_split_of_the_target_is_measured_and_not_adapted_to(shapes, make_shapes, tmp_path):
    place = make_shapes(tmp_path / "target", {"train": 4, "test": 3}, start=900)
    (place / "test" / "disc").rename(place / "test" / "ring")
    target = target_of(PROBE.changed(target=str(place)), open_dataset(shapes))
    assert target.apart
    assert {path.parent.parent.name for path in target.paths} == {"train"}
    part = target.measured(("disc", "square", "stripes"))
    assert part.targets.tolist() == [1] * 3 + [2] * 3
    assert "1 of its labels are none that is learned ('ring')" in target.notes[0]


@pytest.mark.slow
def test_coral_refits_the_head_and_says_before_and_after(by_coral, shapes):
    done = by_coral
    found = done.adaptation
    assert found.method == "coral"
    assert found.images == 60
    assert found.distance[1] < found.distance[0]
    assert found.measured.difference.value == pytest.approx(
        found.measured.after.value - found.measured.before.value
    )
    assert done.report.metrics["top1"].value == found.source.after.value
    record = open_seal(done.seal.path).manifest.training
    assert record["adaptation"] == json.loads(json.dumps(found.to_dict()))
    assert record["recipe"]["target"] == Path(done.plan.why[-2].split(" of ")[1].split(";")[0]).name
    assert any("adapted to 60 images" in line for line in done.words())
    assert any("its labels say what that was worth" in line for line in done.plan.words())
    assert verify(done.seal.path).ok
    with load(done.seal.path, Classes, precision="fp32") as model:
        report = evaluate(model, open_dataset(shapes))
    assert report.metrics["top1"].value == found.source.after.value


@pytest.mark.slow
def test_the_page_tells_of_it(by_coral):
    from signet.reporting import finetuning_page, render

    page = render(finetuning_page(by_coral.story()))
    assert "Adapted to other images" in page
    assert "their labels decided nothing" in page


@pytest.mark.slow
def test_labels_of_the_target_change_no_bit_of_what_is_sealed(by_coral, shapes, foggy, tmp_path):
    place = tmp_path / "shuffled"
    random = np.random.default_rng(0)
    for number, path in enumerate(sorted(foggy.rglob("*.png"))):
        label = ("disc", "square", "stripes")[int(random.integers(3))]
        (place / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / label / f"{number:03}.png")
    other = adapted(shapes, place, "coral", tmp_path)
    mine, theirs = (open_seal(done.seal.path).path / "graph.onnx" for done in (by_coral, other))
    assert mine.read_bytes() == theirs.read_bytes()
    ours, others = weights_of(by_coral), weights_of(other)
    assert all(np.array_equal(ours[name], others[name]) for name in ours)
    assert other.adaptation.measured.after.value < by_coral.adaptation.measured.after.value


@pytest.mark.slow
@needs_torch
def test_adabn_changes_batchnorm_and_nothing_else(by_statistics, by_coral):
    found = by_statistics.adaptation
    assert found.method == "adabn"
    names = set(found.changed)
    assert names
    assert all(name.endswith(("weight", "bias", "running_mean", "running_var")) for name in names)
    ours, others = weights_of(by_statistics), weights_of(by_coral)
    # A graph that is joined needs no count of batches, a module has one.
    assert {name.rpartition(".")[2] for name in ours.keys() ^ others.keys()} <= {"num_batches_tracked"}
    differ = {name for name in ours.keys() & others.keys() if not np.array_equal(ours[name], others[name])}
    assert differ == names | {"head.weight", "head.bias"}  # the other run has another head
    assert found.answers[1].information > found.answers[0].information
    assert found.to_dict()["changed"]["tensors"] == len(names)
    assert verify(by_statistics.seal.path).ok


@pytest.mark.large
@needs_torch
def test_tent_makes_answers_surer_and_says_how_far_it_went(shapes, unlabelled, tmp_path):
    done = adapted(shapes, unlabelled, "tent", tmp_path)
    found = done.adaptation
    assert found.descent.steps > 0
    assert found.descent.entropies[1] < found.descent.entropies[0]
    assert found.changed
    lines = "\n".join(done.words())
    assert f"{len(found.changed)} tensors are others than in the pretrained network" in lines
    assert "it was found for the network before its adaptation" in lines
    assert found.measured is None
    assert found.to_dict()["measured"] is None
    assert any("accuracy on the target is not known" in line for line in done.words())


@pytest.mark.large
def test_images_of_the_same_kind_are_left_alone_by_themselves(shapes, make_shapes, tmp_path):
    same = make_shapes(tmp_path / "same", {"": 20}, start=700)
    done = adapted(shapes, same, "auto", tmp_path)
    found = done.adaptation
    assert found.method == "none"
    assert "not told from what was learned from" in found.why[0]
    assert found.told_apart.low < 0.6
    assert found.tried == {}
    assert found.distance[0] == found.distance[1]
    assert any("not adapted to" in line for line in done.words())


@pytest.mark.large
@needs_torch
def test_of_several_ways_the_one_that_adds_most_is_taken_by_itself(shapes, unlabelled, tmp_path):
    found = adapted(shapes, unlabelled, "auto", tmp_path).adaptation
    assert set(found.tried) == {"adabn", "coral"}
    best = max(found.tried, key=lambda way: found.tried[way].value)
    assert found.method == (best if found.tried[best].low >= 0.01 else "none")
    assert found.told_apart.low > 0.9
    assert found.measured is None


@pytest.mark.large
def test_without_a_test_split_some_images_are_held_out_to_say_what_it_costs(unsplit, foggy, tmp_path):
    done = adapted(unsplit, foggy, "none", tmp_path)
    assert "held out before anything else" in done.plan.measured_on
    assert done.adaptation.source.images == done.plan.images["test"] > 0
    assert done.plan.images["validation"] == 0


@pytest.mark.large
@needs_torch
def test_the_proof_of_what_was_frozen_names_what_the_adaptation_changed(shapes, foggy, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    from signet.training.holding import tensors_digest

    monkeypatch.setattr(scoring.Judged, "beats", lambda *_: True)  # so that what was trained is sealed
    recipe = PROBE.changed(
        strategy="full", epochs=1, input_size=64, target=str(foggy), adaptation="adabn", backbone_rate=1e-4
    )
    done = finetune("starter", open_dataset(shapes), out=tmp_path / "x.signet", recipe=recipe)
    proof, sealed = done.frozen, load_file(done.seal.path / "weights.safetensors")
    assert done.adaptation.method == "adabn"
    assert proof.holds
    assert set(proof.adapted) == set(done.adaptation.changed) & set(proof.names) != set()
    assert tensors_digest({name: sealed[name] for name in proof.names}) != proof.after
    assert f"{len(proof.adapted)} of them were changed afterwards" in proof.words()
    assert open_seal(done.seal.path).manifest.training["frozen"] == proof.to_dict()


@pytest.mark.large
@needs_torch
@pytest.mark.parametrize("way", ["coral", "adabn"])
def test_a_trained_network_is_adapted_too_and_after_an_interruption(
    shapes, unlabelled, tmp_path, monkeypatch, way
):
    monkeypatch.setattr(scoring.Judged, "beats", lambda *_: True)  # the trained one, whatever validation says
    recipe = PROBE.changed(
        strategy="full", epochs=1, batch=16, input_size=64, target=str(unlabelled), adaptation=way
    )
    dataset, out, whole = open_dataset(shapes), tmp_path / "x.signet", domains.adapted_to

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(domains, "adapted_to", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finetune("starter", dataset, out=out, recipe=recipe)
    monkeypatch.setattr(domains, "adapted_to", whole)
    other = recipe.changed(target=str(shapes))
    with pytest.raises(BadRequest, match="target was"):
        finetune("starter", dataset, out=out, recipe=other, run=RunSettings(resume=True))
    done = finetune("starter", dataset, out=out, recipe=recipe, run=RunSettings(resume=True))
    assert (done.chosen, done.adaptation.method) == ("fine-tuned", way)
    assert done.report.metrics["top1"].value == done.adaptation.source.after.value
    assert done.adaptation.source.before.value == done.tuned["top1"].value
    assert verify(done.seal.path).ok
    with load(done.seal.path, Classes, precision="fp32") as model:
        report = evaluate(model, dataset)
    assert report.metrics["top1"].value == done.adaptation.source.after.value
    if way == "coral":
        assert done.adaptation.changed == ()
    else:
        assert done.adaptation.changed
