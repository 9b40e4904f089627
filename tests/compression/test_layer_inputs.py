"""`layer_inputs`: the patches that weights meet are those that ONNX Runtime multiplies them with."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from signet.compression.layer_inputs import moments_of, weighted_layers


def model_of(nodes: list, constants: dict, shape: list, output: str = "out") -> onnx.ModelProto:
    ports = [
        helper.make_tensor_value_info("in", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info(output, TensorProto.FLOAT, None),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "one", ports[:1], ports[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(model: onnx.ModelProto, value: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"in": value})[0]


@settings(max_examples=25, deadline=None)
@given(
    groups=st.sampled_from((1, 2, 4)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*(st.integers(0, 2) for _ in range(4))),
    seed=st.integers(0, 1000),
)
def test_that_weights_on_the_moments_give_the_energy_of_a_convolution(
    tmp_path_factory: pytest.TempPathFactory, *, groups, kernel, strides, dilations, pads, seed
) -> None:
    random = np.random.default_rng(seed)
    weights = random.normal(size=(8, 4 // groups, *kernel)).astype(np.float32)
    node = helper.make_node(
        "Conv",
        ["in", "w"],
        ["out"],
        name="conv",
        group=groups,
        strides=strides,
        dilations=dilations,
        pads=pads,
    )
    model = model_of([node], {"w": weights}, [1, 4, 9, 8])
    value = random.normal(size=(1, 4, 9, 8)).astype(np.float32)
    known = moments_of(model, [value], tmp_path_factory.mktemp("told"))["conv"]
    (layer,) = weighted_layers(model)
    rows = layer.rows(weights.astype(np.float64))
    expected = answer(model, value)[0].astype(np.float64)
    energy = np.einsum("gok,gkl,gol->go", rows, known.second, rows).reshape(-1)
    np.testing.assert_allclose(energy, np.square(expected).sum((1, 2)), rtol=1e-4, atol=1e-6)
    total = np.einsum("gok,gk->go", rows, known.first).reshape(-1)
    np.testing.assert_allclose(total, expected.sum((1, 2)), rtol=1e-3, atol=1e-3)
    assert np.array_equal(layer.as_before(rows, weights.shape), weights)


@pytest.mark.parametrize("outputs_last", [True, False])
def test_that_a_product_is_read_in_either_order(tmp_path: Path, *, outputs_last: bool) -> None:
    random = np.random.default_rng(0)
    weights = random.normal(size=(5, 3) if outputs_last else (3, 5)).astype(np.float32)
    node = helper.make_node("Gemm", ["in", "w"], ["out"], name="product", transB=0 if outputs_last else 1)
    model = model_of([node], {"w": weights}, [1, 5])
    values = [random.normal(size=(1, 5)).astype(np.float32) for _ in range(4)]
    known = moments_of(model, values, tmp_path)["product"]
    (layer,) = weighted_layers(model)
    rows = layer.rows(weights.astype(np.float64))
    energy = np.einsum("gok,gkl,gol->go", rows, known.second, rows).reshape(-1)
    expected = np.concatenate([answer(model, value) for value in values])
    assert known.count == 4
    np.testing.assert_allclose(energy, np.square(expected).sum(0), rtol=1e-4)
    assert np.array_equal(layer.as_before(rows, weights.shape), weights)


def test_that_layers_of_other_kinds_are_left_out() -> None:
    """Padding that is not stated in numbers, one axis, a factor, weights that are computed."""
    weights = {"w": np.ones((2, 2, 3, 3), np.float32), "m": np.ones((4, 4), np.float32)}
    nodes = [
        helper.make_node("Conv", ["in", "w"], ["out"], name="same", auto_pad="SAME_UPPER"),
        helper.make_node("Gemm", ["in", "m"], ["a"], name="factor", alpha=0.5),
        helper.make_node("Gemm", ["in", "m"], ["b"], name="turned", transA=1),
        helper.make_node("MatMul", ["in", "in"], ["c"], name="computed"),
    ]
    assert weighted_layers(model_of(nodes, weights, [1, 2, 4, 4])) == ()
