"""Repositories that no index lists: their own files say what they are, and offline they are found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save

from signet.errors import BadCard, BadInput, BadRequest, HubError, OfflineMiss
from signet.resolving import resolve

from .server import Hub

TIMM = {
    "architecture": "resnet18",
    "num_classes": 3,
    "pretrained_cfg": {"input_size": [3, 64, 64], "tag": "own"},
}


def put_vit(hub: Hub, repository: str) -> torch.nn.Module:
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        id2label={0: "cat", 1: "dog"},
        architectures=["ViTForImageClassification"],
    )
    module = transformers.ViTForImageClassification(config).eval()
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    hub.files[repository, "config.json"] = json.dumps(config.to_dict()).encode()
    hub.files[repository, "preprocessor_config.json"] = json.dumps(processor).encode()
    hub.files[repository, "model.safetensors"] = save(dict(module.state_dict()))
    return module


@pytest.mark.parametrize("name", ["transformers/some/vit", "hf-hub:some/vit"])
def test_a_classifier_of_transformers_is_had_by_its_id(hub: Hub, name: str) -> None:
    peer = put_vit(hub, "some/vit")
    model = resolve(name)
    assert model.where == "hub"
    assert model.card.name == "transformers/some/vit"
    assert model.card.labels == ("cat", "dog")
    assert model.card.digest_trust == "locked"
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.networks[0].build()(images), peer(pixel_values=images).logits)

    hub.files.clear()
    again = resolve(name, offline=True)
    assert again.where == "cache"
    assert again.digest == model.digest


def test_a_folder_as_save_pretrained_writes_it_is_a_model(hub: Hub, tmp_path: Path) -> None:
    put_vit(hub, "some/vit")
    folder = tmp_path / "mine"
    folder.mkdir()
    for (_, file), data in hub.files.items():
        (folder / file).write_bytes(data)
    model = resolve(folder)
    assert (model.card.name, model.where) == ("transformers/mine", "file")


def test_a_model_of_timm_that_no_index_lists_is_had_by_its_repository(hub: Hub) -> None:
    timm = pytest.importorskip("timm")
    hub.files["some/one", "config.json"] = json.dumps(TIMM).encode()
    hub.files["some/one", "model.safetensors"] = save(
        timm.create_model("resnet18", num_classes=3).state_dict()
    )
    model = resolve("hf-hub:some/one")
    assert model.card.name == "timm/resnet18.own"
    assert model.card.input_size == (64, 64)


def test_a_known_repository_is_the_index_own(hub: Hub) -> None:
    with pytest.raises(OfflineMiss, match=r"timm/resnet18\.a1_in1k"):
        resolve("hf-hub:timm/resnet18.a1_in1k", offline=True)


def test_a_repository_without_a_config_is_refused(hub: Hub) -> None:
    hub.files["some/one", "model.safetensors"] = save({"a": torch.zeros(1)})
    with pytest.raises(BadInput, match=r"config\.json beside its weights"):
        resolve("hf-hub:some/one")


def test_a_missing_image_processor_is_said(hub: Hub) -> None:
    put_vit(hub, "some/vit")
    del hub.files["some/vit", "preprocessor_config.json"]
    with pytest.raises(BadCard, match="not guessed"):
        resolve("transformers/some/vit")


def test_what_is_not_there_is_said(hub: Hub) -> None:
    with pytest.raises(HubError):
        resolve("transformers/some/nothing")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm/resnet18.a1_in1k:labels=cat,dog", "labels of its own"),
        ("timm/resnet18.a1_in1k:label=cat,dog", "labels"),
        ("timm/resnet18.a1_in1k:labels=", "separated by commas"),
        ("timm/resnet18.a1_in1k:labels", "separated by commas"),
        ("timm/resnet18.a1_in1k:labels=@nowhere.txt", "one word or phrase a line"),
    ],
)
def test_words_behind_a_colon_are_for_who_can_read_them(
    hub: Hub, mirror: Path, name: str, words: str
) -> None:
    timm = pytest.importorskip("timm")
    folder = mirror / "timm" / "resnet18.a1_in1k"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**TIMM, "num_classes": 3}))
    (folder / "model.safetensors").write_bytes(
        save(timm.create_model("resnet18", num_classes=3).state_dict())
    )
    with pytest.raises((BadRequest, BadInput), match=words):
        resolve(name)
