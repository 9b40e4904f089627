"""A stranger's graph in a child process: crash, silence and refusal all become `BadGraph`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from signet.errors import BadGraph
from signet.graphs import quarantine
from signet.graphs.opening import open_graph
from signet.graphs.quarantine import try_open


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def child(monkeypatch, code):
    """Put another program in the place of the trial."""
    real = subprocess.run

    def run(command, **settings):
        assert command[1:4] == ["-P", "-m", "signet.graphs.trial"]
        return real([sys.executable, "-c", code], **settings)

    monkeypatch.setattr(quarantine.subprocess, "run", run)


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_a_good_graph_opens_and_is_remembered(engine, make_net, cache, monkeypatch):
    graph = open_graph(make_net("fixed_batch").path)
    try_open(graph, engine)
    (note,) = (cache / "opened").iterdir()
    assert note.name.startswith(f"{graph.digest}-{engine}-")
    assert '"ran": true' in note.read_text()
    child(monkeypatch, "raise SystemExit('not to be started again')")
    try_open(graph, engine)


def test_tflite(shared, cache):
    try_open(open_graph(shared / "weights" / "files" / "mobilenet_v1_0.25_128_quant.tflite"), "openvino")


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_a_broken_graph_is_refused_in_words(engine, make_net, cache):
    import onnx

    path = make_net("gemm").path
    model = onnx.load(path)
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, path)
    with pytest.raises(BadGraph, match=f"cannot be opened by {engine}: .*NoSuchOperator"):
        try_open(open_graph(path), engine)
    assert not (cache / "opened").exists()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "makes onnx crash .SIGSEGV"),
        ("import os; os.abort()", "makes onnx crash .SIGABRT"),
        ("raise SystemExit(7)", "exit code 7"),
        ("print('chatter')", "makes onnx crash"),
        ("import time; time.sleep(60)", "did not open with onnx within 0.5 seconds"),
    ],
)
def test_crash_and_silence(code, words, make_net, cache, monkeypatch):
    graph = open_graph(make_net("gemm").path)
    child(monkeypatch, code)
    with pytest.raises(BadGraph, match=words):
        try_open(graph, "onnx", 0.5 if "sleep" in code else 60.0)
    assert not (cache / "opened").exists()


def test_chatter_before_the_answer_does_no_harm(make_net, cache, monkeypatch):
    child(monkeypatch, "print('native library 1.0'); print('{\"ok\": true}')")
    try_open(open_graph(make_net("gemm").path), "onnx")


def test_a_graph_that_asks_for_all_memory_is_refused(tmp_path, cache):
    onnx = pytest.importorskip("onnx")
    import numpy as np
    from onnx import helper, numpy_helper

    kind = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1])
    answer = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    shape = numpy_helper.from_array(np.int64([2**20, 2**20]), "shape")
    graph = helper.make_graph(
        [helper.make_node("Expand", ["x", "shape"], ["y"])], "bomb", [kind], [answer], [shape]
    )
    path = tmp_path / "bomb.onnx"
    path.write_bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        ).SerializeToString()
    )
    with pytest.raises(BadGraph, match="bomb"):
        try_open(open_graph(path), "onnx")


def test_a_module_in_the_current_folder_is_not_imported(make_net, cache, tmp_path, monkeypatch):
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name in ("numpy", "onnxruntime", "signet"):
        (folder / f"{name}.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(folder)
    try_open(open_graph(make_net("gemm").path), "onnx")


def test_safety_comes_first(make_net, cache, monkeypatch, external_net):
    graph = open_graph(external_net.path)
    (external_net.path.parent / "model.safetensors").unlink()
    child(monkeypatch, "raise SystemExit('not to be started')")
    with pytest.raises(BadGraph, match="Put that file beside the graph"):
        try_open(graph, "onnx")


def test_an_onnx_runtime_of_another_package_name_is_known_by_its_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """onnxruntime-gpu and -openvino bring the module without the package of its name."""
    import onnxruntime

    def missing(name: str) -> str:
        raise quarantine.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(quarantine.metadata, "version", missing)
    assert quarantine._version("onnx") == onnxruntime.__version__
