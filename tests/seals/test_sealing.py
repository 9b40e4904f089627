"""Sealing: everything goes in, nothing of the user's but what was named, whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re

import numpy as np
import pytest

from signet import parity, tracing
from signet.cards import Card
from signet.engines import on_openvino
from signet.engines.contract import EngineSettings
from signet.errors import (
    AlreadyExists,
    BadCard,
    BadGraph,
    BadInput,
    BadRequest,
    SealError,
    WrongTask,
)
from signet.graphs.opening import open_graph
from signet.models import load, resolve
from signet.networks import ModuleSource, Pretrained
from signet.sealing import SealSettings, seal, seal_module
from signet.seals import Expected, FeatureStatistics, SealContents, golden_images, open_seal, write_seal
from signet.verification import verify


def _pretrained(folder, **changes):
    """The tiny network as a graph file with a card."""
    sealed = open_seal(folder)
    card = dataclasses.replace(sealed.card, **changes)
    graph = open_graph(sealed.graphs["image"])
    return Pretrained(card, (graph,), graph.digest, "file")


def _everything(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_sealed_model_answers_as_before(tiny, photos, tmp_path):
    sealed = seal(_pretrained(tiny), photos, out=tmp_path / "out.signet")
    assert sealed.path == tmp_path / "out.signet"
    assert sealed.manifest.weights is None
    assert verify(sealed).ok
    with load(tiny, engine="onnx") as before, load(sealed.path, engine="onnx") as after:
        for one, other in zip(before(photos), after(photos), strict=True):
            assert np.array_equal(one.scores, other.scores)
            assert one.best == other.best
    lineage = sealed.card.lineage["sealed_from"]
    assert (lineage["name"], lineage["where"]) == ("signet/tiny.format-1.0", "file")


def test_nothing_of_the_user_is_sealed_but_clean_pictures(tiny, photos, tmp_path):
    sealed = seal(_pretrained(tiny), photos, out=tmp_path / "own.signet")
    everything = _everything(sealed.path)
    for secret in (b"SECRETMAKER", b"GPS", os.fsencode(photos[0].parent), b"turned.jpg", b"square.jpg"):
        assert secret not in everything
    assert b"4 of the user's images" in everything
    made = seal(_pretrained(tiny), photos, out=tmp_path / "made.signet", golden="made")
    assert {entry.source for entry in made.manifest.golden} == {"made"}
    assert b"3 made by Signet" in (made.path / "README.md").read_bytes()
    none = seal(_pretrained(tiny), out=tmp_path / "none.signet")
    assert none.golden_words() == made.golden_words()


def test_a_seal_can_be_sealed_again_by_path(tiny, tmp_path):
    again = seal(tiny, out=tmp_path / "again.signet")
    assert again.graphs["image"].read_bytes() == (tiny / "graph.onnx").read_bytes()
    assert verify(again).ok


def test_nothing_is_overwritten_and_the_ending_is_fixed(tiny, tmp_path):
    out = tmp_path / "out.signet"
    seal(_pretrained(tiny), out=out)
    before = (out / "seal.json").read_bytes()
    with pytest.raises(AlreadyExists):
        seal(_pretrained(tiny), out=out)
    assert (out / "seal.json").read_bytes() == before
    other = seal(_pretrained(tiny, good_for="new"), out=out, overwrite=True)
    assert other.card.good_for == "new"
    assert open_seal(out).digest == other.digest
    with pytest.raises(BadRequest, match=r"\.signet"):
        seal(_pretrained(tiny), out=tmp_path / "out")
    with pytest.raises(BadRequest, match="own"):
        seal(_pretrained(tiny), out=tmp_path / "x.signet", golden="stolen")


def test_a_failure_half_way_leaves_nothing(tiny, tmp_path, monkeypatch):
    def fail(*_):
        raise BadInput("half way")

    monkeypatch.setattr("signet.seals.writing.model_card", fail)
    with pytest.raises(BadInput, match="half way"):
        seal(_pretrained(tiny), out=tmp_path / "deep" / "out.signet")
    assert list((tmp_path / "deep").iterdir()) == []


def test_records_go_in_and_come_out(tiny, tmp_path):
    features = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    settings = SealSettings(
        training={"recipe": {"epochs": 3}, "metrics": {"top1": {"value": 0.9, "low": 0.8, "high": 0.95}}},
        calibration={"temperature": 1.5, "ece_before": 0.1},
        feature_statistics=FeatureStatistics.of(features),
    )
    seen = []
    settings = dataclasses.replace(settings, on_progress=seen.append)
    manifest = seal(_pretrained(tiny), out=tmp_path / "out.signet", settings=settings).manifest
    assert manifest.training == settings.training
    assert manifest.calibration == settings.calibration
    assert manifest.feature_statistics == settings.feature_statistics
    assert manifest.feature_statistics is not None
    assert np.allclose(manifest.feature_statistics.mean, features.mean(axis=0), rtol=1e-5)
    assert {moment.stage for moment in seen} >= {"gathering evidence", "writing the seal"}
    text = (tmp_path / "out.signet" / "README.md").read_text("utf-8")
    assert "metrics top1 value | 0\\.9" in text


def test_records_that_contradict_or_are_no_json_are_refused(tiny, tmp_path):
    out = tmp_path / "out.signet"
    with pytest.raises(SealError, match="temperature"):
        seal(_pretrained(tiny), out=out, settings=SealSettings(calibration={"temperature": 9.0}))
    for value in (float("nan"), object()):
        with pytest.raises(BadInput, match="plain JSON"):
            seal(_pretrained(tiny), out=out, settings=SealSettings(training={"x": value}))
    assert not out.exists()


@pytest.mark.parametrize(("task", "error"), [("classify", WrongTask), ("detect", BadCard)])
def test_only_what_can_be_held_to_a_decision_is_sealed(tiny, tmp_path, task, error):
    found = _pretrained(tiny)
    output = dataclasses.replace(found.card.output, head="yolox")
    odd = dataclasses.replace(found, card=dataclasses.replace(found.card, task=task, output=output))
    with pytest.raises(error, match="yolox"):
        seal(odd, out=tmp_path / "out.signet")
    assert not list(tmp_path.glob("out*"))


def test_a_card_that_does_not_fit_its_network_is_refused(tiny, tmp_path):
    found = _pretrained(tiny)
    output = dataclasses.replace(found.card.output, classes=4)
    odd = dataclasses.replace(found.card, output=output, labels=("a", "b", "c", "d"))
    with pytest.raises(BadInput, match="expected 4 classes"):
        seal(dataclasses.replace(found, card=odd), out=tmp_path / "out.signet")


def test_features_that_the_graph_does_not_have_are_not_promised(tiny, tmp_path):
    found = _pretrained(tiny)
    output = dataclasses.replace(found.card.output, features="elsewhere")
    odd = dataclasses.replace(found, card=dataclasses.replace(found.card, output=output))
    assert seal(odd, out=tmp_path / "out.signet").card.output.features is None


def test_a_model_that_gives_vectors(tiny, photos, tmp_path):
    found = _pretrained(tiny)
    output = dataclasses.replace(
        found.card.output, head="embedding", tensor="features", classes=None, width=6, features=None
    )
    card = dataclasses.replace(found.card, task="embed", output=output, labels=None)
    sealed = seal(dataclasses.replace(found, card=card), photos, out=tmp_path / "out.signet")
    verdict = verify(sealed)
    assert verdict.ok
    assert verdict.agree == verdict.total
    assert "decision" not in [stage.name for stage in verdict.stages]
    assert "0/decision" not in Expected.from_file(sealed.expected).tensors


def test_openvino_ir_goes_in_with_its_weights(tiny, tmp_path):
    import openvino

    model = openvino.Core().read_model(str(tiny / "graph.onnx"))
    openvino.save_model(model, str(tmp_path / "own name.xml"), compress_to_fp16=False)
    graph = open_graph(tmp_path / "own name.xml")
    found = dataclasses.replace(_pretrained(tiny), networks=(graph,))
    sealed = seal(found, out=tmp_path / "out.signet")
    assert {"graph.xml", "graph.bin"} <= set(sealed.manifest.files)
    assert verify(sealed, engine="openvino").ok
    with pytest.raises(BadRequest, match="no form"):
        verify(sealed, engine="onnx")


def _with_weights_beside(tiny, folder, location):
    import onnx

    model = onnx.load(str(tiny / "graph.onnx"))
    # onnx looks for the weights' name in the working directory, too, and refuses one that is there.
    with contextlib.chdir(folder):
        onnx.save(model, "net.onnx", save_as_external_data=True, location=location, size_threshold=0)
    return open_graph(folder / "net.onnx")


def test_weights_beside_an_onnx_graph_go_along_under_their_name(tiny, tmp_path):
    graph = _with_weights_beside(tiny, tmp_path, "net.onnx.data")
    sealed = seal(dataclasses.replace(_pretrained(tiny), networks=(graph,)), out=tmp_path / "out.signet")
    assert {"graph.onnx", "net.onnx.data"} <= set(sealed.manifest.files)
    for engine in ("onnx", "openvino"):
        assert verify(sealed, engine=engine).ok


def test_weights_that_the_graph_reads_itself_are_sealed_once(tiny, tmp_path):
    graph = _with_weights_beside(tiny, tmp_path, "model.safetensors")
    golden = golden_images((), "made", (16, 16))
    contents = SealContents(
        card=open_seal(tiny).card,
        graph=graph,
        golden=golden,
        expected=Expected.from_file(tiny / "golden" / "expected.safetensors"),
        weights=tmp_path / "model.safetensors",
    )
    sealed = write_seal(contents, tmp_path / "out.signet")
    assert sealed.manifest.weights == "model.safetensors"
    assert "weights.safetensors" not in sealed.manifest.files


@pytest.mark.parametrize("location", ["seal.json", "SEAL.sha256", "README.md"])
def test_weights_with_a_name_that_a_seal_needs_are_refused(tiny, tmp_path, location):
    graph = _with_weights_beside(tiny, tmp_path, location)
    with pytest.raises((SealError, BadGraph)):
        seal(dataclasses.replace(_pretrained(tiny), networks=(graph,)), out=tmp_path / "out.signet")


def test_names_are_escaped_in_the_model_card(tiny, tmp_path):
    labels = ("<img src=x onerror=alert(1)>", "[a](javascript:b)", "| x | \x1b[31m\n# head")
    found = _pretrained(tiny, name="zoo/`rm`_*b*", labels=labels, good_for="![](http://evil.example/x.png)")
    text = (seal(found, out=tmp_path / "o.signet").path / "README.md").read_text("utf-8")
    assert "\x1b" not in text
    names = [line for line in text.splitlines() if "onerror" in line or "evil" in line or "zoo" in line]
    assert len(names) == 4
    for line in names:
        assert not re.search(r"(?<!\\)[<>\[\]`*_!]", line), line
    assert "\n# head" not in text


@pytest.mark.skipif(not on_openvino.has_bf16(), reason="this processor has no bf16")
def test_bf16_is_compared_on_golden_and_given_images(tiny, photos, tmp_path):
    sealed = seal(_pretrained(tiny), photos, out=tmp_path / "out.signet")
    (variant,) = sealed.variants
    assert (variant.engine, variant.precision) == ("openvino", "bf16")
    assert variant.golden == len(sealed.golden)
    assert variant.compared == len(sealed.golden) + len(photos)
    with load(sealed.path, engine="openvino", settings=EngineSettings()) as model:
        assert model.engine.precision == "fp32"
        assert f"of {variant.compared} decisions equal to fp32 when it was sealed" in model.running.why


def test_what_openvino_cannot_run_is_sealed_without_its_evidence(tiny, tmp_path, monkeypatch):
    from signet import evidence

    opened = evidence._opened

    def without_openvino(card, graph, engine, settings):
        if engine == "openvino":
            raise BadGraph("no such operator")
        return opened(card, graph, engine, settings)

    monkeypatch.setattr(on_openvino, "has_bf16", lambda: True)
    monkeypatch.setattr(evidence, "_opened", without_openvino)
    assert seal(_pretrained(tiny), out=tmp_path / "out.signet").variants == ()


def _own_module():
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    torch.manual_seed(1)
    layers = [
        torch.nn.Conv2d(3, 8, 3, 2, 1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 3),
    ]
    return torch.nn.Sequential(*layers)


def _own_card(tiny, **changes):
    card = open_seal(tiny).card
    output = dataclasses.replace(card.output, tensor=0, features=None)
    return dataclasses.replace(card, output=output, inputs=(), **changes)


def test_a_module_of_ones_own(tiny, photos, tmp_path):
    module = _own_module().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    settings = SealSettings(classifier="5")
    sealed = seal_module(module, _own_card(tiny), photos, out=tmp_path / "own.signet", settings=settings)
    assert module.training
    assert not module[5]._forward_pre_hooks
    assert all((before[name] == tensor).all() for name, tensor in module.state_dict().items())
    for engine in ("onnx", "openvino"):
        assert verify(sealed, engine=engine, precision="fp32").ok
    from safetensors.numpy import load_file

    assert sealed.weights is not None
    assert set(load_file(sealed.weights)) == set(before)
    with load(sealed.path, engine="onnx") as model:
        assert model.embed(photos[0])[0].vector.shape == (8,)


def test_a_module_that_gives_vectors(tiny, tmp_path):
    card = _own_card(tiny)
    output = dataclasses.replace(card.output, head="embedding", classes=None, width=8)
    card = dataclasses.replace(card, task="embed", output=output, labels=None)
    settings = SealSettings(weights=False)
    sealed = seal_module(_own_module()[:-1], card, out=tmp_path / "v.signet", settings=settings)
    assert sealed.weights is None
    assert verify(sealed, engine="onnx").ok


def test_what_cannot_be_a_module_is_said(tiny, tmp_path):
    _own_module()
    with pytest.raises(BadRequest, match=r"torch\.nn\.Module"):
        seal_module("resnet", _own_card(tiny), out=tmp_path / "x.signet")
    free = Card.from_dict(
        {**_own_card(tiny).to_dict(), "program": [{"step": "read"}, {"step": "resize", "short": 8}]}
    )
    with pytest.raises(BadRequest, match="one size"):
        seal_module(_own_module(), free, out=tmp_path / "x.signet")


def test_a_graph_that_answers_otherwise_than_its_module_is_not_sealed(floor3, tmp_path, monkeypatch):
    """As when an exporter changes the network: whoever runs the seal would never know."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    export, compared, asked = tracing.export, parity._measured, []

    def changed(source, to):
        def build():
            module = floor3.torch_module()
            module.head.weight.data *= 1.1
            return module

        export(dataclasses.replace(source, build=build) if source.digest == "b" * 64 else source, to)

    monkeypatch.setattr(tracing, "export", changed)
    monkeypatch.setattr(parity, "_measured", lambda *given: asked.append(given) or compared(*given))
    settings = SealSettings(engine=EngineSettings(threads=1, cache=tmp_path / "cache"))
    other = floor3.module_source("b" * 64)
    other = dataclasses.replace(floor3.module_model(), networks=(other,), digest=other.digest)
    for _ in range(2):  # measured, then remembered
        words = r"tests/tiny: engine onnx \S+ answers otherwise .* nothing was sealed.*--engine torch"
        with pytest.raises(BadInput, match=words):
            seal(other, out=tmp_path / "other.signet", settings=settings)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert len(asked) == 1
    for name in ("first", "second"):
        made = seal(floor3.module_model(), out=tmp_path / f"{name}.signet", settings=settings)
    assert len(asked) == 2
    assert verify(made, engine="onnx").ok


def test_a_mirrored_model_brings_its_module_and_weights(shared, tmp_path, monkeypatch):
    pytest.importorskip("timm")
    monkeypatch.setenv("SIGNET_MIRROR", str(shared / "weights"))
    sealed = seal("mobilenetv2_100.coral_in1k", out=tmp_path / "m.signet")
    assert sealed.manifest.module is not None
    assert sealed.manifest.module.zoo == "timm"
    found = resolve(sealed.path)
    (module,) = (network for network in found.networks if isinstance(network, ModuleSource))
    assert module.weights == sealed.weights
    assert verify(sealed, engine="torch").ok
    small = seal(found, out=tmp_path / "s.signet", settings=SealSettings(weights=False))
    assert small.weights is None
    assert small.manifest.module is None


def test_tflite_files_can_be_sealed(shared, tmp_path):
    name = "mobilenet_v1_0.25_128_quant.tflite"
    sealed = seal(shared / "weights" / "files" / name, out=tmp_path / "t.signet")
    assert sealed.graphs["image"].name == "graph.tflite"
    assert verify(sealed).ok
    manifest = json.loads((sealed.path / "seal.json").read_text("utf-8"))
    assert len(manifest["card"]["labels"]) == 1000
