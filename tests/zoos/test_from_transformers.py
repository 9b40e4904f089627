"""transformers' classifiers, small ones with random weights: loaded by Signet, they answer as their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from signet import tracing
from signet.batches import Batch
from signet.engines import on_onnx
from signet.engines.contract import EngineSettings
from signet.errors import BadCard, BadInput, UnknownName
from signet.geometry import Geometry
from signet.graphs.opening import open_graph
from signet.hub import WeightFiles
from signet.networks import Pretrained
from signet.zoos import from_transformers

PLAIN = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
STAGES = {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}

# Model type, class, input size, settings that make it small.
FAMILIES: list[tuple[str, str, int, dict[str, Any]]] = [
    ("beit", "Beit", 64, {**PLAIN, "image_size": 64}),
    ("bit", "Bit", 64, {"hidden_sizes": [128] * 4, "depths": [1, 1, 1, 1], "embedding_size": 32}),
    ("convnext", "ConvNext", 64, STAGES),
    ("convnextv2", "ConvNextV2", 64, STAGES),
    ("data2vec-vision", "Data2VecVision", 64, {**PLAIN, "image_size": 64}),
    ("deit", "DeiT", 64, {**PLAIN, "image_size": 64}),
    ("dinov2", "Dinov2", 70, {**PLAIN, "image_size": 70, "patch_size": 14}),
    ("dinov2_with_registers", "Dinov2WithRegisters", 70, {**PLAIN, "image_size": 70, "patch_size": 14}),
    ("focalnet", "FocalNet", 64, {"image_size": 64, "embed_dim": 16}),
    ("levit", "Levit", 224, {"hidden_sizes": [32, 48, 64], "depths": [1, 1, 1]}),
    ("mobilenet_v1", "MobileNetV1", 64, {"depth_multiplier": 0.25}),
    ("mobilenet_v2", "MobileNetV2", 64, {"depth_multiplier": 0.35}),
    ("mobilevitv2", "MobileViTV2", 64, {"width_multiplier": 0.5}),
    ("poolformer", "PoolFormer", 64, {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}),
    (
        "regnet",
        "RegNet",
        64,
        {"embedding_size": 16, "depths": [1] * 4, "hidden_sizes": [16, 32, 32, 64], "groups_width": 8},
    ),
    ("resnet", "ResNet", 64, {"embedding_size": 16, "depths": [1] * 4, "hidden_sizes": [16, 32, 32, 64]}),
    ("segformer", "Segformer", 64, {"hidden_sizes": [8, 16, 16, 32], "depths": [1] * 4}),
    ("swiftformer", "SwiftFormer", 224, {"depths": [1] * 4}),
    (
        "swin",
        "Swin",
        64,
        {"embed_dim": 16, "image_size": 64, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4},
    ),
    (
        "swinv2",
        "Swinv2",
        64,
        {"embed_dim": 16, "image_size": 64, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4},
    ),
    ("vit", "ViT", 64, {**PLAIN, "image_size": 64}),
]
HERE = Geometry.of((64, 64))
EXPORTED = ("bit", "convnextv2", "dinov2", "levit", "mobilenet_v2", "resnet", "swin", "vit")


def folder_of(place: Path, kind: str, size: int, settings: dict[str, Any], **more: Any) -> tuple[Path, Any]:
    """A folder as the hub has it, and the library's own module."""
    torch.manual_seed(5)
    config = transformers.AutoConfig.for_model(kind, **{"num_labels": 7, **settings, **more})
    name = next(row[1] for row in FAMILIES if row[0] == kind)
    module = getattr(transformers, f"{name}ForImageClassification")(config).eval()
    # What random weights leave at zero would hide a mistake in loading it.
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                noise = torch.rand_like(value)
                value.copy_(value.abs() + noise / 2 if value.dim() < 2 else (noise - 0.5) / 2)
    module.save_pretrained(place)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": size, "width": size}}
    (place / "preprocessor_config.json").write_text(json.dumps(processor))
    return place, module


def loaded(place: Path, **changes: Any) -> Pretrained:
    config = {**json.loads((place / "config.json").read_text()), **changes}
    found = WeightFiles(config, place / "model.safetensors", "a" * 64, "unknown", "folder")
    return from_transformers.pretrained("transformers/some/one", config, found)


@pytest.mark.parametrize(("kind", "name", "size", "settings"), FAMILIES, ids=[row[0] for row in FAMILIES])
def test_logits_are_those_of_transformers(
    tmp_path: Path, kind: str, name: str, size: int, settings: dict[str, Any]
) -> None:
    place, peer = folder_of(tmp_path, kind, size, settings)
    model = loaded(place)
    (source,) = model.networks
    assert source.spec.architecture == f"{name}ForImageClassification"
    module = source.build()
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = peer(pixel_values=images).logits
        answer = module(images)
    # Not to the last bit: two modules may sum in another order (RegNet by 6e-8, on one thread).
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-6 * float(expected.abs().max()))
    assert expected.std() > 1e-4
    if source.classifier is not None:
        assert module.get_submodule(source.classifier).out_features == 7
    module.train()
    module(images).sum().backward()
    assert all(p.grad is not None for n, p in module.named_parameters() if "classifier" in n)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "size", "settings"),
    [(kind, size, settings) for kind, _, size, settings in FAMILIES if kind in EXPORTED],
    ids=EXPORTED,
)
def test_the_graph_answers_as_the_module(
    tmp_path: Path, kind: str, size: int, settings: dict[str, Any]
) -> None:
    place, peer = folder_of(tmp_path, kind, size, settings)
    (source,) = loaded(place).networks
    tracing.export(source, tmp_path / "graph.onnx")
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    engine = on_onnx.open_graph(open_graph(tmp_path / "graph.onnx"), EngineSettings())
    answer = engine.run(Batch(images.numpy(), (HERE,) * 3, ("",) * 3))["logits"]
    with torch.no_grad():
        expected = peer(pixel_values=images).logits.numpy()
    np.testing.assert_allclose(answer / np.abs(expected).max(), expected / np.abs(expected).max(), atol=1e-4)


def vit(place: Path, **more: Any) -> tuple[Path, Any]:
    return folder_of(place, "vit", 64, {**PLAIN, "image_size": 64}, **more)


def test_labels_are_those_of_the_config(tmp_path: Path) -> None:
    names = {0: "background", 1: "cat", 2: "dog"}
    place, _ = vit(tmp_path, num_labels=3, id2label=names)
    card = loaded(place).card
    assert card.labels == ("cat", "dog")
    assert card.output.drop_first
    assert card.output.classes == 3
    assert card.family == "ViT"
    assert card.input_size == (64, 64)


def test_names_that_say_nothing_are_no_labels(tmp_path: Path) -> None:
    assert loaded(vit(tmp_path)[0]).card.labels is None


def test_the_names_of_earlier_versions_are_known(tmp_path: Path) -> None:
    """The hub's files were written by versions that called the tensors otherwise; so does save_pretrained."""
    place, peer = folder_of(tmp_path, "beit", 64, {**PLAIN, "image_size": 64})
    assert not set(load_file(place / "model.safetensors")) <= set(peer.state_dict())


def damaged(place: Path, change: str) -> None:
    state = load_file(place / "model.safetensors")
    match change:
        case "missing":
            del state["classifier.weight"]
        case "unexpected":
            state["classifier.extra"] = torch.zeros(2)
        case "another shape":
            state["classifier.weight"] = torch.zeros(8, 32)
    save_file(state, place / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", r"missing classifier\.weight \(1\)"),
        ("unexpected", r"unexpected classifier\.extra \(1\)"),
        ("another shape", r"of another shape classifier\.weight \(8, 32\) where \(7, 32\) belongs \(1\)"),
    ],
)
def test_tensors_fit_exactly_or_are_refused(tmp_path: Path, change: str, words: str) -> None:
    place, _ = vit(tmp_path)
    damaged(place, change)
    (source,) = loaded(place).networks
    with pytest.raises(BadInput, match=words):
        source.build()


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    place, _ = vit(tmp_path)
    (source,) = loaded(place, id2label={str(index): f"name {index}" for index in range(9)}).networks
    with pytest.raises(BadInput, match="of another shape"):
        source.build()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"auto_map": {"AutoModel": "theirs.Model"}}, "asks for code"),
        ({"quantization_config": {"bits": 4}}, "asks for code"),
        ({"architectures": ["ViTModel"]}, "no image classifier"),
        ({"architectures": ["A", "B"]}, "one name"),
        ({"model_type": "imagegpt"}, "no image classifier"),
        ({"id2label": {"0": "cat", "2": "dog"}}, "each once"),
        ({"id2label": ["cat"]}, "a name for each index"),
    ],
)
def test_what_is_no_plain_classifier_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    place, _ = vit(tmp_path)
    with pytest.raises(BadCard, match=words):
        loaded(place, **changes)


def test_preprocessing_is_not_guessed(tmp_path: Path) -> None:
    place, _ = vit(tmp_path)
    (place / "preprocessor_config.json").unlink()
    with pytest.raises(BadCard, match="not guessed"):
        loaded(place)


def test_an_unknown_class_is_refused_with_near_misses(tmp_path: Path) -> None:
    place, _ = vit(tmp_path)
    (source,) = loaded(place, architectures=["ViTTForImageClassification"]).networks
    with pytest.raises(UnknownName, match="ViTForImageClassification"):
        source.build()


def test_loading_changes_nothing_of_the_library_and_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place, _ = vit(tmp_path)
    logging = transformers.utils.logging
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    capfd.readouterr()
    loaded(place).networks[0].build()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")
