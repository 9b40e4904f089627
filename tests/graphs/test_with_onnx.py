"""Cutting and joining ONNX graphs: the features are those of the head, and the head can be put back."""

from __future__ import annotations

import numpy as np
import pytest

from signet.errors import AlreadyExists, BadGraph, BadInput
from signet.graphs import with_onnx
from signet.graphs.opening import files_of, open_graph

HEADS = [
    "gemm",
    "matmul_add",
    "conv",
    "conv_then_mean",
    "taken_names",
    "tokens",
    "distilled",
    "fixed_batch",
    "stuck_batch",
]


def logits_of(answers, net):
    return answers["features"] @ net.weights.T + net.bias


@pytest.mark.parametrize("name", [*HEADS, "softmax", "squeeze"])
def test_features_are_added_after_the_same_answers(name, make_net, images, run_onnx, run_openvino, tmp_path):
    net = make_net(name)
    before = run_onnx(net.path, images[:1])
    added = with_onnx.add_features(open_graph(net.path), tmp_path / "out.onnx")
    after = run_onnx(added, images[:1])
    assert list(after) == ["answer", "features"]
    assert after["features"].dtype == np.float32
    assert after["features"].shape == (1, net.weights.shape[1])
    np.testing.assert_allclose(after["answer"], before["answer"], atol=1e-6)
    assert list(run_openvino(added, images[:1])) == ["answer", "features"]


@pytest.mark.parametrize("name", HEADS)
def test_the_original_head_joined_to_the_cut_graph_gives_the_original_logits(
    name, make_net, images, run_onnx, run_openvino, tmp_path
):
    net = make_net(name)
    before = run_onnx(net.path, images[:1])["answer"]
    cut = with_onnx.backbone(open_graph(net.path), tmp_path / "cut.onnx")
    joined = with_onnx.join_head(cut, net.weights, net.bias, tmp_path / "joined.onnx")
    for run in (run_onnx, run_openvino):
        assert list(run(cut, images[:1])) == ["features"]
        after = run(joined, images[:1])
        assert list(after) == ["logits", "features"]
        assert after["logits"].dtype == after["features"].dtype == np.float32
        np.testing.assert_allclose(after["logits"], before, atol=1e-4)


def test_softmax_and_squeeze_heads_give_the_layer_s_own_input(make_net, images, run_onnx, tmp_path):
    net = make_net("softmax")
    after = run_onnx(with_onnx.add_features(open_graph(net.path), tmp_path / "a.onnx"), images)
    powers = np.exp(logits_of(after, net))
    np.testing.assert_allclose(after["answer"], powers / powers.sum(axis=1, keepdims=True), atol=1e-5)

    net = make_net("squeeze")
    gemm = run_onnx(with_onnx.backbone(open_graph(make_net("gemm").path), tmp_path / "b.onnx"), images)
    after = run_onnx(with_onnx.backbone(open_graph(net.path), tmp_path / "c.onnx"), images)
    np.testing.assert_allclose(after["features"], gemm["features"], atol=1e-6)  # the same trunk, averaged


def test_the_cut_graph_holds_nothing_of_the_head(make_net, tmp_path):
    import onnx

    net = make_net("softmax")
    model = onnx.load(with_onnx.backbone(open_graph(net.path), tmp_path / "cut.onnx").path)
    assert {tensor.name for tensor in model.graph.initializer} == {"kernel", "inner"}
    assert not {"Gemm", "Softmax"} & {node.op_type for node in model.graph.node}
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("name", ["gemm", "fixed_batch"])
def test_batch_is_free_where_it_was_or_can_be(name, make_net, images, run_onnx, run_openvino, tmp_path):
    net = make_net(name)
    graph = open_graph(net.path)
    added = with_onnx.add_features(graph, tmp_path / "added.onnx")
    singles = [run_onnx(net.path, images[row : row + 1])["answer"] for row in range(len(images))]
    for run in (run_onnx, run_openvino):
        together = run(added, images)
        np.testing.assert_allclose(together["answer"], np.concatenate(singles), atol=1e-5)
        np.testing.assert_allclose(logits_of(together, net), np.concatenate(singles), atol=1e-4)


def test_batch_that_cannot_be_freed_stays_and_the_shape_says_so(make_net, tmp_path):
    import onnx

    model = onnx.load(
        with_onnx.backbone(open_graph(make_net("stuck_batch").path), tmp_path / "cut.onnx").path
    )
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 1


def test_external_float16_weights_are_taken_in(external_net, images, run_onnx, run_openvino, tmp_path):
    graph = open_graph(external_net.path)
    before = run_onnx(graph, images)["answer"]
    cut = with_onnx.backbone(graph, tmp_path / "elsewhere" / "cut.onnx")
    joined = with_onnx.join_head(cut, external_net.weights, external_net.bias, tmp_path / "joined.onnx")
    assert files_of(joined) == files_of(cut) == ()
    for run in (run_onnx, run_openvino):
        np.testing.assert_allclose(run(joined, images)["logits"], before, atol=1e-4)


def test_again_from_a_joined_graph(make_net, images, run_onnx, tmp_path):
    """What was sealed is fine-tuned again: its own `features` are used, its old head goes."""
    net = make_net("gemm")
    joined = with_onnx.join_head(
        with_onnx.backbone(open_graph(net.path), tmp_path / "1.onnx"),
        net.weights,
        net.bias,
        tmp_path / "2.onnx",
    )
    again = with_onnx.join_head(joined, net.weights[:2] * 2, net.bias[:2] * 2, tmp_path / "3.onnx")
    after = run_onnx(again, images)
    assert list(after) == ["logits", "features"]
    np.testing.assert_allclose(after["logits"], 2 * run_onnx(joined, images)["logits"][:, :2], atol=1e-5)
    assert list(run_onnx(with_onnx.backbone(joined, tmp_path / "4.onnx"), images)) == ["features"]
    same = run_onnx(with_onnx.add_features(joined, tmp_path / "5.onnx"), images)
    assert list(same) == ["logits", "features"]


@pytest.mark.parametrize("features", ["vector", "map", "pooled"])
def test_features_by_name(features, make_net, images, run_onnx, tmp_path):
    net = make_net("gemm")
    named = with_onnx.add_features(open_graph(net.path), tmp_path / "a.onnx", features=features)
    after = run_onnx(named, images)
    np.testing.assert_allclose(logits_of(after, net), after["answer"], atol=1e-4)


def test_an_embedding_joins_by_its_only_output(make_net, images, run_onnx, tmp_path):
    net = make_net("headless")
    joined = with_onnx.join_head(open_graph(net.path), net.weights, net.bias, tmp_path / "joined.onnx")
    after = run_onnx(joined, images)
    np.testing.assert_allclose(after["features"], run_onnx(net.path, images)["answer"], atol=1e-6)
    np.testing.assert_allclose(after["logits"], logits_of(after, net), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("detector", "has the shape"),
        ("flat_detector", "has 5 outputs where the answer has 180"),
        ("headless", "is a convolution of (8, 8, 3, 3)|is a sum|comes through"),
        ("product", "no constant weights"),
    ],
)
def test_what_is_no_classifier_is_refused(name, words, make_net, tmp_path):
    import re

    net = make_net(name)
    with pytest.raises(BadGraph, match="|".join(re.escape(word) for word in words.split("|"))) as caught:
        with_onnx.backbone(open_graph(net.path), tmp_path / "cut.onnx")
    assert "Expected a classifier" in str(caught.value)
    assert not (tmp_path / "cut.onnx").exists()


def test_wrong_requests(make_net, tmp_path):
    net = make_net("gemm")
    graph = open_graph(net.path)
    with pytest.raises(BadGraph, match="no output 'other'"):
        with_onnx.add_features(graph, tmp_path / "a.onnx", answer="other")
    with pytest.raises(BadGraph, match="no tensor 'other'"):
        with_onnx.add_features(graph, tmp_path / "a.onnx", features="other")
    with pytest.raises(BadGraph, match=r"ends in \.onnx"):
        with_onnx.add_features(graph, tmp_path / "a.xml")
    cut = with_onnx.backbone(graph, tmp_path / "cut.onnx")
    with pytest.raises(AlreadyExists):
        with_onnx.backbone(graph, tmp_path / "cut.onnx")
    with pytest.raises(BadGraph, match="gives 8 features an image, the head expects 7"):
        with_onnx.join_head(cut, net.weights[:, :7], net.bias, tmp_path / "b.onnx")
    with pytest.raises(BadInput, match="bias of the head"):
        with_onnx.join_head(cut, net.weights, net.bias[:3], tmp_path / "b.onnx")
    with pytest.raises(BadInput, match="finite"):
        with_onnx.join_head(cut, net.weights * np.nan, net.bias, tmp_path / "b.onnx")


def test_local_functions_and_branches(make_net, images, run_onnx, tmp_path):
    """Functions are inlined; what a branch of an `If` reads from outside survives the pruning."""
    import onnx
    from onnx import helper

    net = make_net("gemm")
    model = onnx.load(net.path)
    inner = helper.make_node("Add", ["vector", "offset"], ["moved"])
    kept = helper.make_node("Identity", ["vector"], ["same"])
    kind = onnx.TensorProto.FLOAT
    branches = {
        "then_branch": helper.make_graph(
            [inner], "t", [], [helper.make_tensor_value_info("moved", kind, None)]
        ),
        "else_branch": helper.make_graph(
            [kept], "e", [], [helper.make_tensor_value_info("same", kind, None)]
        ),
    }
    nodes = list(model.graph.node)
    nodes[-1].input[0] = "chosen"
    nodes.insert(-1, helper.make_node("If", ["yes"], ["branched"], **branches))
    nodes.insert(-1, helper.make_node("Twice", ["branched"], ["chosen"], domain="own"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "yes"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([1.0]), "offset"))
    twice = helper.make_function(
        "own",
        "Twice",
        ["x"],
        ["y"],
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [helper.make_opsetid("", 17)],
    )
    model.functions.append(twice)
    model.opset_import.append(helper.make_opsetid("own", 1))
    onnx.save(model, tmp_path / "branched.onnx")
    before = run_onnx(tmp_path / "branched.onnx", images)["answer"]
    cut = with_onnx.backbone(open_graph(tmp_path / "branched.onnx"), tmp_path / "cut.onnx")
    after = run_onnx(cut, images)
    np.testing.assert_allclose(logits_of(after, net), before, atol=1e-4)


def test_without_the_library(make_net, tmp_path, monkeypatch):
    import sys

    from signet.errors import MissingExtra

    graph = open_graph(make_net("gemm").path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"signet\[fit\]"):
        with_onnx.backbone(graph, tmp_path / "cut.onnx")
