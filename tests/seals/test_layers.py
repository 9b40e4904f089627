"""Where a network differs from what was sealed, `verify` names its first layer that does."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from signet.cards import Card, InputSpec, OutputContract
from signet.engines.contract import EngineSettings
from signet.errors import BadGraph
from signet.graphs.opening import open_graph
from signet.graphs.values import Flow, Value, flow_of, with_values
from signet.networks import Pretrained
from signet.programs import Program
from signet.sealing import seal
from signet.seals import open_seal
from signet.steps import Layout, Range, Read, Resize, Type
from signet.verification import verify

onnx = pytest.importorskip("onnx")
SIDE = 24


def _nodes():
    """A stem with the padding of TensorFlow, a residual block of two branches, and a head."""
    make = onnx.helper.make_node
    return [
        make("Conv", ["images", "w.stem"], ["stem"], pads=[0, 0, 1, 1], strides=[2, 2]),
        make("Clip", ["stem", "zero", "six"], ["stem.act"]),
        make("Conv", ["stem.act", "w.a"], ["a"], pads=[1, 1, 1, 1]),
        make("Clip", ["a", "zero", "six"], ["a.act"]),
        make("Conv", ["stem.act", "w.b"], ["b"]),
        make("Conv", ["a.act", "w.c"], ["c"], pads=[1, 1, 1, 1]),
        make("Add", ["c", "b"], ["sum"]),
        make("Relu", ["sum"], ["sum.act"]),
        make("GlobalAveragePool", ["sum.act"], ["pooled"]),
        make("Flatten", ["pooled"], ["flat"]),
        make("Gemm", ["flat", "w.head"], ["logits"], transB=1),
    ]


def _write(path, alter=None):
    random = np.random.default_rng(5)
    shapes = {
        "w.stem": (8, 3, 3, 3),
        "w.a": (8, 8, 3, 3),
        "w.b": (8, 8, 1, 1),
        "w.c": (8, 8, 3, 3),
        "w.head": (5, 8),
    }
    weights = {name: random.normal(0, 1, shape).astype("f4") for name, shape in shapes.items()}
    weights |= {"zero": np.float32(0), "six": np.float32(6)}
    nodes = {node.output[0]: node for node in _nodes()}
    if alter is not None:
        alter(nodes, weights)
    port = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        list(nodes.values()),
        "layers",
        [port("images", 1, ["batch", 3, SIDE, SIDE])],
        [port("logits", 1, ["batch", 5])],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def _relu(nodes, weights):
    """ReLU for ReLU6, as many a port has it."""
    del weights
    nodes["a.act"].op_type = "Relu"
    del nodes["a.act"].input[1:]


def _symmetric(nodes, weights):
    """The padding of torch for that of TensorFlow."""
    del weights
    del nodes["stem"].attribute[:]
    nodes["stem"].attribute.extend(
        [onnx.helper.make_attribute("pads", [1, 1, 0, 0]), onnx.helper.make_attribute("strides", [2, 2])]
    )


def _weight(name):
    def alter(nodes, weights):
        del nodes
        weights[name] = weights[name] * np.float32(1.5)

    return alter


ALTERED = {
    "ReLU for ReLU6": (_relu, "a.act", "Clip", "a"),
    "symmetric padding": (_symmetric, "stem", "Conv", None),
    "weights of one branch": (_weight("w.b"), "b", "Conv", "stem.act"),
    "weights of the other": (_weight("w.c"), "c", "Conv", "a.act"),
    "weights of the head": (_weight("w.head"), "logits", "Gemm", "flat"),
}


@pytest.fixture(scope="module")
def sealed(photos, tmp_path_factory):
    graph = open_graph(_write(tmp_path_factory.mktemp("layers") / "net.onnx"))
    steps = (
        Read(),
        Resize(size=(SIDE, SIDE), fit="stretch"),
        Type("float32"),
        Range(1 / 25, 0.0),
        Layout("NCHW"),
    )
    card = Card(
        name="tests/layers",
        task="classify",
        program=Program(steps),
        output=OutputContract(head="softmax", tensor="logits", classes=5),
        inputs=(InputSpec(name="images", shape=(None, 3, SIDE, SIDE)),),
        labels=("ant", "bee", "cat", "dog", "elk"),
        origin="made by a test",
    )
    out = tmp_path_factory.mktemp("sealed") / "layers.signet"
    return seal(Pretrained(card, (graph,), graph.digest, "file"), photos, out=out)


@pytest.mark.parametrize(
    ("engine", "name"), [*(("onnx", name) for name in ALTERED), ("openvino", "ReLU for ReLU6")]
)
def test_the_first_layer_that_differs_is_named(sealed, tmp_path, engine, name):
    alter, layer, operation, after = ALTERED[name]
    file = _write(tmp_path / "other.onnx", alter)
    verdict = verify(sealed, file=file, engine=engine)
    assert verdict.first_divergence == "network"
    found = verdict.layer
    assert found is not None, verdict.message
    assert (found.name, found.operation, found.after) == (layer, operation, after)
    assert found.max_error > found.tolerance > 0
    assert f"first layer that differs is '{layer}' ({operation})" in verdict.message
    assert verdict.to_dict()["layer"]["name"] == layer
    assert found.note == ("Relu in place of Clip" if alter is _relu else "")


def test_a_graph_of_another_format_is_compared_by_the_names_that_it_kept(sealed, tmp_path):
    openvino = pytest.importorskip("openvino")
    alter, layer, _, _ = ALTERED["weights of one branch"]
    for what, change in (("same", None), ("other", alter)):
        model = openvino.convert_model(_write(tmp_path / f"{what}.onnx", change))
        openvino.save_model(model, tmp_path / f"{what}.xml", compress_to_fp16=False)
    assert verify(sealed, file=tmp_path / "same.xml").ok
    verdict = verify(sealed, file=tmp_path / "other.xml")
    assert verdict.layer is not None
    assert verdict.layer.name == layer


def test_a_seal_whose_own_graph_was_altered_has_nothing_to_compare_it_with(sealed, tmp_path, forge):
    import shutil

    mine = shutil.copytree(sealed.path, tmp_path / "mine.signet")
    (mine / "graph.onnx").unlink()
    data = _write(mine / "graph.onnx", _relu).read_bytes()
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    forge(mine, lambda manifest: manifest["files"].update({"graph.onnx": entry}))
    verdict = verify(mine, engine="openvino")
    assert verdict.first_divergence == "network"
    assert verdict.layer is None
    assert "layers were not compared: graph.onnx on onnx does not give it either" in verdict.message


@pytest.mark.parametrize("name", ALTERED)
def test_without_a_name_in_common_layers_are_known_by_their_values(sealed, tmp_path, name):
    alter, layer, operation, after = ALTERED[name]

    def renamed(nodes, weights):
        alter(nodes, weights)
        for node in nodes.values():
            for field in (node.input, node.output):
                for place, value in enumerate(field):
                    if value in nodes:
                        field[place] = f"other/{value}"
        nodes["logits"].output[0] = "logits"

    verdict = verify(sealed, file=_write(tmp_path / "other.onnx", renamed), engine="onnx")
    assert verdict.first_divergence == "network"
    if after is None:
        assert verdict.layer is None
        assert "no layer in common" in verdict.message
        return
    assert verdict.layer is not None
    assert (verdict.layer.name, verdict.layer.operation, verdict.layer.after) == (layer, operation, after)
    assert "found by its values" in verdict.message


def test_a_torch_module_is_compared_by_its_graph(shared, photos, forge, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    import shutil

    monkeypatch.setenv("SIGNET_MIRROR", str(shared / "weights"))
    real = seal("squeezenet1_0.dc_in1k", photos[:1], out=tmp_path / "real.signet")
    model = onnx.load(str(real.graphs["image"]))
    convolution = [node for node in model.graph.node if node.op_type == "Conv"][4]
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == convolution.input[1])
    kernel.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(kernel) * 2, kernel.name))
    mine = shutil.copytree(real.path, tmp_path / "mine.signet")
    onnx.save(model, mine / "graph.onnx")
    data = (mine / "graph.onnx").read_bytes()
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    forge(mine, lambda manifest: manifest["files"].update({"graph.onnx": entry}))
    # The sealed weights still give what was sealed: they say what each layer of the graph should give.
    verdict = verify(mine, engine="onnx", settings=EngineSettings(cache=tmp_path / "cache"))
    assert verdict.layer is not None, verdict.message
    assert verdict.layer.name == convolution.output[0]
    assert verify(mine, engine="torch").ok


def test_a_file_needs_no_card_and_may_have_one_of_its_own(sealed, tmp_path):
    import json

    file = _write(tmp_path / "same.onnx")
    assert verify(sealed, file=file).ok
    card = dataclasses.replace(sealed.card, weights_digest=None)
    fields = card.to_dict()
    beside = tmp_path / "same.onnx.card.json"
    beside.write_text(json.dumps(fields))
    assert verify(sealed, file=file, engine="onnx").ok
    step = next(step for step in fields["program"] if step["step"] == "resize")
    step["filter"] = "bicubic"
    beside.write_text(json.dumps(fields))
    verdict = verify(sealed, file=file, engine="onnx")
    assert verdict.first_divergence == "resize"
    assert verdict.message.startswith("same.onnx against")
    fields["weights_digest"] = "0" * 64
    beside.write_text(json.dumps(fields))
    verdict = verify(sealed, file=file)
    assert verdict.first_divergence == "integrity"


def test_the_answer_of_a_file_is_its_one_output_or_the_one_of_that_name(sealed, tmp_path):
    def named(nodes, weights):
        del weights
        nodes["logits"].output[0] = "scores"

    path = _write(tmp_path / "one.onnx", named)
    model = onnx.load(path)
    model.graph.output[0].name = "scores"
    onnx.save(model, path)
    assert verify(sealed, file=path).ok
    model.graph.output.append(onnx.helper.make_tensor_value_info("flat", 1, None))
    onnx.save(model, tmp_path / "two.onnx")
    with pytest.raises(BadGraph, match=r"expected an output 'logits'.*scores, flat.*card beside"):
        verify(sealed, file=tmp_path / "two.onnx")


def test_the_values_on_every_path_are_the_ends_of_blocks(sealed):
    flow = flow_of(open_graph(sealed.graphs["image"]))
    assert [value.key for value in flow.through()] == [
        "stem", "stem.act", "sum", "sum.act", "pooled", "flat", "logits",
    ]  # fmt: skip
    known = flow.named()
    inner = flow.between(known["stem.act"], known["sum"])
    assert [value.key for value in inner] == ["a", "a.act", "b", "c"]
    assert flow.between(None, known["stem.act"])[0].key == "stem"


def test_a_name_of_two_values_names_none():
    def value(key, names, inputs):
        return Value(key, frozenset(names), key, "Conv", inputs)

    flow = Flow((value("a", ["x"], ("image",)), value("b", ["x", "y"], ("a",))), ("b",))
    assert set(flow.named()) == {"y"}
    assert [found.key for found in flow.through()] == ["a", "b"]


@pytest.mark.parametrize("form", ["onnx", "xml"])
def test_values_become_outputs_behind_those_that_there_were(sealed, tmp_path, form):
    openvino = pytest.importorskip("openvino")
    source = sealed.graphs["image"]
    if form == "xml":
        openvino.save_model(openvino.convert_model(source), tmp_path / "net.xml", compress_to_fp16=False)
        source = tmp_path / "net.xml"
    graph = open_graph(source)
    known = flow_of(graph).named()
    keys = [known[name].key for name in ("stem.act", "logits", "sum")]
    folder = tmp_path / "more"
    folder.mkdir()
    more, places = with_values(graph, keys, folder)
    assert places == (1, 0, 2)
    compiled = openvino.Core().compile_model(str(more.path), "CPU")
    outputs = list(compiled(np.ones((1, 3, SIDE, SIDE), np.float32)).values())
    assert [output.shape for output in outputs] == [(1, 5), (1, 8, 12, 12), (1, 8, 12, 12)]
    with pytest.raises(BadGraph, match="no value 'elsewhere'"):
        with_values(graph, ["elsewhere"], tmp_path)


def test_the_seal_of_these_tests_is_whole(sealed):
    assert verify(open_seal(sealed.path), engine="openvino").ok
