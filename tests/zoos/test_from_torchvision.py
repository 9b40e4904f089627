"""torchvision's entries, whole: every one builds the network whose parameters its weights fill."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from signet.catalogue import index  # noqa: E402
from signet.untrained import untrained  # noqa: E402
from signet.zoos import from_torchvision  # noqa: E402

VITS = [name for name, _ in index.configs() if name.startswith("torchvision/vit_")]


@pytest.mark.parametrize("name", VITS)
def test_a_vit_has_a_place_for_each_patch_of_its_own_size(name):
    """SWAG's weights for 384, 512 and 518 pixels have more places than the network at 224."""
    found = untrained(name)
    with torch.device("meta"):
        module = found.networks[0].build()
        assert sum(value.numel() for value in module.parameters()) == index.config(name)["parameters"]
        assert module(torch.zeros(1, 3, *found.card.input_size)).shape == (1, 1000)


def test_a_size_that_is_stated_is_kept():
    config = dict(index.config("torchvision/vit_b_16.imagenet1k_swag_e2e_v1"))
    assert from_torchvision.spec_of(config).arguments == {"image_size": 384}
    assert from_torchvision.spec_of({**config, "model_args": {"image_size": 512}}).arguments == {
        "image_size": 512
    }
    plain = index.config("torchvision/vit_b_16.imagenet1k_v1")
    assert from_torchvision.spec_of(plain).arguments == {}
