"""`rounding`: weights are rounded so that what a layer answers stays."""

from pathlib import Path

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from signet.compression.layer_inputs import moments_of
from signet.compression.rounding import rounded, rounded_rows

SIDE = 12


def errors(wanted: np.ndarray, codes: np.ndarray, scales: np.ndarray, second: np.ndarray) -> np.ndarray:
    apart = wanted - codes * scales[:, None]
    return np.einsum("ok,kl,ol->o", apart, second, apart)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), width=st.integers(1, 12))
def test_that_inputs_that_know_nothing_of_each_other_leave_the_nearest(seed: int, width: int) -> None:
    random = np.random.default_rng(seed)
    wanted = random.normal(size=(3, width))
    scales = np.abs(wanted).max(1) / 127
    second = np.diag(random.uniform(0.5, 2, width))
    found = rounded_rows(wanted, scales, second)
    assert np.array_equal(found, np.rint(wanted / scales[:, None]).clip(-127, 127))


def test_that_inputs_that_are_alike_lose_far_less_than_by_rounding_to_nearest() -> None:
    """Neighbouring pixels: a common value, and little beside it."""
    random = np.random.default_rng(1)
    values = random.normal(size=(2000, 1)) + 0.05 * random.normal(size=(2000, 27))
    second = values.T @ values / len(values)
    wanted = random.normal(size=(16, 27))
    scales = np.abs(wanted).max(1) / 127
    nearest = np.rint(wanted / scales[:, None])
    found = rounded_rows(wanted, scales, second)
    assert np.array_equal(found, np.rint(found))
    assert np.abs(found).max() <= 127
    ratio = errors(wanted, found, scales, second).sum() / errors(wanted, nearest, scales, second).sum()
    assert ratio < 0.2


def test_that_inputs_that_are_all_zero_round_to_nearest() -> None:
    wanted, scales = np.array([[0.24, -0.26, 1.0]]), np.array([0.1])
    assert rounded_rows(wanted, scales, np.zeros((3, 3))).tolist() == [[2.0, -3.0, 10.0]]


def pair(weights: np.ndarray, bias: np.ndarray) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A convolution in floats, and with its weights to nearest in coarse steps."""
    scales = (np.abs(weights).reshape(len(weights), -1).max(1) / 7).astype(np.float32)
    codes = np.rint(weights / scales[:, None, None, None]).astype(np.int8)
    conv = helper.make_node("Conv", ["in", "w", "b"], ["out"], name="conv")
    ports = [
        helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 2, SIDE, SIDE]),
        helper.make_tensor_value_info("out", TensorProto.FLOAT, None),
    ]

    def model(nodes: list, constants: dict) -> onnx.ModelProto:
        tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
        graph = helper.make_graph(nodes, "one", ports[:1], ports[1:], tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    widened = helper.make_node("DequantizeLinear", ["codes", "scales"], ["w"], axis=0, name="widen")
    constants = {"codes": codes, "scales": scales, "b": bias}
    return model([conv], {"w": weights, "b": bias}), model([widened, conv], constants)


def test_that_a_layer_of_a_graph_errs_less_and_has_no_shift(tmp_path: Path) -> None:
    import onnxruntime

    random = np.random.default_rng(2)
    weights = random.normal(size=(6, 2, 3, 3)).astype(np.float32)
    original, quantized = pair(weights, random.normal(size=6).astype(np.float32))
    smooth = [
        (3 + random.normal(size=(1, 2, 1, 1)) + 0.1 * random.normal(size=(1, 2, SIDE, SIDE))).astype(
            np.float32
        )
        for _ in range(40)
    ]
    better = rounded(quantized, original, moments_of(original, smooth[:30], tmp_path))

    def answers(model: onnx.ModelProto) -> np.ndarray:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return np.stack([session.run(None, {"in": value})[0][0] for value in smooth[30:]])

    wanted = answers(original)
    before, after = (answers(model) - wanted for model in (quantized, better))
    assert np.square(after).mean() < 0.2 * np.square(before).mean()
    assert np.abs(after.mean((0, 2, 3))).max() < 0.1 * np.abs(before.mean((0, 2, 3))).max()
    scales = [numpy_helper.to_array(one.graph.initializer[1]) for one in (quantized, better)]
    assert np.array_equal(*scales)


def test_that_weights_that_are_no_symmetric_codes_stay(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    original, quantized = pair(random.normal(size=(2, 2, 3, 3)).astype(np.float32), np.zeros(2, np.float32))
    node = quantized.graph.node[0]
    node.input.append("zero")
    quantized.graph.initializer.append(numpy_helper.from_array(np.array([1, 1], np.int8), "zero"))
    moments = moments_of(original, [random.normal(size=(1, 2, SIDE, SIDE)).astype(np.float32)], tmp_path)
    assert rounded(quantized, original, moments) == quantized
    assert rounded(quantized, original, {}) == quantized
