"""TensorFlow's files answer as TensorFlow answered, by what tools/make_tensorflow_graphs.py stored."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import openvino
import pytest

from signet.cards import InputSpec
from signet.errors import BadGraph, BadRequest
from signet.graphs import from_tensorflow, with_openvino
from signet.graphs.from_tensorflow import Wanted, converted, is_tensorflow

HERE = Path(__file__).parent / "tensorflow"
ANSWERS = np.load(HERE / "answers.npz")
PIXELS = ANSWERS["pixels"]
FLOATS = PIXELS.astype(np.float32) / np.float32(255)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("converted")


def answers(graph, batch):
    """All outputs by name, in float32."""
    core = openvino.Core()
    compiled = core.compile_model(str(graph.path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([batch])
    return {min(port.get_names()): np.array(found[port]) for port in compiled.outputs}


def head():
    """The head of all three networks: weights (10, 11) and bias (11,), drawn as the tool draws them."""
    random = np.random.default_rng(11)
    for shape in ((3, 3, 3, 8), (3, 3, 8, 1), (1, 1, 8, 10)):
        random.normal(0, 0.4, shape)
    rows = random.normal(0, 1.5, (10, 11)).astype(np.float32)
    return rows, random.normal(0, 0.5, 11).astype(np.float32)


CASES = {
    "SavedModel": ("classifier", Wanted(), FLOATS, {"scores": "classifier", "logits": "classifier_logits"}),
    "one output": ("classifier", Wanted(outputs=("scores",)), FLOATS, {"scores": "classifier"}),
    "its input by the signature's name": (
        "classifier",
        Wanted("images", outputs=("logits",)),
        FLOATS,
        {"logits": "classifier_logits"},
    ),
    "bytes": ("classifier", Wanted("pixels"), PIXELS, {"scores": "classifier"}),
    "by the graph's name": ("classifier", Wanted("bytes_pixels:0"), PIXELS, {"scores": "classifier"}),
    "frozen": ("slim.pb", Wanted(), FLOATS, {"MobilenetV1/Predictions/Reshape_1:0": "slim"}),
    "frozen, by names": (
        "slim.pb",
        Wanted("input", (None, 16, 12, 3), ("MobilenetV1/Predictions/Softmax",)),
        FLOATS,
        {"MobilenetV1/Predictions/Softmax": "slim"},
    ),
    "between inner tensors": (
        "inception.pb",
        Wanted("Mul", (1, 16, 12, 3), ("softmax:0",)),
        FLOATS,
        {"softmax:0": "inception"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_answers_are_those_of_tensorflow(case, cache):
    name, wanted, batch, stored = CASES[case]
    made = converted(HERE / name, wanted, cache)
    found = answers(made.graph, batch)
    assert list(found) == list(made.outputs)
    assert set(found) == set(stored)
    for output, key in stored.items():
        assert np.abs(found[output] - ANSWERS[key]).max() < 1e-5
    # The batch is free, though two of the files fix it.
    one = answers(made.graph, batch[1:2])
    for output, key in stored.items():
        assert np.abs(one[output] - ANSWERS[key][1:2]).max() < 1e-5


def test_what_is_told_of_the_input(cache):
    spec = converted(HERE / "classifier", Wanted(), cache).input
    assert spec == InputSpec("images", "image", "float32", (None, 16, 12, 3))
    made = converted(HERE / "classifier", Wanted("pixels"), cache)
    assert (made.input.dtype, made.signature) == ("uint8", "bytes")
    assert converted(HERE / "slim.pb", Wanted(), cache).signature == ""


def test_it_is_converted_once_and_again_after_a_change(cache, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(HERE / "classifier", folder)
    first = converted(folder, Wanted(), cache)
    assert first.digest == converted(HERE / "classifier", Wanted(), cache).digest
    calls = []
    monkeypatch.setattr(
        from_tensorflow, "ask_child", lambda *_: calls.append(1) or {"ok": False, "error": "x"}
    )
    assert converted(folder, Wanted(), cache) == first
    assert not calls
    weights = folder / "variables" / "variables.data-00000-of-00001"
    data = bytearray(weights.read_bytes())
    data[100] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BadGraph, match="cannot be read by OpenVINO: x"):
        converted(folder, Wanted(), cache)
    assert calls == [1]
    assert not list(cache.glob("**/signet-*"))


def test_the_same_files_make_the_same_graph(tmp_path):
    made = [converted(HERE / "slim.pb", Wanted(), tmp_path / name) for name in "ab"]
    assert made[0].graph.digest == made[1].graph.digest
    assert made[0].digest == made[1].digest


def test_a_conversion_that_was_cut_short_is_made_again(tmp_path):
    made = converted(HERE / "slim.pb", Wanted(), tmp_path)
    made.graph.path.with_suffix(".json").unlink()
    made.graph.path.write_bytes(b"<net")
    assert converted(HERE / "slim.pb", Wanted(), tmp_path).graph.digest == made.graph.digest


@pytest.mark.parametrize(("name", "wanted"), [("classifier", Wanted()), ("slim.pb", Wanted())])
def test_the_penultimate_layer_is_found(name, wanted, cache, tmp_path):
    made = converted(HERE / name, wanted, cache)
    answer = "scores" if name == "classifier" else 0
    ((place, width),) = with_openvino.penultimate(made.graph, answer=answer)
    assert width == 10
    assert place
    added = with_openvino.add_features(made.graph, tmp_path / "added.xml", answer=answer)
    found = answers(added, FLOATS)
    assert found["features"].shape == (3, 10)
    rows, column = head()
    logits = found["features"] @ rows + column
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(shares - ANSWERS[name.removesuffix(".pb")]).max() < 1e-5
    joined = with_openvino.join_head(added, rows.T, column, tmp_path / "joined.xml")
    assert np.abs(answers(joined, FLOATS)["logits"] - logits).max() < 1e-4
    with pytest.raises(BadRequest, match="comes from TensorFlow"):
        with_openvino.layers(made.graph)


def test_what_is_tensorflow(tmp_path):
    assert is_tensorflow(HERE / "classifier")
    assert is_tensorflow(HERE / "slim.pb")
    assert not is_tensorflow(HERE)
    assert not is_tensorflow(HERE / "answers.npz")
    with pytest.raises(BadGraph, match="is part of a SavedModel: name its folder"):
        converted(HERE / "classifier" / "saved_model.pb", Wanted(), tmp_path)


def test_nothing_is_guessed_where_several_would_do(cache):
    with pytest.raises(BadGraph, match=r"has no output 'score': expected one of logits, scores"):
        converted(HERE / "classifier", Wanted(outputs=("score",)), cache)
    with pytest.raises(BadGraph, match=r"expected one signature with the input 'image', got .*bytes takes"):
        converted(HERE / "classifier", Wanted("image"), cache)
    with pytest.raises(BadGraph, match=r"takes 'jpeg' \(string, \[\]\): expected one input, an image"):
        converted(HERE / "classifier", Wanted("jpeg"), cache)
    with pytest.raises(BadGraph, match="did you mean 'softmax'"):
        converted(HERE / "inception.pb", Wanted("Mul", (), ("softmx",)), cache)
    with pytest.raises(BadGraph, match="has no tensor 'Mool'"):
        converted(HERE / "inception.pb", Wanted("Mool"), cache)
    # The whole of it begins with the decoding of a file.
    with pytest.raises(BadGraph, match="'DecodeJpeg', which decodes pictures, which Signet does itself"):
        converted(HERE / "inception.pb", Wanted(), cache)
