"""`export`: what it writes, that it can be used at once, and that nothing wrong leaves it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import signet
from signet.errors import AlreadyExists, BadRequest, SealError, UnknownName
from signet.exporting import ExportSettings, delivering, export, to_onnx
from signet.predictions import Classes
from signet.programs import Program
from signet.records import Verdict
from signet.seals import pack
from signet.steps import Layout, Range, Read, Resize, Type

BOTH = pytest.mark.parametrize(("to", "file"), [("onnx", "birds.onnx"), ("openvino", "birds.xml")])
EXACT = {"precision": "fp32"}
HONEST = to_onnx.write


def answers(model, images):
    with signet.load(model, Classes, **EXACT) as loaded:
        return np.array([answer.scores for answer in loaded(images)])


@BOTH
@pytest.mark.parametrize("place", ["in", "out"])
def test_an_exported_file_predicts_as_the_seal_that_it_was_made_of(
    tiny_seal, photographs, tmp_path, to, file, place
):
    exported = export(tiny_seal, to, tmp_path / file, settings=ExportSettings(preprocessing=place))
    assert exported.verdict.ok
    assert exported.verdict.first_divergence is None
    assert exported.verdict.agree == exported.verdict.total >= 3
    assert exported.path == tmp_path / file
    assert exported.files[0] == exported.path
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in exported.files}
    expected = answers(tiny_seal.path, photographs)
    assert np.abs(answers(tmp_path / file, photographs) - expected).max() < 1e-6


def test_an_exported_file_is_sealed_as_any_graph_file(tiny_seal, photographs, tmp_path):
    export(tiny_seal, "openvino", tmp_path / "birds.xml", settings=ExportSettings(preprocessing="in"))
    again = signet.seal(tmp_path / "birds.xml", photographs, out=tmp_path / "again.signet")
    assert signet.verify(again).ok
    assert again.card.labels == tiny_seal.card.labels
    assert again.card.lineage["exported_from"]["seal"] == tiny_seal.digest
    onward = export(again, "openvino", tmp_path / "again.xml")
    assert onward.verdict.ok
    with pytest.raises(BadRequest, match="ONNX graph"):
        export(again, "onnx", tmp_path / "again.onnx")


@BOTH
def test_the_stages_inside_a_file_are_not_asked_of_its_users(tiny_seal, tmp_path, to, file):
    settings = ExportSettings(preprocessing="in", snippet=None)
    exported = export(tiny_seal, to, tmp_path / file, settings=settings)
    stages = [stage.name for stage in exported.verdict.stages]
    before = ["integrity", "read", "orient", "resize", "crop"]
    assert stages == [*before, "network", "head", "answer", "decision"]
    card = signet.resolve(tmp_path / file).card
    assert [step.name for step in card.program.steps] == ["read", "resize", "crop"]
    assert card.inputs[0].dtype == "uint8"
    assert card.inputs[0].shape == (None, 16, 12, 3)
    assert card.lineage["exported_from"]["inside"] == ["normalise", "layout"]


def test_an_onnx_file_carries_its_contract(tiny_seal, tmp_path):
    import onnx

    export(tiny_seal, "onnx", tmp_path / "birds.onnx")
    model = onnx.load(tmp_path / "birds.onnx")
    props = {entry.key: entry.value for entry in model.metadata_props}
    assert props["signet.seal"] == tiny_seal.digest
    assert props["signet.program"] == tiny_seal.card.program.digest
    beside = json.loads((tmp_path / "birds.onnx.card.json").read_text("utf-8"))
    digest, trust = beside.pop("weights_digest"), beside.pop("digest_trust")
    inside = json.loads(props["signet.card"])
    assert {**inside, "digest_trust": "pinned"} == {**beside, "digest_trust": trust}
    assert digest == signet.resolve(tmp_path / "birds.onnx").card.weights_digest
    assert inside["labels"] == list(tiny_seal.card.labels)


def test_an_openvino_file_carries_its_contract_in_float32(tiny_seal, tmp_path):
    import openvino

    export(tiny_seal, "openvino", tmp_path / "birds.xml")
    model = openvino.Core().read_model(tmp_path / "birds.xml")
    assert model.get_rt_info(["signet", "seal"]).astype(str) == tiny_seal.digest
    assert json.loads(model.get_rt_info(["signet", "card"]).astype(str))["task"] == "classify"
    kept = {node.get_element_type() for node in model.get_ops() if node.get_type_name() == "Constant"}
    assert openvino.Type.f16 not in kept
    assert model.inputs[0].partial_shape[0].is_dynamic
    assert str(tmp_path) not in (tmp_path / "birds.xml").read_text("utf-8")


def test_a_zip_is_exported_as_its_folder(tiny_seal, tmp_path):
    zipped = pack(tiny_seal, tmp_path / "birds.signet.zip")
    assert export(zipped, "onnx", tmp_path / "birds.onnx").verdict.digest == tiny_seal.digest


def spoilt(change):
    """The converter to ONNX with a change to the file that it has written."""

    def write(materials, preprocessing, to):
        import onnx

        card = HONEST(materials, preprocessing, to)
        model = onnx.load(to)
        change(model)
        onnx.save(model, to)
        return card

    return write


def other_weights(model):
    from onnx import numpy_helper

    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == "kernel")
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel) * 1.05, "kernel"))


def mean_over_the_batch(model):
    """What a BatchNorm in training mode does: an image's answer depends on the others; alone it stays."""
    import onnx

    first = model.graph.node[0]
    nodes = [
        onnx.helper.make_node("ReduceMean", [first.input[0]], ["common"], axes=[0], keepdims=1),
        onnx.helper.make_node("Sub", [first.input[0], "common"], ["apart"]),
        onnx.helper.make_node("Add", [first.input[0], "apart"], ["changed"]),
    ]
    first.input[0] = "changed"
    old = [type(node).FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *old])


@pytest.mark.parametrize(
    ("change", "words"), [(other_weights, "network"), (mean_over_the_batch, "of 3 images together")]
)
def test_a_file_that_answers_otherwise_is_named_and_not_left(tiny_seal, tmp_path, monkeypatch, change, words):
    monkeypatch.setattr(delivering.to_onnx, "write", spoilt(change))
    exported = export(tiny_seal, "onnx", tmp_path / "birds.onnx")
    assert exported.path is None
    assert exported.files == ()
    assert exported.verdict.first_divergence == "network"
    assert words in exported.verdict.message
    assert list(tmp_path.iterdir()) == []
    kept = export(tiny_seal, "onnx", tmp_path / "birds.onnx", settings=ExportSettings(keep=True))
    assert not kept.verdict.ok
    assert kept.path is not None
    assert kept.path.is_file()


def test_a_file_that_its_runtime_refuses_is_a_divergence_of_the_network(tiny_seal, tmp_path, monkeypatch):
    def change(model):
        model.graph.node[0].op_type = "NoSuchOperator"

    monkeypatch.setattr(delivering.to_onnx, "write", spoilt(change))
    verdict = export(tiny_seal, "onnx", tmp_path / "birds.onnx").verdict
    assert verdict.first_divergence == "network"
    assert "NoSuchOperator" in verdict.message


def test_nothing_is_overwritten_unasked(tiny_seal, tmp_path):
    (tmp_path / "birds.onnx.card.json").write_text("mine")
    with pytest.raises(AlreadyExists, match=r"birds\.onnx\.card\.json"):
        export(tiny_seal, "onnx", tmp_path / "birds.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["birds.onnx.card.json"]
    assert (tmp_path / "birds.onnx.card.json").read_text() == "mine"
    exported = export(tiny_seal, "onnx", tmp_path / "birds.onnx", settings=ExportSettings(overwrite=True))
    assert exported.verdict.ok
    with pytest.raises(AlreadyExists):
        export(tiny_seal, "onnx", tmp_path / "birds.onnx")


def test_what_is_asked_wrongly_is_said_in_words(tiny_seal, tmp_path):
    with pytest.raises(BadRequest, match=r"signet seal MODEL IMAGES"):
        export("resnet50", "onnx", tmp_path / "birds.onnx")
    with pytest.raises(UnknownName, match="onnx"):
        export(tiny_seal, "onxx", tmp_path / "birds.onnx")
    with pytest.raises(BadRequest, match=r"ends in \.onnx.*birds\.onnx"):
        export(tiny_seal, "onnx", tmp_path / "birds.xml")
    with pytest.raises(BadRequest, match="'in' or 'out'"):
        ExportSettings(preprocessing="inside")  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match="python"):
        ExportSettings(snippet="cobol")


def test_a_seal_that_was_altered_is_not_exported(tiny_seal, tmp_path):
    import shutil

    harmed = shutil.copytree(tiny_seal.path, tmp_path / "harmed.signet")
    graph = harmed / "graph.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    with pytest.raises(SealError, match=r"graph\.onnx"):
        export(harmed, "onnx", tmp_path / "birds.onnx")
    assert not (tmp_path / "birds.onnx").exists()


def test_a_program_that_computes_before_it_resizes_cannot_go_inside(make_seal, tmp_path):
    size = (16, 12)
    program = Program((Read(), Type("float32"), Range(1 / 255), Resize(size=size, fit="stretch"), Layout()))
    sealed = make_seal("floats", program=program)
    with pytest.raises(BadRequest, match="--preprocessing out"):
        export(sealed, "onnx", tmp_path / "x.onnx", settings=ExportSettings(preprocessing="in"))
    exported = export(sealed, "onnx", tmp_path / "x.onnx")
    assert exported.verdict.ok
    assert "no snippet" in exported.notes[0]


def test_the_json_has_path_and_verdict(tiny_seal, tmp_path):
    exported = export(tiny_seal, "onnx", tmp_path / "birds.onnx", settings=ExportSettings(snippet=None))
    plain = exported.to_dict()
    assert plain["path"] == str(tmp_path / "birds.onnx")
    assert plain["verdict"] == exported.verdict.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert isinstance(exported.verdict, Verdict)
    assert dataclasses.asdict(exported)["notes"] == ()
