"""EfficientNet: counts by the rule, and the answers of timm with the same weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from signet.architectures.efficientnet import (  # noqa: E402
    EfficientNet,
    Settings,
    rounded_blocks,
    rounded_channels,
    timm_names,
)
from signet.architectures.renaming import renamed  # noqa: E402

# name: width, depth, parameters with 1,000 classes
PUBLISHED = {
    "b0": (1.0, 1.0, 5_288_548),
    "b1": (1.0, 1.1, 7_794_184),
    "b2": (1.1, 1.2, 9_109_994),
    "b3": (1.2, 1.4, 12_233_232),
    "b4": (1.4, 1.8, 19_341_616),
    "b5": (1.6, 2.2, 30_389_784),
    "b6": (1.8, 2.6, 43_040_704),
    "b7": (2.0, 3.1, 66_347_960),
    "b8": (2.2, 3.6, 87_413_142),
    "l2": (4.3, 5.3, 480_309_308),
}


def test_channels_are_rounded_to_8_and_never_lose_a_tenth():
    assert [rounded_channels(channels, 1.1) for channels in (16, 24, 32, 40, 80, 112, 192, 320, 1280)] == [
        16, 24, 32, 48, 88, 120, 208, 352, 1408
    ]  # fmt: skip
    assert rounded_channels(3, 1.0) == 8
    assert all(rounded_channels(24, width / 100) >= 0.9 * 24 * width / 100 for width in range(10, 600))
    assert [rounded_blocks(blocks, 1.1) for blocks in (1, 2, 3, 4)] == [2, 3, 4, 5]


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_of_timm_to_the_unit(name):
    width, depth, parameters = PUBLISHED[name]
    with torch.device("meta"):
        module = EfficientNet(Settings(width=width, depth=depth), 1000)
        theirs = timm.create_model(f"tf_efficientnet_{name}")
    assert sum(value.numel() for value in module.parameters()) == parameters
    state = renamed(theirs.state_dict(), timm_names(Settings(width=width, depth=depth)), module)
    assert len(state) == len(theirs.state_dict())


@pytest.mark.parametrize(("name", "height", "width"), [("b0", 224, 97), ("b1", 95, 128), ("b4", 97, 96)])
def test_the_weights_of_timm_give_the_answers_of_timm(name, height, width, filled, pictures, difference):
    scale = Settings(width=PUBLISHED[name][0], depth=PUBLISHED[name][1])
    theirs = filled(timm.create_model(f"tf_efficientnet_{name}"))
    module = EfficientNet(scale, 1000).eval()
    module.load_state_dict(renamed(theirs.state_dict(), timm_names(scale), module), strict=True)
    images = pictures(height, width)
    with torch.no_grad():
        assert difference(module(images), theirs(images)) < 1e-5


def test_the_conventions_of_torch_give_the_answers_of_the_torch_weights(filled, pictures, difference):
    settings = Settings(padding="symmetric", epsilon=1e-5)
    theirs = filled(timm.create_model("efficientnet_b0"))
    module = EfficientNet(settings, 1000).eval()
    module.load_state_dict(renamed(theirs.state_dict(), timm_names(settings), module), strict=True)
    other = EfficientNet(Settings(), 1000).eval()
    other.load_state_dict(module.state_dict())
    with torch.no_grad():
        expected = theirs(pictures(96, 96))
        assert difference(module(pictures(96, 96)), expected) < 1e-5
        assert difference(other(pictures(96, 96)), expected) > 1e-3


def test_features_come_without_classes(pictures):
    module = EfficientNet(Settings(width=0.5, depth=0.5), 0).eval()
    with torch.no_grad():
        assert module(pictures(64, 64)).shape == (2, module.features) == (2, 640)


def test_every_parameter_learns_at_the_input_size(pictures):
    torch.manual_seed(0)
    module = EfficientNet(Settings(drop_path=0.0), 10).train()
    module(pictures(224, 224)).square().mean().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in module.parameters())


def test_blocks_are_dropped_in_training_only(pictures):
    torch.manual_seed(0)
    module = EfficientNet(Settings(width=0.5, depth=1.0, drop_path=0.9, dropout=0.0), 4)
    images = pictures(64, 64)
    with torch.no_grad():
        assert torch.equal(module.eval()(images), module(images))
        assert not torch.equal(module.train()(images), module(images))


def test_the_graph_answers_as_the_module(filled, pictures, exported, tmp_path):
    module = filled(EfficientNet(Settings(width=0.5, depth=0.5), 10))
    assert max(exported(module, pictures(65, 96), "head", tmp_path)) < 1e-4
