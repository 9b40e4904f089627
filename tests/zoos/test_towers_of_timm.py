"""An image-text tower of timm gives the vectors of its own projection, whatever its config calls them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from signet import models
from signet.catalogue import index
from signet.catalogue.finding import find
from signet.images import Image
from signet.predictions import Embedding

NAME = "vit_xsmall_patch16_clip_224.tinyclip_yfcc15m"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror with that tower, filled at random, and the config that the hub has: it says 512 classes."""
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    root = tmp_path_factory.mktemp("mirror")
    (root / NAME).mkdir()
    torch.manual_seed(0)
    module = timm.create_model(NAME.partition(".")[0], num_classes=512).eval()
    safetensors.save_file(module.state_dict(), root / NAME / "model.safetensors")
    config = {key: value for key, value in index.config(f"timm/{NAME}").items() if key != "embedding_width"}
    (root / NAME / "config.json").write_text(json.dumps(config))
    mean, std = (torch.tensor(config["pretrained_cfg"][key])[:, None, None] for key in ("mean", "std"))
    with torch.inference_mode():
        np.save(root / "answer.npy", module(((torch.zeros(3, 224, 224) - mean) / std)[None])[0].numpy())
    return root


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_it_gives_vectors(mirror: Path, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_MIRROR", str(mirror))
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path))
    with models.load(f"timm/{NAME}", engine=engine) as model:
        (answer,) = model(Image(np.zeros((224, 224, 3), np.uint8)))
        card = model.card
    assert isinstance(answer, Embedding)
    assert (card.task, card.output.width, card.labels) == ("embed", 512, None)
    np.testing.assert_allclose(answer.vector, np.load(mirror / "answer.npy"), rtol=1e-3, atol=1e-4)


def test_the_list_has_it_once_as_a_model_that_embeds(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_MIRROR", str(mirror))
    (found,) = find(text=NAME)
    assert (found.name, found.task, found.status) == (f"timm/{NAME}", "embed", "mirrored")
    assert found.size_bytes == (mirror / NAME / "model.safetensors").stat().st_size
    assert not len(find("classify", text=NAME))
