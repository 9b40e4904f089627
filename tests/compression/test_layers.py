"""Layers taken back to floats: the original weights, no quantizer on the way, and nothing left over."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from signet.compression import layers
from signet.engines import on_onnx
from signet.engines.contract import EngineSettings
from signet.graphs.opening import open_graph
from signet.seals import Seal, open_seal


@pytest.fixture(scope="module")
def pair(place, sealed: Seal) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """(before, quantized)."""
    before = layers.quantizable(open_seal(place.seal("plain")).graphs["image"])
    return before, layers.read(sealed.graphs["image"])


def answers(model: onnx.ModelProto, folder: Path) -> np.ndarray:
    graph = open_graph(layers.write(model, folder / "graph.onnx"))
    session = on_onnx.open_graph(graph, EngineSettings(threads=1))
    random = np.random.default_rng(0)
    given = random.random((4, 3, 16, 16), np.float32)
    return session._infer(given)["scores"]


def stored_in_16_bits(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network, each constant in fp16 behind a `Cast`, as the starter has them."""
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    casts = []
    for tensor in stored.graph.initializer:
        name, half = tensor.name, numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *stored.graph.node]
    stored.graph.ClearField("node")
    stored.graph.node.extend(nodes)
    return stored


def test_that_weights_stored_in_16_bits_become_what_is_computed_with(pair, tmp_path: Path) -> None:
    stored = stored_in_16_bits(pair[0])
    kept = layers.opened(layers.write(stored, tmp_path / "stored.onnx"))
    assert [node.op_type for node in kept.graph.node].count("Cast") == 3
    folded = layers.quantizable(tmp_path / "stored.onnx")
    assert [node.name for node in folded.graph.node] == [node.name for node in pair[0].graph.node]
    kinds = {tensor.name: tensor.data_type for tensor in folded.graph.initializer}
    assert kinds == dict.fromkeys(("first", "second", "bias"), TensorProto.FLOAT)
    onnx.checker.check_model(folded, full_check=True)
    np.testing.assert_array_equal(answers(folded, tmp_path), answers(stored, tmp_path))


def test_that_only_casts_of_constants_go(pair, tmp_path: Path) -> None:
    """A constant that is an input, too, may be given; a computed value is cast anew each time."""
    stored = stored_in_16_bits(pair[0])
    stored.graph.input.append(helper.make_tensor_value_info("first.half", TensorProto.FLOAT16, [4, 3, 1, 1]))
    stored.graph.node[-1].output[0] = "flattened"
    stored.graph.node.append(helper.make_node("Cast", ["flattened"], ["scores"], to=TensorProto.FLOAT))
    folded = layers.quantizable(layers.write(stored, tmp_path / "stored.onnx"))
    casts = [node.input[0] for node in folded.graph.node if node.op_type == "Cast"]
    assert casts == ["first.half", "flattened"]
    assert {tensor.name for tensor in folded.graph.initializer} == {"first.half", "second", "bias"}


def test_which_layers_are_quantized(pair) -> None:
    before, quantized = pair
    assert layers.quantized_layers(before) == ()
    found = {layer.name: layer.operator for layer in layers.quantized_layers(quantized)}
    assert found["spread"] == found["judge"] == "Conv"


def test_that_all_layers_in_floats_are_the_network_as_it_was(pair, tmp_path: Path) -> None:
    before, quantized = pair
    names = [layer.name for layer in layers.quantized_layers(quantized)]
    back = layers.in_floats(quantized, before, names)
    assert not any("QuantizeLinear" in node.op_type for node in back.graph.node)
    np.testing.assert_allclose(answers(back, tmp_path), answers(before, tmp_path), rtol=1e-6, atol=1e-6)
    used = {name for node in back.graph.node for name in node.input}
    assert {tensor.name for tensor in back.graph.initializer} <= used


def test_that_one_layer_in_floats_leaves_the_others_quantized(pair, tmp_path: Path) -> None:
    before, quantized = pair
    some = layers.in_floats(quantized, before, ["judge"])
    left = [layer.name for layer in layers.quantized_layers(some)]
    assert "judge" not in left
    assert "spread" in left
    onnx.checker.check_model(some, full_check=True)
    exact = answers(before, tmp_path)
    apart = [np.abs(answers(model, tmp_path) - exact).max() for model in (some, quantized)]
    assert 0 < apart[0] <= apart[1]


def test_that_nothing_given_is_changed(pair) -> None:
    before, quantized = pair
    once = quantized.SerializeToString()
    layers.in_floats(quantized, before, ["judge"])
    assert quantized.SerializeToString() == once
