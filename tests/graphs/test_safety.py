"""Hostile graph files: refused in words, before any native library reads them."""

from __future__ import annotations

import hashlib
import os

import pytest

from signet.errors import BadGraph
from signet.graphs import wire
from signet.graphs.opening import files_of, open_graph
from signet.graphs.safety import check_ir, check_onnx, check_tflite

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402


def entry(tensor, **values):
    for key, value in values.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def outside(location, **values):
    """A tensor whose values lie at `location`."""
    tensor = TensorProto(name="w", dims=[2], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    return entry(tensor, location=location, **values)


def model(tensors=(), nodes=None, **more):
    nodes = nodes or [helper.make_node("Relu", ["x"], ["y"])]
    kind = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    return helper.make_model(helper.make_graph(nodes, "g", [kind], [answer], list(tensors)), **more)


def save(folder, made, name="graph.onnx"):
    path = folder / name
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    return path


@pytest.mark.parametrize(
    "location",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "data/../../secret",
        "..",
        "",
        "C:\\secret",
        "C:secret",
        "..\\secret",
        "\\\\server\\share",
        "*/_ORT_MEM_ADDR_/*",
        "\x1b[31mred",
        "nul\x00byte",
        "missing.bin",
        "folder",
        ".",
    ],
)
def test_external_data_outside_or_absent(location, tmp_path):
    home = tmp_path / "home"
    (home / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"12345678")
    path = save(home, model([outside(location)]))
    with pytest.raises(BadGraph) as caught:
        check_onnx(path)
    assert "\x1b" not in str(caught.value)
    with pytest.raises(BadGraph):
        open_graph(path)


def test_links(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret").write_bytes(b"12345678")
    (home / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(BadGraph, match="is a link"):
        check_onnx(save(home, model([outside("w.bin")])))
    (home / "sub").symlink_to(tmp_path)
    with pytest.raises(BadGraph, match="is a link"):
        check_onnx(save(home, model([outside("sub/secret")])))


def test_named_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "w.bin")
    with pytest.raises(BadGraph, match="expected a plain file"):
        open_graph(save(tmp_path, model([outside("w.bin")])))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"offset": 4, "length": 8}, "expected 12 bytes"),
        ({"offset": 2**70, "length": 8}, "bytes in 'w.bin'"),
        ({"offset": -4, "length": 8}, "whole numbers"),
        ({"offset": "4x", "length": 8}, "whole numbers"),
        ({"length": "²"}, "whole numbers"),
        ({"length": "9" * 4000}, "not an ONNX model that can be read|bytes in"),
    ],
)
def test_ranges(values, words, tmp_path):
    (tmp_path / "w.bin").write_bytes(b"12345678")
    with pytest.raises(BadGraph, match=words):
        check_onnx(save(tmp_path, model([outside("w.bin", **values)])))


def test_every_hiding_place_of_a_tensor(tmp_path):
    """Attributes, lists of tensors, sparse tensors, subgraphs, functions, training graphs."""
    bad = outside("../secret")
    sparse = onnx.SparseTensorProto(values=bad, dims=[2])
    places = []
    for settings in (
        {"value": bad},
        {"values": [bad]},
        {"sparse_value": sparse},
        {"sparse_values": [sparse]},
    ):
        places.append(model(nodes=[helper.make_node("Constant", [], ["y"], **settings)]))
    inner = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "i", [], [], [bad])
    places.append(model(nodes=[helper.make_node("If", ["x"], ["y"], then_branch=inner)]))
    node = onnx.NodeProto(op_type="If", output=["y"])
    node.attribute.add(name="many", type=onnx.AttributeProto.GRAPHS).graphs.append(inner)
    places.append(model(nodes=[node]))
    function = helper.make_function("own", "F", [], ["y"], [places[0].graph.node[0]], [])
    places.append(model(functions=[function]))
    training = model()
    training.training_info.add().algorithm.CopyFrom(inner)
    places.append(training)
    weights = model()
    weights.graph.sparse_initializer.append(sparse)
    places.append(weights)
    defaults = model(
        functions=[helper.make_function("own", "G", [], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [])]
    )
    defaults.functions[0].attribute_proto.append(helper.make_attribute("value", bad))
    places.append(defaults)
    for number, made in enumerate(places):
        with pytest.raises(BadGraph, match="own folder"):
            check_onnx(save(tmp_path, made, f"{number}.onnx"))


def test_what_readers_would_merge_is_refused(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"12345678")
    twice = entry(outside("w.bin"), location="../secret")
    with pytest.raises(BadGraph, match="states 'location' twice"):
        check_onnx(save(tmp_path, model([twice])))
    with pytest.raises(BadGraph, match="field 7 of Model comes twice"):
        check_onnx(save(tmp_path, model().SerializeToString() + model().SerializeToString()))


def test_operators(tmp_path):
    with pytest.raises(BadGraph, match="uses the operator 'Run' of 'evil'"):
        check_onnx(save(tmp_path, model(nodes=[helper.make_node("Run", ["x"], ["y"], domain="evil")])))
    hidden = helper.make_graph([helper.make_node("Run", ["x"], ["z"], domain="evil")], "i", [], [])
    with pytest.raises(BadGraph, match="Custom operators"):
        check_onnx(save(tmp_path, model(nodes=[helper.make_node("If", ["x"], ["y"], then_branch=hidden)])))
    with pytest.raises(BadGraph, match="EPContext"):
        check_onnx(
            save(tmp_path, model(nodes=[helper.make_node("EPContext", [], ["y"], domain="com.microsoft")]))
        )
    body = [helper.make_node("Relu", ["x"], ["y"])]
    function = helper.make_function("own", "F", ["x"], ["y"], body, [])
    nodes = [
        helper.make_node("F", ["x"], ["y"], domain="own"),
        helper.make_node("Gelu", ["x"], ["q"], domain="com.microsoft"),
    ]
    assert check_onnx(save(tmp_path, model(nodes=nodes, functions=[function]))) == ()


def test_every_truncation_is_refused_or_harmless(make_net):
    """Cut at every byte: `BadGraph`, never another exception; where nothing is cut off, it passes."""
    path = make_net("gemm").path
    whole = path.read_bytes()
    assert check_onnx(path) == ()
    passed = 0
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        try:
            check_onnx(path)
            passed += 1
        except BadGraph:
            pass
    assert passed == 0


def test_noise_is_refused_or_harmless(make_net):
    """Other bytes at random: nothing but `BadGraph` ever comes out."""
    import random

    path = make_net("gemm").path
    whole, chance, refused = path.read_bytes(), random.Random(5), 0
    for _ in range(300):
        broken = bytearray(whole)
        for _ in range(4):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        path.write_bytes(broken)
        try:
            check_onnx(path)
        except BadGraph:
            refused += 1
    assert 0 < refused < 300


def test_depth_and_size_are_bounded(tmp_path, monkeypatch):
    raw = b""
    for _ in range(200):  # by hand: libraries refuse to write it
        attribute = bytes([6 << 3 | 2]) + varint(len(raw)) + raw
        node = bytes([5 << 3 | 2]) + varint(len(attribute)) + attribute
        raw = bytes([1 << 3 | 2]) + varint(len(node)) + node
    with pytest.raises(BadGraph, match="nested deeper"):
        check_onnx(save(tmp_path, bytes([7 << 3 | 2]) + varint(len(raw)) + raw))
    monkeypatch.setattr(wire, "MOST_FIELDS", 5)
    with pytest.raises(BadGraph, match="more than 5 fields"):
        check_onnx(save(tmp_path, model()))
    monkeypatch.setattr(wire, "MOST_BYTES", 10)
    with pytest.raises(BadGraph, match="1 to 10 bytes"):
        check_onnx(save(tmp_path, model()))


def varint(value):
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x00" * 64, b"PK\x03\x04" + b"\x00" * 64, b"\xff" * 64, b"\x08\x08"]
)
def test_not_onnx(content, tmp_path):
    with pytest.raises(BadGraph):
        check_onnx(save(tmp_path, content))


def test_the_reader_agrees_with_the_library(external_net):
    found = wire.contents_of(external_net.path)
    made = onnx.load(external_net.path, load_external_data=False)
    assert found.operators == {(node.domain, node.op_type) for node in made.graph.node}
    assert len(found.external) == len(made.graph.initializer)
    assert {entry.location for entry in found.external} == {"model.safetensors"}


# OpenVINO IR

CONSTANT = (
    '<layer id="0" name="c" type="Const" version="opset1">'
    '<data element_type="f32" offset="0" shape="2" size="8"/></layer>'
)


def ir(body=CONSTANT, head='<?xml version="1.0"?>'):
    return f'{head}<net name="n" version="11"><layers>{body}</layers></net>'


def test_ir(tmp_path):
    path = tmp_path / "net.xml"
    path.write_text(ir(""))
    assert check_ir(path) == ()
    path.write_text(ir())
    with pytest.raises(BadGraph, match=r"net\.bin"):
        check_ir(path)
    weights = tmp_path / "net.bin"
    weights.write_bytes(b"1234567")
    with pytest.raises(BadGraph, match="expected at least 8 bytes"):
        check_ir(path)
    weights.write_bytes(b"12345678")
    assert check_ir(path) == (weights,)
    weights.rename(tmp_path / "other")
    weights.symlink_to(tmp_path / "other")
    with pytest.raises(BadGraph, match="is a link"):
        check_ir(path)


BOMB = '<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ir("&c;", BOMB), "document type or entities"),
        (ir("", '<!DOCTYPE net SYSTEM "file:///etc/passwd">'), "document type or entities"),
        (ir("", '<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "document type or entities"),
        (ir("&undefined;"), "not an OpenVINO IR that can be read"),
        ("<html></html>", "got <html>"),
        ("<net></net>", "expected an OpenVINO IR"),
        (ir()[:-20], "not an OpenVINO IR that can be read"),
        ("", "not an OpenVINO IR that can be read"),
        (ir("<a>" * 500 + "</a>" * 500), "nested deeper"),
        (
            ir('<layer type="Const"><data offset="x" size="8"/></layer>'),
            "not an OpenVINO IR that can be read",
        ),
        (
            ir('<layer type="Const"><data offset="-99" size="8"/></layer>'),
            "not an OpenVINO IR that can be read",
        ),
    ],
)
def test_hostile_ir(text, words, tmp_path):
    path = tmp_path / "net.xml"
    path.write_text(text)
    with pytest.raises(BadGraph, match=words):
        check_ir(path)


# TFLite


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", b"\x1c\x00\x00\x00TFL2" + b"\x00" * 64, b"\xff\xff\xff\xffTFL3" + b"\x00" * 64]
)
def test_hostile_tflite(content, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    with pytest.raises(BadGraph):
        check_tflite(path)


# Opening


def test_digests(external_net, make_net, tmp_path, shared):
    alone = make_net("gemm").path
    graph = open_graph(alone)
    assert graph.format == "onnx"
    assert graph.digest == hashlib.sha256(alone.read_bytes()).hexdigest()

    first = open_graph(external_net.path)
    (weights,) = files_of(first)
    assert weights == external_net.path.parent / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    assert open_graph(external_net.path).digest != first.digest

    lite = open_graph(shared / "weights" / "files" / "mobilenet_v1_0.25_128_quant.tflite")
    assert lite.format == "tflite"
    assert files_of(lite) == ()


@pytest.mark.parametrize("name", ["net.pt", "net", "missing.onnx", "folder.onnx"])
def test_open_graph_refuses(name, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(BadGraph, match="expected a graph file"):
        open_graph(tmp_path / name)
