"""Keras Applications as torch modules: Keras's own answers, on every engine, and able to learn."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet.engines.contract import EngineSettings
from signet.hub import WeightFiles
from signet.models import load
from signet.networks import ModuleSource
from signet.preprocessing import finish
from signet.storage import digest_of
from signet.testing import made_images
from signet.zoos import from_keras, keras_import

torch = pytest.importorskip("torch")

SMALL = {
    "mobilenet": {"alpha": 0.25, "input_shape": (96, 96, 3)},
    "mobilenetv2": {"alpha": 0.35, "input_shape": (96, 96, 3)},
    "mobilenetv3small": {"input_shape": (96, 96, 3)},
    "mobilenetv3large_minimalistic": {"input_shape": (97, 97, 3), "minimalistic": True},
    "efficientnetb0": {"input_shape": (96, 96, 3)},
    "efficientnetv2b0": {"input_shape": (96, 96, 3)},
    "resnet50v2": {"input_shape": (65, 65, 3)},
    "inceptionv3": {"input_shape": (107, 107, 3)},
    "vgg16": {"input_shape": (32, 32, 3)},
}
LARGE = {
    "densenet121": {"input_shape": (64, 64, 3)},
    "resnet50": {"input_shape": (64, 64, 3)},
    "xception": {"input_shape": (90, 90, 3)},
    "convnexttiny": {"input_shape": (64, 64, 3)},
    "inceptionresnetv2": {"input_shape": (107, 107, 3)},
    "nasnetlarge": {"input_shape": (96, 96, 3)},
}
ENGINES = ("mobilenet", "mobilenetv3small", "efficientnetb0")
LARGE_ENGINES = ("densenet121", "inceptionv3", "convnexttiny", "resnet50v2")


def answer(network: Any, pixels: Any) -> Any:
    with torch.inference_mode():
        return network(torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))).numpy()


def rounding(network: Any, pixels: Any, expected: Any) -> float:
    """How far Keras's answer is from the one in double precision: random networks magnify what they round."""
    network.double()
    with torch.inference_mode():
        exact = network(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).double()).numpy()
    network.float()
    return difference(expected, exact)


def difference(one: Any, other: Any) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


@pytest.mark.parametrize(
    "architecture", [*SMALL, *(pytest.param(name, marks=pytest.mark.large) for name in LARGE)]
)
def test_logits_are_those_of_keras_with_weights_in_its_own_format(
    architecture: str, files: ModuleType, tmp_path: Path
) -> None:
    arguments = (SMALL | LARGE)[architecture]
    model = files.model(architecture, **arguments)
    form = "weights.h5" if len(architecture) % 2 else "h5"
    file = files.save(model, tmp_path, form)
    network = from_keras.build(files.spec(architecture, **arguments), file)
    pixels = files.pixels(architecture, arguments["input_shape"][0])
    expected = files.predict(model, pixels)
    assert difference(expected[:1], expected[1:]) > 0.1, "two pictures shall not give one answer"
    # torch's BatchNorm rounds elsewhere than Keras's; one layer alone is equal within 1e-6 (below).
    own = rounding(network, pixels, expected)
    assert own < 1e-3
    assert difference(answer(network, pixels), expected) < 1e-6 + 4 * own
    learned = sum(int(variable.value.numel()) for variable in model.trainable_weights)
    assert sum(parameter.numel() for parameter in network.parameters()) == learned
    assert next(name for name, _ in network.named_children()) == "stage1"
    assert isinstance(network.get_submodule("classifier"), torch.nn.Linear | torch.nn.Conv2d)


def test_a_layer_alone_is_equal_within_a_millionth(files: ModuleType) -> None:
    keras = keras_import.imported("the tests")
    layers, pixels = keras.layers, files.images(33) / 127.5 - 1
    cases = (
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(6, (1, 5), padding="same", use_bias=False),
        layers.DepthwiseConv2D(5, strides=2, padding="same", depth_multiplier=2),
        layers.SeparableConv2D(7, 3, strides=2, padding="same", activation="swish"),
        layers.MaxPooling2D(3, strides=2, padding="same"),
        layers.AveragePooling2D(3, strides=1, padding="same"),
        layers.BatchNormalization(scale=False, epsilon=1e-3),
        layers.LayerNormalization(epsilon=1e-6),
        layers.Dense(5, activation="gelu"),
        layers.Cropping2D(((1, 0), (0, 2))),
        layers.ZeroPadding2D(((1, 0), (0, 2))),
        layers.Rescaling([0.5, 2.0, 3.0], offset=-1),
        layers.Activation("hard_sigmoid"),
        layers.ReLU(6.0),
    )
    from signet.zoos.keras_graph import network

    for layer in cases:
        with keras_import.building(keras):
            start = layers.Input((33, 33, 3))
            head = layers.Dense(4)(layers.GlobalAveragePooling2D()(layer(start)))
            model = keras.Model(start, head)
            files.randomise(model, "layer", 3)
            made = network(model)
        assert difference(answer(made, pixels), files.predict(model, pixels)) < 1e-6, layer.name


def test_efficientnet_gets_the_factors_that_only_published_weights_get(
    files: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras = keras_import.imported("the tests")
    from keras.src.utils import file_utils

    model = files.model("efficientnetb0")
    file = files.save(model, tmp_path, "h5")
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(file))
    with keras_import.building(keras):
        published = keras.applications.EfficientNetB0(classifier_activation=None)
    pixels = files.pixels("efficientnetb0", 224)
    own = files.predict(model, pixels)
    expected = files.predict(published, pixels)
    assert difference(own, expected) > 0.1
    network = from_keras.build(files.spec("efficientnetb0", imagenet_rescaling=True), file)
    assert difference(answer(network, pixels), expected) < 1e-6 + 4 * rounding(network, pixels, expected)


@pytest.mark.parametrize(
    "architecture", [*ENGINES, *(pytest.param(name, marks=pytest.mark.large) for name in LARGE_ENGINES)]
)
def test_every_engine_gives_the_logits_and_features_of_torch(
    architecture: str, files: ModuleType, tmp_path: Path
) -> None:
    arguments = (SMALL | LARGE)[architecture]
    file = files.save(files.model(architecture, **arguments), tmp_path, "h5")
    weights = WeightFiles(None, file, digest_of(file), "unknown", "folder")
    found = from_keras.pretrained("keras/a.b", files.config(architecture, **arguments), weights)
    settings = EngineSettings(threads=2, batch=2, cache=tmp_path)
    answers = {}
    for engine in ("torch", "onnx", "openvino"):
        with load(found, engine=engine, precision="fp32", settings=settings) as model:
            batch = model.prepare(made_images(3))
            outputs = model.run(batch)
            answers[engine] = (outputs["logits"], outputs["features"])
    # Random networks magnify what they round: seen against the same network in double precision.
    prepared = np.asarray(finish(batch).arrays).transpose(0, 2, 3, 1)
    (source,) = found.networks
    allowed = max(1e-4, 10 * rounding(source.build(), prepared, answers["torch"][0]))
    assert allowed < 1e-3
    for engine in ("onnx", "openvino"):
        for one, other in zip(answers[engine], answers["torch"], strict=True):
            assert difference(one, other) < allowed, engine


# --- learning ---------------------------------------------------------------------------------------------


def test_only_what_is_not_frozen_learns_and_frozen_statistics_stay(files: ModuleType, tmp_path: Path) -> None:
    from signet.training import all_but_last, set_head, stages_of
    from signet.training.freezing import freeze, set_learning_mode
    from signet.training.stages import frozen_parameters

    network = from_keras.build(files.spec("mobilenet", alpha=0.25, input_shape=(128, 128, 3)), None)
    set_head(network, "classifier", np.zeros((5, 256), np.float32), np.zeros(5, np.float32))
    stages = stages_of(network, "classifier")
    assert [stage.name for stage in stages][-1] == "classifier"
    frozen = frozen_parameters(network, "classifier", all_but_last(stages, 2))
    freeze(network, frozen)
    set_learning_mode(network, frozen, "batch")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    pixels = torch.from_numpy(files.images(128, 4).transpose(0, 3, 1, 2) / 127.5 - 1)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(pixels), torch.tensor([0, 1, 2, 3])).backward()
        optimizer.step()
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    last = stages[-2].name
    assert "classifier.weight" in moved
    assert any(name.startswith(last) and name.endswith("running_mean") for name in moved)
    assert all(name.startswith((last, "classifier")) for name in moved), moved
    network.eval()
    assert network(pixels).shape == (4, 5)


def test_the_loop_trains_one_and_keeps_its_frozen_start(files: ModuleType, tmp_path: Path) -> None:
    from PIL import Image as PillowImage

    from signet.programs import Program
    from signet.steps import Layout, Normalise, Range, Read, Resize, Type
    from signet.training import TrainingData, TrainSettings, set_head, train

    random = np.random.default_rng(0)
    paths = []
    for number in range(12):
        pixels = random.integers(0, 60, (40, 50, 3), np.uint8)
        pixels[..., number % 2] += 150
        paths.append(tmp_path / f"{number}.png")
        PillowImage.fromarray(pixels).save(paths[-1])
    network = from_keras.build(files.spec("mobilenet", alpha=0.25, input_shape=(64, 64, 3)), None)
    set_head(network, "classifier", np.zeros((2, 256), np.float32), np.zeros(2, np.float32))
    steps = (Read(), Resize(size=(64, 64), fit="stretch"), Type("float32"), Range(1 / 255))
    program = Program((*steps, Normalise((0.5,) * 3, (0.5,) * 3), Layout("NCHW")))
    targets = np.arange(12) % 2
    data = TrainingData(paths[:8], targets[:8], paths[8:], targets[8:], 2, program, size=(64, 64))
    settings = TrainSettings(
        classifier="classifier",
        epochs=2,
        batch=4,
        augmentation="none",
        frozen=("stage1", "stage2"),
        threads=1,
    )
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trained = train(network, data, settings, folder=tmp_path / "work", resume=False)
    assert len(trained.history) == 3
    for name, tensor in trained.best.items():
        if name.startswith(("stage1", "stage2")):
            assert torch.equal(tensor, before[name]), name


@pytest.mark.slow
def test_resnet50_takes_a_step(files: ModuleType) -> None:
    network = from_keras.build(files.spec("resnet50", classes=7), None).train()
    pixels = torch.from_numpy(files.images(224, 2).transpose(0, 3, 1, 2) - 120)
    torch.nn.functional.cross_entropy(network(pixels), torch.tensor([1, 2])).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert float(network.get_submodule("classifier").weight.grad.abs().max()) > 0


def test_a_stage_is_named_after_its_place_and_layers_as_in_a_fresh_process(files: ModuleType) -> None:
    arguments: dict[str, Any] = {"input_shape": (107, 107, 3)}
    first = from_keras.build(files.spec("inceptionv3", **arguments), None)
    second = from_keras.build(files.spec("inceptionv3", **arguments), None)
    assert list(first.state_dict()) == list(second.state_dict())
    assert "stage1.conv2d.weight" in first.state_dict()
    resnet = from_keras.build(files.spec("resnet50", input_shape=(64, 64, 3)), None)
    assert [name for name, _ in resnet.named_children()] == [
        *(f"stage{number}" for number in range(1, 6)),
        "head",
        "classifier",
    ]
    assert "stage3.conv3_block1_1_conv.weight" in resnet.state_dict()


def test_a_source_survives_a_state_of_its_own(files: ModuleType, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    spec = files.spec("mobilenetv2", classes=6, alpha=0.35, input_shape=(96, 96, 3))
    network = from_keras.build(spec, None)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    source: ModuleSource = from_keras.module_source(
        spec, tmp_path / "weights.safetensors", "b" * 64, (96, 96)
    )
    pixels = files.images(96)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(answer(source.build(), pixels), answer(network, pixels))
