"""Cutting and joining with OpenVINO: real TFLite classifiers, and the tiny ONNX networks."""

from __future__ import annotations

import numpy as np
import openvino
import pytest

from signet.errors import AlreadyExists, BadGraph, BadInput
from signet.graphs import with_openvino
from signet.graphs.opening import files_of, open_graph
from signet.graphs.openvino_walk import OpenvinoView, value_of

CLASSIFIERS = {
    "tf2_mobilenet_v2_1.0_224_ptq": (224, 1280),
    "mobilenet_v1_0.5_160_quant": (160, 512),
    "mobilenet_v1_0.25_128_quant": (128, 256),
    "mobilenet_v2_1.0_224_inat_bird_quant": (224, 1280),
    "mobilenet_v2_1.0_224_inat_insect_quant": (224, 1280),
}


def photo(shared, size, which=0):
    from PIL import Image

    files = sorted((shared / "data" / "imagenet_sample_250").rglob("*.JPEG"))
    files = files or sorted((shared / "data" / "imagenet_sample_250").rglob("*.jp*g"))
    with Image.open(files[which]) as image:
        return np.asarray(image.convert("RGB").resize((size, size)), np.uint8)[None]


def original_head(path):
    """Runs a TFLite classifier's own graph: its last layer's weights, bias, and the scores they give."""
    model = openvino.Core().read_model(str(path))
    layers = [node for node in model.get_ordered_ops() if node.get_type_name() in ("Convolution", "MatMul")]
    view = OpenvinoView(model)
    weights, scores = layers[-1].input(1).get_source_output(), layers[-1].output(0)
    (added,) = scores.get_target_inputs()
    bias = next(
        port.get_source_output()
        for port in added.get_node().inputs()
        if value_of(port.get_source_output()) not in view.varying
    )
    inner = openvino.Model([weights, bias, added.get_node().output(0)], model.get_parameters(), "head")
    compiled = openvino.Core().compile_model(inner, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(batch):
        answers = compiled([batch])
        weights, bias, scores = (np.array(answers[place]) for place in range(3))
        return weights.reshape(len(weights), -1), bias.reshape(-1), scores.reshape(len(scores), -1)

    return run


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_real_classifiers(name, shared, run_openvino, tmp_path):
    size, width = CLASSIFIERS[name]
    path = shared / "weights" / "files" / f"{name}.tflite"
    graph = open_graph(path)
    images = np.concatenate([photo(shared, size, which) for which in (0, 40, 90)])
    before = [run_openvino(path, images[row : row + 1]) for row in range(3)]
    (answer,) = before[0]

    added = with_openvino.add_features(graph, tmp_path / "added.xml")
    cut = with_openvino.backbone(graph, tmp_path / "cut.xml")
    features = []
    for row in range(3):
        after = run_openvino(added, images[row : row + 1])
        assert list(after) == [answer, "features"]
        np.testing.assert_array_equal(after[answer], before[row][answer])
        features.append(run_openvino(cut, images[row : row + 1])["features"])
        np.testing.assert_array_equal(after["features"], features[row])
        assert features[row].shape == (1, width)
        assert features[row].dtype == np.float32

    # The batch is free, though the file fixes it; a quantised network may round a value the other way.
    together = run_openvino(cut, images)
    apart = np.concatenate(features)
    assert np.abs(together["features"] - apart).mean() < 0.02 * apart.std()
    assert run_openvino(added, images)[answer].shape[0] == 3

    # The head that was cut off, joined again, gives the scores that the file computes inside.
    weights, bias, scores = original_head(path)(images[:1])
    joined = with_openvino.join_head(cut, weights, bias, tmp_path / "joined.xml")
    after = run_openvino(joined, images[:1])
    assert list(after) == ["logits", "features"]
    np.testing.assert_allclose(after["logits"], scores, atol=1e-4)


def test_the_cut_graph_is_smaller_and_keeps_its_int8_weights(shared, tmp_path):
    path = shared / "weights" / "files" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    cut = with_openvino.backbone(open_graph(path), tmp_path / "cut.xml")
    (weights,) = files_of(cut)
    assert weights == tmp_path / "cut.bin"
    assert weights.stat().st_size < path.stat().st_size - 1001 * 1280 * 0.9
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cut.bin", "cut.xml"]


@pytest.mark.parametrize("name", ["yolox_nano.onnx", "deeplabv3_mnv2_dm05_pascal_quant.tflite"])
def test_detectors_and_segmenters_are_refused(name, shared, tmp_path):
    graph = open_graph(shared / "weights" / "files" / name)
    with pytest.raises(BadGraph, match=r"before its head: its output .* has the shape"):
        with_openvino.backbone(graph, tmp_path / "cut.xml")
    if graph.format == "onnx":
        from signet.graphs import with_onnx

        with pytest.raises(BadGraph, match=r"before its head: its output .* has the shape"):
            with_onnx.backbone(graph, tmp_path / "cut.onnx")
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("name", HEADS)
def test_tiny_networks(name, make_net, images, run_onnx, run_openvino, tmp_path):
    net = make_net(name)
    before = run_onnx(net.path, images[:1])["answer"]
    graph = open_graph(net.path)
    added = run_openvino(with_openvino.add_features(graph, tmp_path / "added.xml"), images[:1])
    assert list(added) == ["answer", "features"]
    np.testing.assert_allclose(added["answer"], before, atol=1e-4)
    cut = with_openvino.backbone(graph, tmp_path / "cut.xml")
    assert list(run_openvino(cut, images[:1])) == ["features"]
    joined = with_openvino.join_head(cut, net.weights, net.bias, tmp_path / "joined.xml")
    after = run_openvino(joined, images[:1])
    assert list(after) == ["logits", "features"]
    np.testing.assert_allclose(after["logits"], before, atol=1e-4)
    free = openvino.Core().read_model(str(joined.path)).inputs[0].partial_shape[0].is_dynamic
    assert free == (name != "stuck_batch")
    if free:
        singles = [run_onnx(net.path, images[row : row + 1])["answer"] for row in range(len(images))]
        np.testing.assert_allclose(run_openvino(joined, images)["logits"], np.concatenate(singles), atol=1e-4)


@pytest.mark.parametrize("name", ["detector", "flat_detector", "headless", "product"])
def test_what_is_no_classifier_is_refused(name, make_net, tmp_path):
    with pytest.raises(BadGraph, match="Expected a classifier"):
        with_openvino.backbone(open_graph(make_net(name).path), tmp_path / "cut.xml")


def test_squeeze_head_is_averaged_and_external_weights_are_taken_in(
    make_net, external_net, images, run_onnx, run_openvino, tmp_path
):
    squeeze = with_openvino.backbone(open_graph(make_net("squeeze").path), tmp_path / "a.xml")
    gemm = with_openvino.backbone(open_graph(make_net("gemm").path), tmp_path / "b.xml")
    one, other = run_openvino(squeeze, images)["features"], run_openvino(gemm, images)["features"]
    np.testing.assert_allclose(one, other, atol=1e-5)

    cut = with_openvino.backbone(open_graph(external_net.path), tmp_path / "c.xml")
    joined = with_openvino.join_head(cut, external_net.weights, external_net.bias, tmp_path / "d.xml")
    before = run_onnx(external_net.path, images)["answer"]
    np.testing.assert_allclose(run_openvino(joined, images)["logits"], before, atol=1e-4)


def test_again_from_a_joined_graph_and_by_name(make_net, images, run_openvino, tmp_path):
    net = make_net("gemm")
    named = with_openvino.backbone(open_graph(net.path), tmp_path / "1.xml", features="map")
    joined = with_openvino.join_head(named, net.weights, net.bias, tmp_path / "2.xml")
    again = with_openvino.join_head(joined, net.weights[:2], net.bias[:2], tmp_path / "3.xml")
    first, second = run_openvino(joined, images), run_openvino(again, images)
    assert list(second) == ["logits", "features"]
    np.testing.assert_allclose(second["logits"], first["logits"][:, :2], atol=1e-5)
    assert list(run_openvino(with_openvino.backbone(joined, tmp_path / "4.xml"), images)) == ["features"]
    assert list(run_openvino(with_openvino.add_features(joined, tmp_path / "5.xml"), images)) == list(first)


def test_wrong_requests(make_net, tmp_path):
    net = make_net("gemm")
    graph = open_graph(net.path)
    with pytest.raises(BadGraph, match="no output 'other'"):
        with_openvino.add_features(graph, tmp_path / "a.xml", answer="other")
    with pytest.raises(BadGraph, match="no tensor 'other'"):
        with_openvino.add_features(graph, tmp_path / "a.xml", features="other")
    with pytest.raises(BadGraph, match=r"ends in \.xml"):
        with_openvino.add_features(graph, tmp_path / "a.onnx")
    cut = with_openvino.backbone(graph, tmp_path / "cut.xml")
    with pytest.raises(AlreadyExists):
        with_openvino.backbone(graph, tmp_path / "cut.xml")
    with pytest.raises(BadGraph, match="gives 8 features an image, the head expects 7"):
        with_openvino.join_head(cut, net.weights[:, :7], net.bias, tmp_path / "b.xml")
    with pytest.raises(BadInput, match="weights of the head"):
        with_openvino.join_head(cut, net.weights[0], net.bias, tmp_path / "b.xml")


@pytest.mark.parametrize("name", HEADS)
def test_the_penultimate_layer_is_named(name, make_net):
    """Both surgeons tell where they would cut, with the number of features that the head takes."""
    from signet.graphs import with_onnx

    net = make_net(name)
    graph = open_graph(net.path)
    for surgeon in (with_onnx, with_openvino):
        parts = surgeon.penultimate(graph)
        assert sum(width for _, width in parts) == net.weights.shape[1]
        assert all(place for place, _ in parts)


def test_a_detector_has_no_penultimate_layer(make_net):
    graph = open_graph(make_net("detector").path)
    with pytest.raises(BadGraph, match="cannot be cut before its head"):
        with_openvino.penultimate(graph)
