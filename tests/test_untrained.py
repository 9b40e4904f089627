"""Networks with random weights, by name: built as their zoo builds them, and nothing looked up."""

from __future__ import annotations

import socket

import pytest
import torch

from signet.errors import BadRequest, UnknownName
from signet.untrained import ORIGIN, untrained


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("name", "parameters", "size"),
    [
        ("timm/resnet18.a1_in1k", 11_689_512, (288, 288)),
        ("torchvision/squeezenet1_1", 1_235_496, (224, 224)),
        ("signet/nasnet_a_mobile", 5_289_978, (224, 224)),
        ("signet/efficientnet:width=1.1,depth=1.2,size=240", 9_109_994, (240, 240)),
    ],
)
def test_a_name_gives_its_network(name: str, parameters: int, size: tuple[int, int]) -> None:
    model = untrained(name)
    (source,) = model.networks
    assert (model.card.input_size, model.where, model.card.origin) == (size, "untrained", ORIGIN)
    assert source.weights is None
    module = source.build()
    assert sum(value.numel() for value in module.parameters()) == parameters
    assert not module.training
    with torch.no_grad():
        assert module(torch.zeros(1, 3, *size)).shape == (1, 1000)


def test_the_same_seed_gives_the_same_weights_and_a_digest_of_its_own() -> None:
    model = untrained("torchvision/squeezenet1_1")
    states = []
    for _ in range(2):
        torch.manual_seed(4)
        states.append(model.networks[0].build().state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert model.digest == untrained("torchvision/squeezenet1_1.imagenet1k_v1").digest
    assert model.digest != untrained("torchvision/squeezenet1_0").digest


@pytest.mark.parametrize("name", ["timm/resnet19", "signet/inception_v9", "resnet50"])
def test_an_unknown_or_ambiguous_name_is_refused(name: str) -> None:
    with pytest.raises(UnknownName):
        untrained(name)


def test_an_argument_out_of_range_is_refused() -> None:
    with pytest.raises(BadRequest, match="width"):
        untrained("signet/efficientnet:width=99")
