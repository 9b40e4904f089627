"""Pruning and distillation, whole: slow, since two networks are trained and five graphs are made."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from signet.compression import CompressSettings, Gate, compress, compression_page
from signet.datasets import Dataset, open_dataset
from signet.engines.contract import EngineSettings
from signet.finetuning import finetune
from signet.models import load
from signet.recipes import Recipe
from signet.reporting import render
from signet.seals import Seal, open_seal

pytest.importorskip("torch_pruning")
timm = pytest.importorskip("timm")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.large

LABELS = ("blue", "green", "red")
ALL_PASS = Gate(max_drop=1.0, min_alike=0.0)


def pretrained(folder: Path, name: str, classifier: str, first: str) -> Path:
    """A folder of one of timm's test networks with random weights."""
    from safetensors.torch import save_file

    folder = folder / f"{name}.none"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(name, pretrained=False, num_classes=5)
    save_file(module.state_dict(), folder / "model.safetensors")
    stated = {"input_size": [3, 64, 64], "num_classes": 5, "mean": [0.5] * 3, "std": [0.5] * 3}
    stated |= {"crop_pct": 1.0, "crop_mode": "center", "interpolation": "bilinear", "fixed_input_size": False}
    stated |= {"pool_size": [2, 2], "tag": "none", "classifier": classifier, "first_conv": first}
    config = {"architecture": name, "num_classes": 5, "num_features": module.num_features}
    (folder / "config.json").write_text(json.dumps({**config, "pretrained_cfg": stated}))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Noise in which one colour is stronger."""
    root, random = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 12)):
        for label in LABELS:
            (root / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(20, 160, (40, 40, 3))
                pixels[..., 2 - LABELS.index(label)] += 90
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                    root / split / label / f"{number}.png"
                )
    return open_dataset(root)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory, data: Dataset) -> Seal:
    folder = tmp_path_factory.mktemp("parent")
    model = pretrained(folder, "test_resnet", "fc", "conv1")
    recipe = Recipe(strategy="probe", golden="made", threads=1)
    return finetune(str(model), data, out=folder / "parent.signet", recipe=recipe).seal


def settings(root: Path, **changes: object) -> CompressSettings:
    running = EngineSettings(threads=1, cache=root / "cache")
    return CompressSettings(gate=ALL_PASS, running=running, **changes)  # type: ignore[arg-type]


def test_that_a_pruned_network_is_lighter_and_is_a_seal(parent: Seal, data: Dataset, tmp_path: Path) -> None:
    recipe = Recipe(strategy="full", batchnorm="batch", epochs=2, backbone_rate=1e-3, threads=1)
    found = compress(
        parent,
        data,
        to="pruned",
        out=tmp_path / "cut.signet",
        settings=settings(tmp_path, macs=0.6, recipe=recipe),
    )
    learned = found.learned
    assert learned is not None
    assert learned.after.macs <= 0.62 * learned.before.macs
    assert learned.after.parameters < learned.before.parameters
    assert learned.images < 72  # some decide
    assert found.seal is not None
    assert all(verdict.ok for verdict in found.verdicts.values())
    opened = open_seal(found.seal.path)
    assert opened.weights is None
    assert opened.card.lineage["compressed"]["learned"]["after"] == learned.after.to_dict()
    assert opened.card.lineage["compressed"]["parent"]["digest"] == parent.digest
    with load(opened.path) as model:
        assert model(data.select("test").paths[0])[0].labels == parent.card.labels
    assert found.to_dict()["learned"]["epochs"] == 2
    assert "multiply-adds" in render(compression_page(found))


def test_that_a_student_takes_the_place_of_its_teacher(parent: Seal, data: Dataset, tmp_path: Path) -> None:
    student = pretrained(tmp_path, "test_efficientnet", "classifier", "conv_stem")
    recipe = Recipe(strategy="full", epochs=1, threads=1)
    found = compress(
        parent,
        data,
        to="distilled",
        out=tmp_path / "small.signet",
        settings=settings(tmp_path, student=str(student), recipe=recipe),
    )
    assert found.learned is not None
    assert found.learned.after.parameters < found.learned.before.parameters
    assert found.learned.teacher == parent.card.name
    assert found.seal is not None
    opened = open_seal(found.seal.path)
    assert opened.weights is not None  # which can be trained further
    assert [entry.file for entry in opened.manifest.golden] == [
        entry.file for entry in parent.manifest.golden
    ]
    assert opened.card.lineage["compressed"]["to"] == "distilled"
    assert all(verdict.ok for verdict in found.verdicts.values())
