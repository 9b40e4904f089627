"""The output of any layer as a model's features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet.cards import OutputContract
from signet.engines.contract import EngineSettings
from signet.errors import BadRequest, EngineError, UnknownName, WrongTask
from signet.models import load
from signet.networks import GraphFile, ModuleSource, Pretrained
from signet.predictions import Classes, Embedding
from signet.preprocessing import prepare
from signet.tapping import layers, with_layer
from signet.testing import TinyNetwork

torch = pytest.importorskip("torch")
ONE = EngineSettings(threads=1)


def vectors(found: Pretrained, images: list[Any]) -> np.ndarray:
    with load(found, Embedding, engine="torch", settings=ONE) as model:
        (found,) = model.run(model.prepare(images)).values()
        return found


@pytest.fixture
def images(floor3: ModuleType) -> list[Any]:
    return [floor3.picture(seed) for seed in range(3)]


@pytest.fixture
def maps(floor3: ModuleType, images: list[Any]) -> np.ndarray:
    """What the layer `rectifier` gives, by torch itself."""
    module = floor3.torch_module()[:2]
    with torch.inference_mode():
        return module(torch.from_numpy(np.asarray(prepare(images, floor3.PROGRAM).arrays))).numpy()


def test_the_penultimate_features_are_there_already(floor3: ModuleType, tmp_path: Path) -> None:
    for found in (floor3.module_model(), floor3.graph_model(tmp_path)):
        assert with_layer(found) is found


def test_a_layers_maps_are_pooled_or_kept(floor3: ModuleType, images: list[Any], maps: np.ndarray) -> None:
    pooled = with_layer(floor3.module_model(), "rectifier")
    assert pooled.card.task == "embed"
    assert pooled.card.labels is None
    np.testing.assert_allclose(vectors(pooled, images), maps.mean(axis=(2, 3)), atol=1e-5)
    kept = with_layer(floor3.module_model(), "rectifier", "none")
    np.testing.assert_allclose(vectors(kept, images), maps, atol=1e-5)
    with load(pooled, Embedding, engine="torch", settings=ONE) as model:
        np.testing.assert_allclose(model(images)[2].vector, maps[2].mean(axis=(1, 2)), atol=1e-5)


def test_what_goes_into_the_head_can_be_kept_whole(floor3: ModuleType, images: list[Any]) -> None:
    found = with_layer(floor3.module_model(), pool="none")
    arrays = np.asarray(prepare(images, floor3.PROGRAM).arrays)
    np.testing.assert_allclose(
        vectors(found, images), TinyNetwork.made().answer(arrays)["features"], atol=1e-5
    )


def test_each_layer_and_pool_has_a_digest_of_its_own(floor3: ModuleType) -> None:
    model = floor3.module_model()
    taps = [with_layer(model, layer, pool) for layer in ("rectifier", "pool") for pool in ("mean", "none")]
    digests = {tap.digest for tap in taps} | {model.digest}
    assert len(digests) == 5
    assert with_layer(model, "pool").digest == taps[2].digest
    for tap in taps:
        assert tap.networks[0].digest == tap.digest
        assert tap.networks[0].classifier is None


def test_a_layer_of_tokens_is_pooled_over_them(floor3: ModuleType, images: list[Any]) -> None:
    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = torch.nn.Flatten(2)

        def forward(self, images: Any) -> Any:
            return self.tokens(images).mean(dim=2)

    found = floor3.module_model()
    source = ModuleSource(Tokens, "c" * 64, (3, *floor3.SIZE))
    tapped = with_layer(dataclasses.replace(found, networks=(source,)), "tokens")
    arrays = np.asarray(prepare(images, floor3.PROGRAM).arrays)
    np.testing.assert_allclose(vectors(tapped, images), arrays.reshape(3, 3, -1).mean(axis=1), atol=1e-5)


def test_an_unknown_layer_is_refused_with_near_ones(floor3: ModuleType) -> None:
    with pytest.raises(UnknownName, match=r"No layer named 'rectifer'\. Did you mean 'rectifier'"):
        load(with_layer(floor3.module_model(), "rectifer"), engine="torch", settings=ONE)


def test_a_layer_that_takes_no_part_is_refused(floor3: ModuleType, images: list[Any]) -> None:
    class WithSpare(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 4, 3)

        def forward(self, images: Any) -> Any:
            return self.used(images)

    source = ModuleSource(WithSpare, "d" * 64, (3, *floor3.SIZE))
    tapped = with_layer(dataclasses.replace(floor3.module_model(), networks=(source,)), "spare")
    with pytest.raises(EngineError, match="layer 'spare' takes no part"):
        vectors(tapped, images)


def test_a_graph_without_a_torch_form_has_its_tensors_for_layers(
    floor3: ModuleType, images: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    found = floor3.graph_model(tmp_path)
    names = layers(found)
    assert "logits" in names
    tapped = with_layer(found, "logits")
    assert (tapped.card.task, tapped.card.labels) == ("embed", None)
    with load(found, Classes, engine="onnx", settings=ONE) as model:
        logits = model.run(model.prepare(images))["logits"]
    with load(tapped, Embedding, engine="onnx", settings=ONE) as model:
        vectors = [answer.vector for answer in model(images)]
    np.testing.assert_allclose(vectors, logits, atol=1e-5)
    with pytest.raises(UnknownName, match=r"No layer named 'logit'\. Did you mean 'logits'"):
        with_layer(found, "logit")


def test_a_graph_keeps_no_maps_and_a_tflite_graph_has_no_layers(floor3: ModuleType, tmp_path: Path) -> None:
    found = floor3.graph_model(tmp_path)
    with pytest.raises(BadRequest, match="name a model that has a torch form"):
        with_layer(found, pool="none")
    lite = dataclasses.replace(found, networks=(GraphFile(tmp_path / "a.tflite", "tflite", "e" * 64),))
    with pytest.raises(BadRequest, match="needs an ONNX or OpenVINO graph"):
        with_layer(lite, "logits")


def test_a_torch_form_names_its_modules(floor3: ModuleType) -> None:
    assert "rectifier" in layers(floor3.module_model())


def test_another_pool_is_refused(floor3: ModuleType) -> None:
    with pytest.raises(BadRequest, match="--pool: expected mean or none, got 'max'"):
        with_layer(floor3.module_model(), pool="max")


def test_without_a_head_and_without_a_layer_there_is_nothing_to_take(floor3: ModuleType) -> None:
    headless = dataclasses.replace(floor3.module_source(), classifier=None)
    model = dataclasses.replace(floor3.module_model(), networks=(headless,))
    with pytest.raises(WrongTask, match="name the --layer"):
        with_layer(model, pool="none")
    output = OutputContract(head="softmax", tensor="logits", classes=5)
    bare = dataclasses.replace(model, card=floor3.card(output=output))
    with pytest.raises(WrongTask, match="no features to embed with"):
        with_layer(bare)
