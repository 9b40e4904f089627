"""The index of Keras Applications: no older than the package, with the counts that are published."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from signet.catalogue import index
from signet.programs import Program

ENTRIES = {name: config for name, config in index.configs() if name.startswith("keras/")}
PUBLISHED = {
    "densenet121": 8_062_504,
    "densenet169": 14_307_880,
    "densenet201": 20_242_984,
    "efficientnetb0": 5_330_571,
    "efficientnetb7": 66_658_687,
    "inceptionresnetv2": 55_873_736,
    "inceptionv3": 23_851_784,
    "mobilenet": 4_253_864,
    "mobilenetv2": 3_538_984,
    "nasnetlarge": 88_949_818,
    "nasnetmobile": 5_326_716,
    "resnet50": 25_636_712,
    "resnet50v2": 25_613_800,
    "resnet101": 44_707_176,
    "resnet101v2": 44_675_560,
    "resnet152": 60_419_944,
    "resnet152v2": 60_380_648,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "xception": 22_910_480,
}
"""Source: keras-team/keras-io templates/api/applications/index.md at 01b6d6c, column "Parameters"."""
MODES = {
    "caffe": ("resnet50", "resnet101", "resnet152", "vgg16", "vgg19"),
    "torch": ("densenet121", "densenet169", "densenet201"),
}
"""Source: keras `applications`, `preprocess_input` of each module."""
TOOL = Path(__file__).resolve().parents[2] / "tools" / "index_keras.py"


@pytest.mark.parametrize("architecture", PUBLISHED)
def test_the_parameters_are_those_that_keras_publishes_to_the_unit(architecture: str) -> None:
    config = ENTRIES[f"keras/{architecture}.imagenet"]
    assert config["keras_parameters"] == PUBLISHED[architecture]
    assert config["parameters"] <= config["keras_parameters"]


def test_every_published_file_has_an_address_and_most_a_hash() -> None:
    assert len(ENTRIES) == 80
    addresses = {config["pretrained_cfg"]["url"] for config in ENTRIES.values()}
    assert len(addresses) == 80
    for name, config in ENTRIES.items():
        stated = config["pretrained_cfg"]
        assert stated["url"].startswith("https://storage.googleapis.com/"), name
        assert stated["url"].lower().replace("-", "_").endswith(stated["file"].replace("-", "_")), name
        assert len(config.get("file_md5") or config.get("file_sha256") or "") in (0, 32, 64), name
    without = {name for name, config in ENTRIES.items() if not {"file_md5", "file_sha256"} & set(config)}
    assert all(
        name.startswith(("keras/mobilenet.", "keras/mobilenet_", "keras/mobilenetv2")) for name in without
    )


def test_no_network_that_normalises_by_itself_is_normalised_before() -> None:
    for name, config in ENTRIES.items():
        program = Program.from_list(config["program"])
        kinds = [step.name for step in program.steps if step.name in ("range", "normalise", "order")]
        architecture = config["architecture"]
        if architecture.startswith(("efficientnet", "convnext", "mobilenetv3")):
            assert kinds == [], name
        elif architecture in MODES["caffe"]:
            assert kinds == ["order", "normalise"], name
        else:
            assert kinds == ["range", "normalise"], name
        rows = config["model_args"]["input_shape"][0]
        assert program.input_size() == (rows, rows), name
        assert config["evaluation"], name


@pytest.fixture
def tool() -> ModuleType:
    for package in ("keras", "h5py", "torch"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    spec = importlib.util.spec_from_file_location("signet_index_keras", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "kind", ["ResNet50", "MobileNetV3Small", "NASNetMobile", "EfficientNetB0", "DenseNet121"]
)
def test_the_index_has_what_the_installed_keras_has(kind: str, tool: ModuleType) -> None:
    """When this fails: python tools/index_keras.py src/signet/catalogue/data"""
    keras = tool.keras_import.imported("the tests")
    for variant, arguments in tool.variants(kind):
        made = tool.entry(keras, kind, variant, arguments)
        assert ENTRIES[made["name"]] == made


def test_the_index_has_every_architecture_of_the_installed_keras(tool: ModuleType) -> None:
    keras = tool.keras_import.imported("the tests")
    there = {name for name in dir(keras.applications) if name[0].isupper()}
    assert there == set(tool.from_keras.CLASSES)
    assert {config["architecture"].partition("_")[0] for config in ENTRIES.values()} == {
        name.lower() for name in there
    }
