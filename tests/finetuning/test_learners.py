"""Every strategy and head: what learned, what did not, what is sealed, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("onnx")
pytest.importorskip("imagehash")

from safetensors.numpy import load_file  # noqa: E402
from torch import nn  # noqa: E402

from signet.datasets import open_dataset  # noqa: E402
from signet.errors import BadRequest  # noqa: E402
from signet.evaluation import evaluate  # noqa: E402
from signet.finetuning import RunSettings, finetune, starting_point, strategies  # noqa: E402
from signet.finetuning.learners import begin_head, learner_of, taught_head  # noqa: E402
from signet.finetuning.starting import with_random_weights  # noqa: E402
from signet.models import load, resolve  # noqa: E402
from signet.predictions import Classes  # noqa: E402
from signet.recipes import Recipe  # noqa: E402
from signet.training.holding import tensors_digest  # noqa: E402
from signet.training.stages import frozen_parameters  # noqa: E402
from signet.verification import verify  # noqa: E402

SHORT = Recipe(
    epochs=2, batch=16, input_size=64, golden="made", threads=1, backbone_rate=3e-4, checkpoint_seconds=1e6
)


def run(model, shapes, folder, module=None, **changes):
    return finetune(
        str(model),
        open_dataset(shapes),
        out=folder / "x.signet",
        recipe=SHORT.changed(**changes),
        run=RunSettings(head=module, audit=False),
    )


def always_tuned(*_, **__):
    """In place of the decision: what was trained is sealed, however good it is."""
    return "fine-tuned", {"probe": 0.0, "fine-tuned": 1.0}


def agrees(done, shapes):
    """The seal verifies, and measures what the run measured."""
    assert verify(done.seal.path).ok
    with load(done.seal.path, Classes, precision="fp32") as model:
        report = evaluate(model, open_dataset(shapes), split="test")
    return report.metrics["top1"].value == pytest.approx(done.metrics["top1"].value, abs=1e-9)


def test_from_scratch_nothing_of_the_weights_is_left(classifier, shapes, tmp_path):
    recipe = SHORT.changed(strategy="scratch")
    found = starting_point(str(classifier), recipe)
    first, again, other = (
        with_random_weights(found, recipe.changed(seed=seed), tmp_path / name)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    states = [load_file(one.networks[0].weights) for one in (first, again, other)]
    pretrained = load_file(classifier / "model.safetensors")
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
    name = "layer1.0.conv1.weight"
    assert not np.array_equal(states[0][name], states[2][name])
    assert not np.array_equal(states[2][name], pretrained[name])
    assert first.digest == again.digest != other.digest


@pytest.mark.large
def test_from_scratch_the_card_inherits_no_licence(classifier, shapes, tmp_path):
    done = run(classifier, shapes, tmp_path, strategy="scratch")
    assert "random weights" in done.plan.trained
    assert done.plan.frozen == "nothing"
    card = done.seal.manifest.card
    assert card.lineage["trained_from"] == "random weights, nothing pretrained"
    assert "finetuned_from" not in card.lineage
    assert card.licence.weights == "unknown"
    assert agrees(done, shapes)


@pytest.mark.large
def test_adapters_are_merged_and_kept_beside(transformer, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr("signet.finetuning.tuning.better", always_tuned)
    done = run(transformer, shapes, tmp_path, strategy="lora", input_size=160, lora_rank=4, head_rate=1e-2)
    assert "low-rank adapters of rank 4" in done.plan.trained
    path = done.seal.path
    listed = json.loads((path / "seal.json").read_text())["files"]
    assert "adapter.safetensors" in listed
    adapter = load_file(path / "adapter.safetensors")
    before, after = load_file(transformer / "model.safetensors"), load_file(path / "weights.safetensors")
    layers = {name.removesuffix(".lora_A.weight") for name in adapter if ".lora_A." in name}
    assert len(adapter) == 2 * len(layers)
    for name, tensor in before.items():
        layer, _, kind = name.rpartition(".")
        if layer in layers and kind == "weight":
            change = 16 / 4 * adapter[f"{layer}.lora_B.weight"] @ adapter[f"{layer}.lora_A.weight"]
            np.testing.assert_allclose(after[name], tensor + change, atol=1e-6)
        elif layer != "head":
            assert np.array_equal(after[name], tensor), name
    proof, matrices = done.frozen, done.frozen.merged
    for state, names, digest in (
        (before, proof.names, proof.before),
        (after, proof.names, proof.after),
        (before, matrices.names, matrices.before),
    ):
        assert tensors_digest({name: torch.from_numpy(state[name]) for name in names}) == digest
    assert proof.holds
    assert {f"{layer}.weight" for layer in layers} == set(matrices.names)
    assert f"{matrices.matrices} matrices" in proof.words()
    if done.kept_epoch:
        assert any(np.abs(adapter[name]).max() > 0 for name in adapter if ".lora_B." in name)
    assert agrees(done, shapes)


@pytest.mark.large
def test_stages_thaw_one_after_another_and_all_move(classifier, shapes, tmp_path, monkeypatch):
    seen = []
    from signet import training

    original = training.train

    def spy(module, data, settings, **others):
        seen.append(settings)
        return original(module, data, settings, **others)

    monkeypatch.setattr(training, "train", spy)
    done = run(classifier, shapes, tmp_path, strategy="gradual", epochs=4)
    (settings,) = seen
    epochs = [epoch for _, epoch in settings.thaw]
    assert epochs == sorted(epochs, reverse=True)
    assert min(epochs) == 2
    assert max(epochs) == 3
    assert "from the head down" in done.plan.trained


@pytest.mark.large
def test_a_perceptron_is_sealed_by_its_graph(classifier, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr("signet.finetuning.tuning.better", always_tuned)
    done = run(classifier, shapes, tmp_path, strategy="head", head="mlp", head_hidden=24, head_dropout=0.2)
    assert "perceptron" in done.plan.trained
    assert done.seal.weights is None
    assert done.seal.manifest.module is None
    assert agrees(done, shapes)


@pytest.mark.large
def test_a_module_of_ones_own_is_sealed_by_its_graph(classifier, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr("signet.finetuning.tuning.better", always_tuned)

    def cosine(width, classes):
        return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes, bias=False))

    done = run(classifier, shapes, tmp_path, module=cosine, strategy="partial")
    assert done.seal.weights is None
    assert any("module of your own" in note for note in done.plan.notes)
    assert agrees(done, shapes)
    again = resolve(done.seal.path)
    assert again.card.output.features == "features"


def test_a_perceptron_learns_on_features_before_all_else(classifier):
    recipe = Recipe(head="mlp", head_hidden=24, head_dropout=0.2)
    learner, again = (learner_of(resolve(classifier), 3, recipe) for _ in range(2))
    assert learner.spec is None
    assert learner.classifier == "fc"
    kept = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    rows = np.random.default_rng(0).normal(size=(60, 96)).astype(np.float32)
    truth = np.arange(60) % 3
    rows[np.arange(60), truth] += 4
    arrays = taught_head(learner, rows, truth, seed=0)
    assert arrays["hidden.weight"].shape == (24, 96)
    begin_head(again, arrays)
    for name, tensor in again.module.state_dict().items():
        if name.startswith("fc."):
            assert np.array_equal(tensor.numpy(), arrays[name.removeprefix("fc.")])
        else:
            assert torch.equal(tensor, kept[name])
    with torch.no_grad():
        assert (again.head(torch.from_numpy(rows)).argmax(1).numpy() == truth).mean() > 0.9


def test_of_a_learner_with_adapters_all_else_but_the_head_stays(transformer):
    learner = learner_of(resolve(transformer), 3, Recipe(lora_rank=2), adapters=True)
    frozen = frozen_parameters(learner.module, learner.classifier, learner.frozen)
    moving = {name for name, _ in learner.module.named_parameters()} - frozen
    assert moving == {name for name in moving if "lora_" in name or name.startswith("head.")}
    assert any("lora_" in name for name in moving)
    assert learner.spec.classes == 3


@pytest.mark.parametrize(
    ("changes", "head", "words"),
    [
        ({"head_hidden": 8}, None, "head_hidden: expected --head mlp"),
        ({"head_dropout": 0.5, "head": "linear"}, None, "head_dropout: expected --head mlp"),
        ({"strategy": "partial", "lora_rank": 4}, None, "lora_rank: expected --strategy lora"),
        ({"strategy": "probe", "head": "mlp"}, None, "a probe is linear, got --head mlp"),
        ({"strategy": "probe"}, nn.Linear, "a probe is linear, got a head of one's own"),
        ({"head": "mlp"}, nn.Linear, "Leave one of them out"),
        ({"strategy": "scratch", "frozen_stages": 1}, None, "none is worth keeping"),
        ({"strategy": "lora", "frozen_stages": 1}, None, "stay anyway"),
        ({"strategy": "gradual", "epochs": 1}, None, "at least 2 with strategy gradual"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, head, words):
    with pytest.raises(BadRequest, match=words):
        strategies.check_recipe(Recipe(**changes), own_head=head is not None)


def test_a_convolutional_network_takes_no_adapters(classifier, shapes, tmp_path):
    with pytest.raises(BadRequest, match="--strategy partial"):
        run(classifier, shapes, tmp_path, strategy="lora")


def test_left_open_the_choice_follows_network_and_data(
    classifier, transformer, shapes, make_shapes, tmp_path
):
    data = open_dataset(make_shapes(tmp_path, {"train": 80}))
    recipe = Recipe()
    assert strategies.strategy_for(resolve(classifier), data, recipe).name == "partial"
    assert strategies.strategy_for(resolve(transformer), data, recipe).name == "lora"
    assert strategies.strategy_for(resolve(transformer), open_dataset(shapes), recipe).name == "probe"
    situation = strategies.situation_of(resolve(classifier), data, recipe)
    # 240 images, of which 48 are held out as a test.
    assert (situation.images, situation.least, situation.deciding) == (192, 64, 24)
    own = strategies.situation_of(resolve(classifier), open_dataset(shapes), recipe)
    assert (own.images, own.least) == (60, 20)


@pytest.mark.large
def test_settings_are_searched_on_validation_images_and_the_table_is_sealed(classifier, shapes, tmp_path):
    done = run(
        classifier, shapes, tmp_path, strategy="partial", epochs=3, search_seconds=600, head_dropout=0.0
    )
    rows = done.search
    assert done.seconds_of["search"] > 0
    assert "of the search beside" in (done.paid() or "")
    assert done.plan.search_trials[-1] == 3
    assert len(rows) == sum(done.plan.search_trials)
    assert any("search: " in line for line in done.plan.words())
    assert done.seal.manifest.training["search"] == [dict(row) for row in rows]
    (best,) = (row for row in rows if row["kept"] and row["rung"] == len(done.plan.search_trials))
    sealed = done.seal.manifest.training["recipe"]
    for name in ("head_rate", "augmentation", "weight_decay"):
        assert sealed[name] == best.get(name, getattr(SHORT, name))
    assert done.to_dict()["search"] == [dict(row) for row in rows]
    assert agrees(done, shapes)


@pytest.mark.large
@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("transformer", {"strategy": "lora", "input_size": 160, "lora_rank": 2}),
        ("classifier", {"strategy": "gradual"}),
        ("classifier", {"strategy": "scratch"}),
        ("classifier", {"strategy": "head", "head": "mlp", "head_hidden": 16, "head_dropout": 0.3}),
    ],
    ids=["lora", "gradual", "scratch", "mlp"],
)
def test_interrupted_and_resumed_it_comes_to_the_same(model, changes, shapes, tmp_path, monkeypatch, request):
    monkeypatch.setattr("signet.finetuning.tuning.better", always_tuned)
    name, recipe = str(request.getfixturevalue(model)), SHORT.changed(checkpoint_seconds=0.0, **changes)
    data = open_dataset(shapes)
    quiet = RunSettings(audit=False)
    straight = finetune(name, data, out=tmp_path / "straight.signet", recipe=recipe, run=quiet)
    out = tmp_path / "stopped.signet"

    def stop(told):
        if told.stage == "fine-tuning" and told.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(name, data, out=out, recipe=recipe, run=RunSettings(audit=False, on_progress=stop))
    resumed = finetune(name, data, out=out, recipe=recipe, run=RunSettings(audit=False, resume=True))
    for row, other in zip(straight.history, resumed.history, strict=True):
        assert row == other
    for file in sorted(straight.seal.path.glob("*.safetensors")):
        assert file.read_bytes() == (out / file.name).read_bytes(), file.name
    assert straight.metrics == resumed.metrics
