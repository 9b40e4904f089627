"""Tiny ONNX networks with the heads that real ones have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet.arrays import Array
from signet.networks import GraphFile


@dataclass(frozen=True)
class Net:
    """A network file, and the linear head that was built into it."""

    path: Path
    weights: Array
    bias: Array


CLASSES, WIDTH = 5, 8
INPUT = (3, 12, 12)


class Builder:
    """Collects nodes and constants of one tiny network."""

    def __init__(self, batch: int | str = "batch") -> None:
        self.random = np.random.default_rng(7)
        self.batch = batch
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self.weights = self.random.normal(size=(CLASSES, WIDTH)).astype(np.float32)
        self.bias = self.random.normal(size=CLASSES).astype(np.float32)

    def add(self, operator: str, inputs: Sequence[str], output: str, **settings: Any) -> str:
        from onnx import helper

        self.nodes.append(
            helper.make_node(operator, list(inputs), [output], name=f"node_{output}", **settings)
        )
        return output

    def constant(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        self.constants[name] = np.asarray(values, dtype)
        return name

    def trunk(self) -> str:
        """Convolutions with a residual connection: (N, 8, 6, 6)."""
        kernel = self.random.normal(size=(WIDTH, 3, 3, 3)).astype(np.float32)
        self.constant("kernel", kernel * 0.3)
        self.constant("inner", self.random.normal(size=(WIDTH, WIDTH, 3, 3)) * 0.2)
        first = self.add("Conv", ["image", "kernel"], "first", pads=[1, 1, 1, 1], strides=[2, 2])
        bent = self.add("Relu", [first], "bent")
        second = self.add("Conv", [bent, "inner"], "second", pads=[1, 1, 1, 1])
        return self.add("Relu", [self.add("Add", [second, bent], "residual")], "map")

    def pooled(self) -> str:
        """(N, 8)"""
        return self.add("Flatten", [self.add("GlobalAveragePool", [self.trunk()], "pooled")], "vector")

    def linear(self, vector: str, output: str) -> str:
        self.constant("head.weight", self.weights)
        self.constant("head.bias", self.bias)
        return self.add("Gemm", [vector, "head.weight", "head.bias"], output, transB=1)

    def save(self, path: Path, outputs: Sequence[str] = ("answer",), opset: int = 17, **model: Any) -> Net:
        import onnx
        from onnx import helper, numpy_helper

        graph = helper.make_graph(
            self.nodes,
            "tiny",
            [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [self.batch, *INPUT])],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        for value in graph.output:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **model)
        made = onnx.shape_inference.infer_shapes(made)
        onnx.save(made, path)
        return Net(path, self.weights, self.bias)


def gemm(path: Path) -> Net:
    net = Builder()
    net.linear(net.pooled(), "answer")
    return net.save(path)


def matmul_add(path: Path) -> Net:
    net = Builder()
    net.constant("head.weight", net.weights.T)
    net.constant("head.bias", net.bias)
    product = net.add("MatMul", [net.pooled(), "head.weight"], "product")
    net.add("Add", [product, "head.bias"], "answer")
    return net.save(path)


def conv(path: Path) -> Net:
    net = Builder()
    net.constant("head.weight", net.weights[:, :, None, None])
    net.constant("head.bias", net.bias)
    pooled = net.add("GlobalAveragePool", [net.trunk()], "pooled")
    net.add("Flatten", [net.add("Conv", [pooled, "head.weight", "head.bias"], "scores")], "answer")
    return net.save(path)


def conv_then_mean(path: Path) -> Net:
    net = Builder()
    net.constant("head.weight", net.weights[:, :, None, None])
    net.constant("head.bias", net.bias)
    scores = net.add("Conv", [net.trunk(), "head.weight", "head.bias"], "scores")
    net.add("ReduceMean", [scores], "answer", axes=[2, 3], keepdims=0)
    return net.save(path)


def squeeze(path: Path) -> Net:
    """As SqueezeNet ends: the ReLU stands between the layer and the mean."""
    net = Builder()
    net.constant("head.weight", net.weights[:, :, None, None])
    net.constant("head.bias", net.bias)
    scores = net.add("Conv", [net.trunk(), "head.weight", "head.bias"], "scores")
    mean = net.add("GlobalAveragePool", [net.add("Relu", [scores], "positive")], "mean")
    net.add("Flatten", [mean], "answer")
    return net.save(path)


def softmax(path: Path) -> Net:
    net = Builder()
    net.add("Softmax", [net.linear(net.pooled(), "scores")], "answer", axis=1)
    return net.save(path)


def taken_names(path: Path) -> Net:
    """Inner values that bear the names that outputs are to get."""
    net = Builder()
    net.add("Identity", [net.pooled()], "features")
    net.add("Identity", [net.linear("features", "logits")], "answer")
    return net.save(path)


def tokens(path: Path) -> Net:
    """A head on every position of a sequence, then the mean; operator set 18 has axes as an input."""
    net = Builder()
    net.constant("shape", [0, WIDTH, -1], np.int64)
    net.constant("head.weight", net.weights.T)
    net.constant("head.bias", net.bias)
    net.constant("axes", [1], np.int64)
    rows = net.add("Transpose", [net.add("Reshape", [net.trunk(), "shape"], "flat")], "rows", perm=[0, 2, 1])
    scores = net.add("Add", [net.add("MatMul", [rows, "head.weight"], "product"), "head.bias"], "scores")
    net.add("ReduceMean", [scores, "axes"], "answer", keepdims=0)
    return net.save(path, opset=18)


def distilled(path: Path) -> Net:
    """The mean of two heads on two vectors; as one head it is twice as wide."""
    net = Builder()
    other = net.random.normal(size=(CLASSES, WIDTH)).astype(np.float32)
    vector = net.pooled()
    net.add("Tanh", [vector], "second_vector")
    net.constant("other.weight", other)
    net.constant("half", 0.5)
    sums = ["one", "two"]
    net.linear(vector, "one")
    net.add("Gemm", ["second_vector", "other.weight"], "two", transB=1)
    net.add("Mul", [net.add("Add", sums, "sum"), "half"], "answer")
    made = net.save(path)
    return Net(path, np.concatenate([made.weights, other], axis=1) / 2, made.bias / 2)


def fixed_batch(path: Path) -> Net:
    net = Builder(batch=1)
    net.constant("shape", [1, WIDTH], np.int64)
    pooled = net.add("GlobalAveragePool", [net.trunk()], "pooled")
    net.linear(net.add("Reshape", [pooled, "shape"], "vector"), "answer")
    return net.save(path)


def stuck_batch(path: Path) -> Net:
    """A class token that was expanded for a batch of one: no reshape can free it."""
    net = Builder(batch=1)
    net.constant("token", net.random.normal(size=(1, WIDTH)))
    net.constant("mixing", net.random.normal(size=(2 * WIDTH, WIDTH)))
    both = net.add("Concat", [net.pooled(), "token"], "both", axis=1)
    net.linear(net.add("Relu", [net.add("MatMul", [both, "mixing"], "mixed")], "vector_2"), "answer")
    return net.save(path)


def detector(path: Path) -> Net:
    net = Builder()
    net.constant("shape", [0, WIDTH, -1], np.int64)
    net.add("Reshape", [net.trunk(), "shape"], "answer")
    return net.save(path)


def flat_detector(path: Path) -> Net:
    """(N, C * 36): looks like a classifier, but answers for each position."""
    net = Builder()
    net.constant("head.weight", net.weights[:, :, None, None])
    net.add("Flatten", [net.add("Conv", [net.trunk(), "head.weight"], "scores")], "answer")
    return net.save(path)


def headless(path: Path) -> Net:
    net = Builder()
    net.add("Identity", [net.pooled()], "answer")
    return net.save(path)


def product(path: Path) -> Net:
    """A last MatMul of two computed values, as an attention has."""
    net = Builder()
    vector = net.pooled()
    net.constant("axes", [2], np.int64)
    turned = net.add("Unsqueeze", [vector, "axes"], "turned")
    net.constant("first_axes", [1], np.int64)
    row = net.add("Unsqueeze", [vector, "first_axes"], "row")
    net.constant("one", [-1, 1], np.int64)
    net.add("Reshape", [net.add("MatMul", [row, turned], "scores"), "one"], "answer")
    return net.save(path)


BUILDERS: dict[str, Callable[[Path], Net]] = {
    build.__name__: build
    for build in (
        gemm,
        matmul_add,
        conv,
        conv_then_mean,
        squeeze,
        softmax,
        taken_names,
        tokens,
        distilled,
        fixed_batch,
        stuck_batch,
        detector,
        flat_detector,
        headless,
        product,
    )
}


@pytest.fixture
def make_net(tmp_path: Path) -> Callable[[str], Net]:
    """Builds a tiny network by its name in this file."""
    pytest.importorskip("onnx")
    return lambda name: BUILDERS[name](tmp_path / f"{name}.onnx")


@pytest.fixture
def images() -> Array:
    """float32 (4, 3, 12, 12)"""
    return np.random.default_rng(3).normal(size=(4, *INPUT)).astype(np.float32)


@pytest.fixture
def external_net(make_net: Callable[[str], Net], tmp_path: Path) -> Net:
    """As an embedded model lies on disk: float16 weights in a safetensors file, cast by the graph."""
    import onnx
    from onnx import helper, numpy_helper
    from safetensors.numpy import save_file

    folder = tmp_path / "embedded"
    folder.mkdir()
    model = onnx.load(make_net("gemm").path)
    halves = {
        tensor.name: numpy_helper.to_array(tensor).astype(np.float16) for tensor in model.graph.initializer
    }
    save_file(halves, folder / "model.safetensors")
    content = (folder / "model.safetensors").read_bytes()
    del model.graph.initializer[:]
    casts = []
    for name, values in halves.items():
        raw = values.tobytes()
        tensor = onnx.TensorProto(name=f"{name}.half", dims=values.shape, data_type=onnx.TensorProto.FLOAT16)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        place = {"location": "model.safetensors", "offset": content.index(raw), "length": len(raw)}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        model.graph.initializer.append(tensor)
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    (folder / "graph.onnx").write_bytes(model.SerializeToString())
    weights, bias = halves["head.weight"].astype(np.float32), halves["head.bias"].astype(np.float32)
    return Net(folder / "graph.onnx", weights, bias)


Run = Callable[[GraphFile | Path, Array], dict[str, Array]]


@pytest.fixture
def run_onnx() -> Run:
    """Runs a graph with ONNX Runtime: its outputs by name, in order."""
    import onnxruntime

    def run(graph: GraphFile | Path, batch: Array) -> dict[str, Array]:
        path = graph.path if isinstance(graph, GraphFile) else graph
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, {session.get_inputs()[0].name: batch}), strict=True))

    return run


@pytest.fixture
def run_openvino() -> Run:
    """Runs a graph with OpenVINO in float32: its outputs by name, in order."""
    import openvino

    def run(graph: GraphFile | Path, batch: Array) -> dict[str, Array]:
        path = graph.path if isinstance(graph, GraphFile) else graph
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        answers = compiled([batch])
        return {port.get_any_name(): np.array(answers[port]) for port in compiled.outputs}

    return run
