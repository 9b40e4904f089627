"""Signet's own architectures by name, with weights that somebody put into the mirror."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet import hub
from signet.errors import BadRequest, HubError, OfflineMiss, UnknownName
from signet.models import load
from signet.resolving import resolve
from signet.sealing import seal
from signet.testing import made_images

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
from safetensors.torch import save_file  # noqa: E402

NAME = "signet/efficientnet"
SCALE = {"width": 0.5, "depth": 0.5}


def config(**changes: Any) -> dict[str, Any]:
    stated = {"input_size": [3, 96, 96], "classifier": "head", "crop_pct": 1.0}
    whole = {
        "library": "signet",
        "architecture": "efficientnet",
        "model_args": SCALE,
        "num_classes": 6,
        "pretrained_cfg": stated,
    }
    return {**whole, **changes}


@pytest.fixture
def module() -> Any:
    from signet.architectures import building

    torch.manual_seed(3)
    made = building.build("efficientnet", 6, SCALE).eval()
    with torch.no_grad():
        for value in made.state_dict().values():
            if value.is_floating_point():
                value.add_(0.05 * torch.rand_like(value))
    return made


@pytest.fixture
def mirror(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mirror" / NAME
    folder.mkdir(parents=True)
    save_file(dict(module.state_dict()), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config()))
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "mirror"))
    return folder


def test_weights_in_the_mirror_fill_it(module: Any, mirror: Path) -> None:
    found = resolve(NAME, offline=True)
    assert (found.card.name, found.where, found.card.output.classes) == (NAME, "mirror", 6)
    with load(found, engine="torch") as model:
        batch = model.prepare(made_images(2))
        answers = model.run(batch)["logits"]
    with torch.inference_mode():
        assert np.array_equal(answers, module(torch.from_numpy(np.ascontiguousarray(batch.arrays))).numpy())


def test_its_seal_can_be_trained_further(module: Any, mirror: Path, tmp_path: Path) -> None:
    sealed = seal(resolve(NAME, offline=True), out=tmp_path / "own.signet", golden="made")
    found = resolve(sealed.path)
    (source,) = (network for network in found.networks if hasattr(network, "build"))
    filled = source.build().state_dict()
    assert all(torch.equal(filled[key], value) for key, value in module.state_dict().items())


def test_without_weights_the_error_says_where_to_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubError, match="No public weights are known for 'signet/densenet264'") as caught:
        resolve("signet/densenet264")
    assert "signet/densenet264/model.safetensors" in str(caught.value)
    with pytest.raises(OfflineMiss, match="signet/densenet264"):
        resolve("signet/densenet264", offline=True)
    with pytest.raises(UnknownName, match="densenet"):
        resolve("signet/densenet999")


def test_an_unknown_architecture_of_ours_is_refused(mirror: Path) -> None:
    (mirror / "config.json").write_text(json.dumps(config(architecture="starter")))
    with pytest.raises(BadRequest, match="names the library 'signet'"):
        resolve(NAME, offline=True)
    assert hub.in_mirror(NAME) is not None
