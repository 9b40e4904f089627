"""Heads of Linear and 1x1 convolution kind, of timm, torchvision and the user's own."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from signet.architectures.starter import WIDTH, StarterNet
from signet.errors import BadGraph, BadInput
from signet.training import head_of, set_head, with_head


def probe(classes: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(classes, width)).astype(np.float32)
    return weights, generator.normal(size=classes).astype(np.float32)


def test_a_head_goes_in_and_comes_out_again(tiny: ModuleType) -> None:
    module = tiny.network()
    weights, bias = probe(5, 8)
    state = torch.get_rng_state()
    set_head(module, "head", weights, bias)
    assert torch.equal(state, torch.get_rng_state())
    head = head_of(module, "head")
    assert np.array_equal(head.weights, weights)
    assert np.array_equal(head.bias, bias)
    assert module(torch.zeros(2, 3, 16, 16)).shape == (2, 5)
    head.weights[:] = 0
    assert np.array_equal(head_of(module, "head").weights, weights)  # a copy


def test_a_timm_network_takes_the_probes_head() -> None:
    timm = pytest.importorskip("timm")
    module = timm.create_model("mobilenetv2_035", pretrained=False).eval()
    weights, bias = probe(4, module.num_features)
    set_head(module, "classifier", weights, bias)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        features = module.forward_head(module.forward_features(images), pre_logits=True).numpy()
        logits = module(images).numpy()
    np.testing.assert_allclose(logits, features @ weights.T + bias, rtol=1e-4, atol=1e-4)
    assert module.num_classes == 4


def test_a_rectified_convolutional_head_keeps_logits_below_zero() -> None:
    from torchvision.models import squeezenet1_0

    module = squeezenet1_0(weights=None).eval()
    weights, bias = probe(4, 512)
    set_head(module, "classifier.1", weights, bias)
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        features = module.features(images).mean(dim=(2, 3)).numpy()
        scores = module(images).softmax(1).numpy()
    logits = torch.from_numpy(features @ weights.T + bias)
    assert (logits < 0).any()
    np.testing.assert_allclose(scores, logits.softmax(1).numpy(), atol=1e-4)


def test_a_network_that_ends_in_features_gets_a_head() -> None:
    weights, bias = probe(3, WIDTH)
    backbone = StarterNet().eval()
    module, name = with_head(backbone, weights, bias)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = backbone(images).numpy() @ weights.T + bias
        np.testing.assert_allclose(module(images).numpy(), expected, atol=1e-4)
    assert np.array_equal(head_of(module, name).weights, weights)
    assert {key.partition(".")[0] for key in module.state_dict()} == {"backbone", "head"}


def test_what_is_no_head_is_refused(tiny: ModuleType) -> None:
    module = tiny.network()
    weights, bias = probe(3, 8)
    with pytest.raises(BadGraph, match="head 'nothing': expected a layer of the network"):
        head_of(module, "nothing")
    with pytest.raises(BadGraph, match="expected a Linear layer or a 1x1 convolution, got Conv2d"):
        set_head(module, "stem.0", weights, bias)
    with pytest.raises(BadInput, match=r"a head's weights: expected shape \(any, 8\)"):
        set_head(module, "head", weights[:, :4], bias)
    with pytest.raises(BadInput, match="a head's bias"):
        set_head(module, "head", weights, bias[:2])
    with pytest.raises(BadInput, match="expected finite numbers"):
        set_head(module, "head", weights * np.nan, bias)
    assert isinstance(module.head, nn.Linear)
