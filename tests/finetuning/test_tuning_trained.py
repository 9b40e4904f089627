"""`finetune` beyond the probe: what is trained, what is kept of it, and what the run shows for itself."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

from signet.datasets import open_dataset
from signet.errors import BadRequest
from signet.evaluation import evaluate
from signet.finetuning import Finetuned, finetune, scoring
from signet.models import load
from signet.predictions import Classes
from signet.recipes import Recipe
from signet.seals import open_seal
from signet.verification import verify

pytest.importorskip("onnx")
pytest.importorskip("imagehash")

TRAINED = Recipe(
    strategy="full", epochs=2, batch=16, input_size=64, golden="made", threads=1, backbone_rate=3e-4
)
needs_torch = pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed")


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory) -> Finetuned:
    """A run whose training is sealed, whatever the validation says: these shapes are easy for both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring.Judged, "beats", lambda *_: True)
        out = tmp_path_factory.mktemp("trained") / "shapes.signet"
        return finetune("starter", open_dataset(shapes), out=out, recipe=TRAINED)


@pytest.mark.slow
@needs_torch
def test_the_frozen_stages_are_proved_in_seal_result_and_page(trained):
    from safetensors.torch import load_file

    from signet.reporting import finetuning_page, render
    from signet.training.holding import tensors_digest

    proof = trained.frozen
    # The starter's BatchNorm keep their statistics, though everything learns.
    assert proof.tensors > 10
    assert proof.before == proof.after
    sealed = load_file(trained.seal.path / "weights.safetensors")
    assert tensors_digest({name: sealed[name] for name in proof.names}) == proof.after
    record = open_seal(trained.seal.path).manifest.training["frozen"]
    assert record == proof.to_dict()
    assert sum(map(len, record["modules"].values())) == proof.tensors
    assert proof.words() in trained.words()
    assert proof.after in render(finetuning_page(trained.story()))


@pytest.mark.slow
@needs_torch
def test_the_result_says_what_each_took_whether_it_paid_and_what_the_temperature_did(trained):
    words = trained.words()
    assert any(line.startswith(("fine-tuning paid", "these images cannot tell")) for line in words)
    assert set(trained.seconds_of) == {"probe", "finetuned"}
    assert trained.seconds_of["finetuned"] > 0
    done = trained.calibrated
    assert done.temperature == open_seal(trained.seal.path).manifest.calibration["temperature"]
    assert done.after == trained.metrics["ece"]
    assert any("which is sealed" in line for line in words)
    plain = trained.to_dict()
    assert plain["calibration"]["before"]["value"] == pytest.approx(done.before.value)
    assert plain["paid"] in words
    assert plain["random"] is None
    assert "validation_ece" in trained.history[0]


@pytest.mark.slow
@needs_torch
def test_random_weights_take_the_same_steps_and_are_measured_on_the_same_images(shapes, tmp_path):
    recipe = TRAINED.changed(random_baseline=True, averaging="soup", batchnorm="re-estimated")
    done = finetune("starter", open_dataset(shapes), out=tmp_path / "x.signet", recipe=recipe)
    assert set(done.random) == set(done.probe)
    assert done.random["top1"].value < done.probe["top1"].value
    assert done.seconds_of["random"] > 0
    assert any(line.startswith("from random weights: ") for line in done.words())
    names = [row.name for row in done.story().candidates]
    assert names == ["Probe on frozen features", "Fine-tuned", "From random weights"]
    assert "random" in open_seal(done.seal.path).manifest.training
    assert any("soup" in line for line in done.plan.words())
    # Every BatchNorm learns on batches now, so nothing of a network that learns as a whole is held.
    assert done.frozen.tensors == 0


@needs_torch
@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({"backbone.stage9": "batch"}, r"No stage named 'backbone.stage9'. Did you mean 'backbone.stage1'"),
        ({"backbone.stem": "batch"}, r"batchnorm of backbone.stem: expected 'frozen' in a frozen stage"),
    ],
)
def test_a_policy_for_no_stage_or_a_frozen_one_is_refused_with_the_plan(shapes, tmp_path, stages, words):
    recipe = TRAINED.changed(strategy="partial", batchnorm_stages=stages)
    with pytest.raises(BadRequest, match=words):
        finetune("starter", open_dataset(shapes), out=tmp_path / "x.signet", recipe=recipe)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@needs_torch
def test_probe_then_training_reports_both(trained, shapes):
    assert set(trained.validation) == {"probe", "fine-tuned"}
    assert trained.chosen == "fine-tuned"
    assert trained.gain.value == pytest.approx(trained.tuned["top1"].value - trained.probe["top1"].value)
    assert trained.metrics["top1"] == trained.tuned["top1"]
    assert trained.plan.input_size == (64, 64)
    assert len(trained.history) == 3
    assert any("fine-tuned:" in line for line in trained.words())
    with load(trained.seal.path, Classes, precision="fp32") as model:
        report = evaluate(model, open_dataset(shapes))
    assert report.metrics["top1"].value == trained.metrics["top1"].value
    record = open_seal(trained.seal.path).manifest.training
    assert {"probe", "finetuned", "metrics", "validation", "chosen"} <= record.keys()
    assert "seconds" not in json.dumps(record["finetuned"])


@pytest.mark.slow
@needs_torch
@pytest.mark.parametrize("engine", ["openvino", "onnx", "torch"])
def test_what_was_trained_is_the_same_on_every_engine(trained, engine):
    assert verify(trained.seal.path, engine=engine).ok


@pytest.mark.slow
@needs_torch
def test_statistics_for_drift_are_those_of_the_trained_network(trained, shapes):
    statistics = trained.seal.manifest.feature_statistics
    with load(trained.seal.path, precision="fp32") as model:
        paths = open_dataset(shapes).select("train").paths
        vectors = np.stack([row.vector for row in model.embed(list(paths))])
    np.testing.assert_allclose(statistics.mean, vectors.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(statistics.std, vectors.std(axis=0), atol=1e-3)


@pytest.mark.slow
@needs_torch
def test_a_trained_seal_holds_no_path_of_this_machine_either(trained, shapes):
    home = str(find_spec("signet").submodule_search_locations[0]).encode()
    for path in trained.seal.path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert home not in content, path.name
            assert str(shapes.parent).encode() not in content, path.name


@pytest.mark.slow
@needs_torch
def test_the_better_one_by_validation_is_sealed(shapes, tmp_path):
    done = finetune("starter", open_dataset(shapes), out=tmp_path / "x.signet", recipe=TRAINED)
    assert done.validation[done.chosen] == max(done.validation.values())
    assert verify(done.seal.path).ok
