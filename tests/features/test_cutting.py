"""A graph file gets its features as an output, once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from signet.decoding import read
from signet.errors import WrongTask
from signet.features import graph_with_features
from signet.models import load, resolve
from signet.preprocessing import finish
from signet.testing import TinyNetwork


@pytest.fixture
def bare(tmp_path, floor3):
    """The tiny network whose graph has logits only."""
    onnx = pytest.importorskip("onnx")
    pretrained = floor3.graph_model(tmp_path, output=dataclasses.replace(floor3.card().output, features=None))
    graph = pretrained.networks[0]
    model = onnx.load(graph.path)
    del model.graph.output[1]
    onnx.save(model, graph.path)
    from signet.graphs.opening import open_graph

    opened = open_graph(graph.path)
    return dataclasses.replace(pretrained, networks=(opened,), digest=opened.digest)


def test_the_features_are_those_before_the_head(bare, tmp_path, floor3):
    found = graph_with_features(bare, tmp_path / "cache")
    assert found.card.output.features == "features"
    assert found.digest != bare.digest
    with load(found, engine="onnx") as model:
        batch = model.prepare([floor3.picture(1), floor3.picture(2)])
        outputs = model.run(batch)
        expected = TinyNetwork.made().answer(finish(batch).arrays)
    np.testing.assert_allclose(outputs["features"], expected["features"], atol=1e-5)
    np.testing.assert_allclose(outputs["logits"], expected["logits"], atol=1e-5)


def test_it_is_cut_once(bare, tmp_path, monkeypatch):
    first = graph_with_features(bare, tmp_path / "cache")

    def never(*_, **__):
        raise AssertionError

    from signet.graphs import with_onnx

    monkeypatch.setattr(with_onnx, "add_features", never)
    assert graph_with_features(bare, tmp_path / "cache").digest == first.digest


def test_a_model_that_has_features_is_itself(tmp_path, floor3):
    pretrained = floor3.graph_model(tmp_path)
    assert graph_with_features(pretrained) is pretrained


def test_a_model_of_another_task_is_refused(tmp_path, floor3):
    output = dataclasses.replace(floor3.card().output, head="yolox", features=None)
    with pytest.raises(WrongTask, match="has no features"):
        graph_with_features(floor3.graph_model(tmp_path, output=output, labels=None))


@pytest.mark.slow
def test_tflite_files_get_features(shared, tmp_path):
    found = graph_with_features(
        resolve(shared / "weights" / "files" / "mobilenet_v1_0.25_128_quant.tflite"), tmp_path / "cache"
    )
    image = min((shared / "data" / "imagenet_sample_250").glob("*.*JPEG"), default=None) or min(
        (shared / "data" / "imagenet_sample_250").glob("**/*.jp*g")
    )
    with load(found, engine="openvino", precision="fp32") as model:
        (vector,) = model.embed([read(image)])
    assert len(vector) == 256
