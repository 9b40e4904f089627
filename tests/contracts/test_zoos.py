"""One suite over every zoo, and a zoo of another package."""

from __future__ import annotations

import dataclasses
import socket
import sys
import types
from collections.abc import Callable
from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet.cards import Card, InputSpec, Licence, OutputContract
from signet.catalogue import configs, index
from signet.engines.contract import EngineSettings
from signet.errors import BadRequest, CheckFailed, OfflineMiss, UnknownName
from signet.models import load
from signet.networks import Pretrained
from signet.predictions import Classes
from signet.programs import Program
from signet.resolving import resolve
from signet.steps import Layout, Read, Resize, Type
from signet.storage import write_json
from signet.testing import TinyNetwork, check_zoo, made_images
from signet.zoos import from_package, from_timm, from_torchvision

GRAPHS = (
    "mobilenet_v1_0.25_128_quant.tflite",
    "mobilenet_v2_1.0_224_inat_bird_quant.tflite",
    "tf2_mobilenet_v2_1.0_224_ptq.tflite",
    "yolox_nano.onnx",
    "deeplabv3_mnv2_dm05_pascal_quant.tflite",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "unknown"),
    [
        ("timm/mobilenetv2_100.coral_in1k", "timm/mobilenetv2_100.coral_in2k"),
        ("torchvision/squeezenet1_0.dc_in1k", "torchvision/squeezenet1_0.dc"),
    ],
)
def test_mirrored_models_keep_the_contract(
    name: str, unknown: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("SIGNET_MIRROR", str(shared / "weights"))
    check_zoo(resolve, [name], tmp_path, unknown=unknown)


def test_the_packaged_starter_keeps_the_contract(tmp_path: Path) -> None:
    if not (from_package.folder() / "card.json").is_file():
        pytest.skip("the starter is not in this package")
    check_zoo(resolve, [index.STARTER], tmp_path, unknown="startr")


@pytest.mark.parametrize("file", GRAPHS)
def test_graph_files_keep_the_contract(file: str, shared: Path, tmp_path: Path) -> None:
    check_zoo(
        resolve, [str(shared / "weights" / "files" / file)], tmp_path, unknown=str(tmp_path / "no.onnx")
    )


ARCHITECTURES = sorted(
    config["architecture"]
    for name, config in index.configs()
    if name.startswith("torchvision/") and "task" not in config
)


@pytest.mark.parametrize("architecture", dict.fromkeys(ARCHITECTURES))
def test_a_torchvision_head_is_the_layer_that_the_table_names(architecture: str) -> None:
    torch = pytest.importorskip("torch")
    from torchvision import models

    if architecture.startswith("regnet"):
        # They cannot be built without memory; all have the layers of the smallest one.
        assert from_torchvision._classifier(architecture) == "fc"
        architecture = "regnet_y_400mf"
    without_memory = torch.device("cpu" if architecture.startswith("regnet") else "meta")
    arguments = {"init_weights": False} if architecture in ("googlenet", "inception_v3") else {}
    with without_memory:
        module = models.get_model(architecture, weights=None, **arguments)
    head = module.get_submodule(from_torchvision._classifier(architecture))
    assert isinstance(head, torch.nn.Linear | torch.nn.Conv2d)
    assert (head.out_features if isinstance(head, torch.nn.Linear) else head.out_channels) == 1000


@pytest.mark.parametrize(
    "name",
    [
        "timm/resnet18.a1_in1k",
        "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        "timm/efficientnet_b0.ra_in1k",
        "timm/levit_128s.fb_dist_in1k",
        "torchvision/googlenet.imagenet1k_v1",
        "torchvision/inception_v3.imagenet1k_v1",
        "torchvision/mobilenet_v3_small.imagenet1k_v1",
    ],
)
def test_indexed_models_are_filled_with_weights_that_lie_in_the_mirror(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    config = dict(index.config(name))
    zoo = from_timm if name.startswith("timm/") else from_torchvision
    folder = tmp_path / "mirror" / name.partition("/")[2]
    random = zoo.build(configs.spec(zoo.ZOO, config), None)
    folder.mkdir(parents=True)
    save_file(random.state_dict(), folder / "model.safetensors")
    write_json(folder / "config.json", {key: value for key, value in config.items() if key != "name"})
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "mirror"))
    found = resolve(name, offline=True)
    assert found.card.name == name
    with load(found, engine="torch", settings=EngineSettings(threads=2)) as model:
        batch = model.prepare(made_images(1))
        logits = model.run(batch)["logits"]
    if hasattr(random, "transform_input"):
        random.transform_input = True  # as torchvision sets it for pretrained weights
    with torch.inference_mode():
        expected = random(torch.from_numpy(np.asarray(batch.arrays)))
    np.testing.assert_allclose(logits, expected.numpy(), rtol=0, atol=1e-4)


# --- a zoo of another package -----------------------------------------------------------------------------


class Mine:
    """A zoo as a stranger would write it; `fault` makes it break one promise."""

    def __init__(self, folder: Path, fault: str = "") -> None:
        self.graph = TinyNetwork.made().write(folder / "mine.onnx")
        self.fault = fault
        self.asked: list[tuple[str, bool]] = []
        self.calls = 0

    def pretrained(self, name: str, *, offline: bool, on_progress: Any) -> Pretrained:
        self.asked.append((name, offline))
        self.calls += 1
        if name != "mine/tiny" and self.fault != "accepts":
            raise UnknownName("model", name, ["mine/tiny"])
        if self.fault == "network":
            with socket.socket() as connection:
                connection.connect(("127.0.0.1", 9))
        card = Card(
            name="../mine" if self.fault == "name" else name,
            task="classify",
            program=Program((Read(), Resize(size=(16, 12), fit="stretch"), Type(), Layout())),
            output=OutputContract(
                head="softmax",
                tensor="logits",
                classes=None if self.fault == "classes" else 5,
                features="nowhere" if self.fault == "features" else "features",
            ),
            inputs=(
                InputSpec(name="images", shape=(None, 3, *((12, 16) if self.fault == "size" else (16, 12)))),
            ),
            origin="" if self.fault == "origin" else "made by a test",
            licence=Licence("mit", stated=True),
        )
        digest = f"{self.calls:064x}" if self.fault == "digest" else self.graph.digest
        graph = dataclasses.replace(self.graph, digest="e" * 64) if self.fault == "graph" else self.graph
        networks = () if self.fault == "empty" else (graph,)
        return Pretrained(card, networks, digest, "cache")


FAULTS = {
    "name": "zoo/architecture.tag",
    "classes": "number of classes",
    "features": "nowhere",
    "origin": "origin",
    "size": "the input takes",
    "digest": "two digests",
    "graph": "not as the digest says",
    "empty": "no network",
    "network": "opened a network connection",
    "accepts": "was accepted",
}


def test_the_suite_passes_a_strangers_zoo(tmp_path: Path) -> None:
    zoo = Mine(tmp_path)
    check_zoo(zoo, ["mine/tiny"], tmp_path, unknown="mine/tinny")
    assert all(offline for _, offline in zoo.asked)
    check_zoo(zoo.pretrained, ["mine/tiny"], tmp_path)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_suite_catches_each_broken_promise(fault: str, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=FAULTS[fault]):
        check_zoo(Mine(tmp_path, fault), ["mine/tiny"], tmp_path, unknown="mine/tinny")
    assert socket.socket.connect.__qualname__ != "refuse", "the network is given back"


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Install an entry point of the group `signet.zoos`, as a package would."""

    def install(name: str, module: Any) -> None:
        if module is not None:
            monkeypatch.setitem(sys.modules, "signet_tests_zoo", module)
        point = EntryPoint(name, "signet_tests_zoo", "signet.zoos")
        monkeypatch.setattr(metadata, "entry_points", lambda group: EntryPoints([point]).select(group=group))

    return install


def _module(zoo: Mine) -> types.ModuleType:
    module = types.ModuleType("signet_tests_zoo")
    module.pretrained = zoo.pretrained
    return module


def test_a_zoo_of_another_package_is_found_by_the_first_part_of_a_name(plugged: Any, tmp_path: Path) -> None:
    zoo = Mine(tmp_path)
    plugged("mine", _module(zoo))
    with load("mine/tiny", Classes) as model:
        assert model.card.name == "mine/tiny"
        assert len(model(made_images(2))) == 2
    assert resolve("mine/tiny", offline=True).where == "cache"
    assert zoo.asked == [("mine/tiny", False), ("mine/tiny", True)]
    with pytest.raises(UnknownName, match="Did you mean 'mine/tiny'"):
        resolve("mine/tinny")
    with pytest.raises(UnknownName):
        resolve("mine")  # the zoo alone is no model, and is not asked
    assert len(zoo.asked) == 3


def test_no_zoo_takes_the_place_of_one_of_ours(plugged: Any, tmp_path: Path) -> None:
    zoo = Mine(tmp_path)
    plugged("timm", _module(zoo))
    with pytest.raises(OfflineMiss):
        resolve("timm/resnet18.a1_in1k", offline=True)
    assert not zoo.asked


def test_a_zoo_that_cannot_be_imported_is_refused_in_words(plugged: Any) -> None:
    plugged("mine", None)
    with pytest.raises(BadRequest, match="signet_tests_zoo cannot be imported"):
        resolve("mine/tiny")
    plugged("mine", types.ModuleType("signet_tests_zoo"))
    with pytest.raises(BadRequest, match="has no pretrained"):
        resolve("mine/tiny")
