"""Decoders of segmentation-models-pytorch over encoders of timm: built, filled, trained, traced, loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
smp = pytest.importorskip("segmentation_models_pytorch")
from safetensors.torch import save_file  # noqa: E402

from signet import tracing  # noqa: E402
from signet.batches import Batch  # noqa: E402
from signet.engines import on_onnx  # noqa: E402
from signet.engines.contract import EngineSettings  # noqa: E402
from signet.errors import BadInput, UnknownName  # noqa: E402
from signet.geometry import Geometry  # noqa: E402
from signet.graphs.opening import open_graph  # noqa: E402
from signet.hub import WeightFiles  # noqa: E402
from signet.networks import ModuleSpec  # noqa: E402
from signet.zoos import by_name, from_smp  # noqa: E402

TINY = "test_resnet"


def made(decoder: str = "unet", encoder: str = TINY, weights: Path | None = None) -> Any:
    return from_smp.build(from_smp.spec_for(decoder, encoder, 4), weights)


@pytest.mark.parametrize("decoder", from_smp.DECODERS)
def test_every_decoder_answers_for_each_pixel_of_any_size(decoder: str) -> None:
    module = made(decoder)
    with torch.inference_mode():
        for size in ((128, 128), (130, 99)):
            assert module(torch.rand(2, 3, *size)).shape == (2, 4, *size)


@pytest.mark.parametrize("decoder", ["unet", "fpn", "deeplabv3plus"])
def test_where_nothing_is_padded_it_is_the_librarys_own(decoder: str) -> None:
    module = made(decoder)
    own = smp.create_model(decoder, f"tu-{TINY}", encoder_weights=None, classes=4).eval()
    own.load_state_dict(module.network.state_dict(), strict=True)
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(module(images), own(images))


@pytest.mark.parametrize("encoder", ["test_efficientnet", "test_convnext", TINY])
def test_a_classifiers_weights_become_the_encoders(encoder: str) -> None:
    torch.manual_seed(1)
    whole = timm.create_model(encoder, pretrained=False, num_classes=5).eval()
    module = made("fpn", encoder)
    from_smp.fill_encoder(module, whole, f"timm/{encoder}")
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        maps = whole.forward_intermediates(images, intermediates_only=True)
        last = module.network.encoder(images)[-1]
    assert any(one.shape == last.shape and torch.allclose(one, last, atol=1e-5) for one in maps)


def test_another_networks_weights_are_refused() -> None:
    with pytest.raises(BadInput, match="the same network as the backbone; missing"):
        from_smp.fill_encoder(made(), timm.create_model("test_efficientnet"), "timm/test_efficientnet")


def test_it_learns() -> None:
    module = made().train()
    torch.nn.functional.cross_entropy(
        module(torch.rand(2, 3, 64, 64)), torch.ones(2, 64, 64).long()
    ).backward()
    assert not [name for name, value in module.named_parameters() if value.grad is None]


@pytest.mark.parametrize("prefix", ["", "network."])
def test_what_was_saved_loads_strictly(tmp_path: Path, prefix: str) -> None:
    module = made()
    state = {f"{prefix}{key}": value for key, value in module.network.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    again = made(weights=tmp_path / "model.safetensors")
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in module.state_dict().items())
    del state[f"{prefix}segmentation_head.0.bias"]
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(BadInput, match=r"segmentation_head\.0\.bias"):
        made(weights=tmp_path / "less.safetensors")


def test_a_folder_with_its_config_is_a_model(tmp_path: Path) -> None:
    save_file(made().network.state_dict(), tmp_path / "model.safetensors")
    config = {
        "library": "smp",
        "architecture": "unet",
        "model_args": {"encoder": TINY},
        "num_classes": 4,
        "task": "segment",
        "program": [
            {"step": "read"},
            {"step": "type"},
            {"step": "range", "scale": 1 / 255},
            {"step": "layout"},
        ],
        "output": {"head": "pixel_logits", "tensor": "logits", "classes": 4},
        "labels": ["road", "sky", "tree", "car"],
    }
    found = WeightFiles(config, tmp_path / "model.safetensors", "a" * 64, "unknown", "folder")
    model = by_name.zoo("smp").pretrained("smp/unet", config, found)
    assert (model.card.task, model.card.labels, model.card.input_size) == (
        "segment",
        tuple(config["labels"]),
        None,
    )
    (source,) = model.networks
    assert (source.outputs, source.free_size) == (("logits",), True)
    assert source.build()(torch.rand(1, 3, 40, 40)).shape == (1, 4, 40, 40)


@pytest.mark.large
def test_one_graph_answers_for_several_sizes(tmp_path: Path) -> None:
    module = made()
    save_file(module.network.state_dict(), tmp_path / "model.safetensors")
    source = from_smp.module_source(
        from_smp.spec_for("unet", TINY, 4), tmp_path / "model.safetensors", "a" * 64, (64, 96)
    )
    tracing.export(source, tmp_path / "graph.onnx")
    engine = on_onnx.open_graph(open_graph(tmp_path / "graph.onnx"), EngineSettings())
    for size in ((64, 96), (50, 77)):
        images = np.random.default_rng(0).random((2, 3, *size), np.float32)
        found = engine.run(Batch(images, (Geometry.of(size),) * 2, ("",) * 2))["logits"]
        with torch.inference_mode():
            np.testing.assert_allclose(found, module(torch.from_numpy(images)).numpy(), atol=1e-4)


def test_what_is_not_there_is_refused_with_near_misses() -> None:
    with pytest.raises(UnknownName, match="unetplusplus"):
        from_smp.spec_for("unetplus", TINY, 4)
    with pytest.raises(UnknownName, match="test_resnet"):
        made(encoder="test_resnet1")
    with pytest.raises(BadInput, match="encoder_weights"):
        from_smp.build(ModuleSpec("smp", "unet", {"encoder": TINY, "encoder_weights": "imagenet"}, 4), None)
