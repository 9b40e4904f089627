"""torchvision's published files as they are: some are older than the names that their tensors have today."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from signet.catalogue import index
from signet.errors import BadInput
from signet.networks import ModuleSpec
from signet.zoos import from_torchvision

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
from safetensors.torch import save_file  # noqa: E402

SPEC = from_torchvision.spec_of(index.config("torchvision/densenet121.imagenet1k_v1"))
OLD = {"norm1": "norm.1", "norm2": "norm.2", "conv1": "conv.1", "conv2": "conv.2"}


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    """Of a DenseNet, under the names of today."""
    torch.manual_seed(1)
    return dict(from_torchvision.build(SPEC, None).state_dict())


def published(state: dict[str, Any]) -> OrderedDict[str, Any]:
    """As in 2017: `norm.1` and `conv.1` in dense layers, and no counter of batches."""
    old = OrderedDict()
    for key, value in state.items():
        parts = key.split(".")
        if "denselayer" in key:
            parts = [OLD.get(part, part) for part in parts]
        if parts[-1] != "num_batches_tracked":
            old[".".join(parts)] = value
    return old


def test_the_published_names_of_densenet_are_those_of_today(state: dict[str, Any], tmp_path: Path) -> None:
    old = published(state)
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert "features.norm0.weight" in old
    torch.save(old, tmp_path / "old.pth")
    torch.save(state, tmp_path / "new.pth")
    for file in ("old.pth", "new.pth"):
        filled = from_torchvision.build(SPEC, tmp_path / file).state_dict()
        assert all(torch.equal(filled[key], value) for key, value in state.items())


def test_a_tensor_under_both_names_is_refused(state: dict[str, Any], tmp_path: Path) -> None:
    both = {**published(state), "features.denseblock1.denselayer1.norm1.weight": torch.zeros(64)}
    torch.save(both, tmp_path / "both.pth")
    with pytest.raises(BadInput, match=r"denselayer1\.norm1\.weight under two names"):
        from_torchvision.build(SPEC, tmp_path / "both.pth")


def test_mnasnet_loads_from_files_that_note_no_version(tmp_path: Path) -> None:
    """It asks for the version that torch.save notes, which safetensors and plain dicts do not have."""
    spec = ModuleSpec("torchvision", "mnasnet0_5", classes=5)
    state = from_torchvision.build(spec, None).state_dict()
    torch.save(state, tmp_path / "noted.pth")
    torch.save(dict(state), tmp_path / "plain.pth")
    save_file(dict(state), tmp_path / "model.safetensors")
    for file in ("noted.pth", "plain.pth", "model.safetensors"):
        filled = from_torchvision.build(spec, tmp_path / file).state_dict()
        assert all(torch.equal(filled[key], value) for key, value in state.items())


def test_what_the_librarys_own_loading_raises_is_bad_input(tmp_path: Path) -> None:
    spec = ModuleSpec("torchvision", "mnasnet0_5", classes=5)
    state = from_torchvision.build(spec, None).state_dict()
    state._metadata[""] = {"version": 3}
    torch.save(state, tmp_path / "newer.pth")
    with pytest.raises(BadInput, match=r"newer\.pth: expected exactly .*version should be set to 1 or 2"):
        from_torchvision.build(spec, tmp_path / "newer.pth")
