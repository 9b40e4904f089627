"""A graph is read once, however often it is asked about; a digest that is known is believed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from signet.graphs import opening, safety
from signet.graphs.opening import is_quantized, open_graph
from signet.graphs.quarantine import try_open


@pytest.fixture
def reads(monkeypatch):
    """How often an ONNX file was read."""
    counted = []
    real = opening.contents_of

    def counting(path):
        counted.append(path)
        return real(path)

    monkeypatch.setattr(opening, "contents_of", counting)
    monkeypatch.setattr(safety, "contents_of", counting)
    return counted


def test_a_graph_that_opened_before_is_read_once(make_net, reads, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    path = make_net("gemm").path
    try_open(open_graph(path), "onnx")
    reads.clear()
    graph = open_graph(path)
    assert not is_quantized(graph)
    try_open(graph, "onnx")
    assert reads == [path]


def test_quantized_is_told_with_and_without_having_looked(make_net, tmp_path):
    import onnx
    from onnx import helper, numpy_helper

    plain = make_net("gemm").path
    model = onnx.load(plain)
    scale = numpy_helper.from_array(np.float32(0.1), "scale")
    model.graph.initializer.append(scale)
    model.graph.node.insert(0, helper.make_node("QuantizeLinear", ["image", "scale"], ["unused"]))
    other = tmp_path / "int8.onnx"
    onnx.save(model, other)
    for path, expected in ((plain, False), (other, True)):
        looked = open_graph(path)
        assert looked.quantized is is_quantized(looked) is expected
        unseen = type(looked)(looked.path, looked.format, looked.digest)
        assert unseen.quantized is None
        assert is_quantized(unseen) is expected
        assert unseen == looked


def test_the_digest_is_of_the_bytes_unless_the_caller_has_just_taken_it(make_net):
    path = make_net("gemm").path
    taken = hashlib.sha256(path.read_bytes()).hexdigest()
    assert open_graph(path).digest == taken
    assert open_graph(path, {path: "f" * 64}).digest == "f" * 64
    assert open_graph(path, {path.parent / "another.onnx": "f" * 64}).digest == taken
