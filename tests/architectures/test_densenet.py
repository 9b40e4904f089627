"""DenseNet-264: the count of the paper's table, and the answers of torchvision's class so configured."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from signet.architectures.densenet import BLOCKS, FEATURES, GROWTH, DenseNet264  # noqa: E402


def test_parameters_and_multiply_adds_are_as_stated():
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        module = DenseNet264(1000).eval()
        with FlopCounterMode(display=False) as counter:
            module(torch.zeros(1, 3, 224, 224))
    assert sum(value.numel() for value in module.parameters()) == 33_337_704
    assert counter.get_total_flops() / 2 == pytest.approx(5.77e9, rel=0.005)


def test_the_answers_are_those_of_torchvision(filled, pictures, difference):
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        theirs = torchvision.models.DenseNet(growth_rate=GROWTH, block_config=BLOCKS).eval()
    module = filled(DenseNet264(1000))
    theirs.load_state_dict(module.state_dict(), strict=True, assign=True)
    with torch.no_grad():
        images = pictures(65, 96)
        assert difference(module(images), theirs(images)) < 1e-5


def test_every_parameter_learns(pictures):
    torch.manual_seed(0)
    module = DenseNet264(10).train()
    module(pictures(64, 64)).square().mean().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in module.parameters())


def test_features_come_without_classes(pictures):
    module = DenseNet264(0).eval()
    with torch.no_grad():
        features = module(pictures(64, 64))
    assert features.shape == (2, FEATURES)
    assert features.min() >= 0


@pytest.mark.large
def test_the_graph_answers_as_the_module(filled, pictures, exported, tmp_path):
    assert max(exported(filled(DenseNet264(10)), pictures(64, 96), "classifier", tmp_path)) < 1e-4
