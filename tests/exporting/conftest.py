"""Seals to export: a tiny graph, and a torch module with its weights; made once, not to be changed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.models import resolve
from signet.sealing import seal
from signet.seals import Seal
from signet.steps import Crop, Layout, Normalise, Order, Range, Read, Resize, Type

STEPS = (
    Read(),
    Resize(short=20, fit="short", filter="bicubic"),
    Crop(size=(16, 12)),
    Type("float32"),
    Range(1 / 255, 0.0),
    Normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    Order("BGR"),
    Layout("NCHW"),
)
"""Every kind of step that most programs have."""


@pytest.fixture(scope="session")
def usual() -> tuple[Any, ...]:
    """Those steps."""
    return STEPS


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures of odd sizes: one turned by EXIF, one grey, one with transparent parts."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(4)
    paths = []
    for number, (height, width) in enumerate([(40, 31), (25, 50), (33, 33), (61, 44)]):
        small = PillowImage.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        picture = small.resize((width, height), PillowImage.Resampling.BICUBIC)
        exif = PillowImage.Exif()
        match number:
            case 1:
                exif[0x0112] = 6
            case 2:
                picture = picture.convert("L")
            case 3:
                picture.putalpha(PillowImage.linear_gradient("L").resize(picture.size))
        paths.append(folder / f"{number}.png")
        picture.save(paths[-1], exif=exif)
    return paths


@pytest.fixture(scope="session")
def make_seal(
    floor3: ModuleType, photographs: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Seal]:
    """`make_seal(name, **changes)`: a seal of the tiny graph, its card changed."""

    def made(name: str, **changes: Any) -> Seal:
        folder = tmp_path_factory.mktemp(name)
        return seal(floor3.graph_model(folder, **changes), photographs, out=folder / f"{name}.signet")

    return made


@pytest.fixture(scope="session")
def tiny_seal(make_seal: Callable[..., Seal], floor3: ModuleType) -> Seal:
    """A classifier whose program has every kind of step."""
    from signet.programs import Program

    return make_seal("tiny", program=Program(STEPS))


@pytest.fixture(scope="session")
def torch_seal(photographs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Seal:
    """A seal of a small convolutional network of timm, with its weights."""
    timm = pytest.importorskip("timm")
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("network") / "model"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = timm.create_model("test_efficientnet", num_classes=4)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.3)
            elif name.endswith("running_var"):
                buffer.uniform_(0.3, 1.5)
        torch.nn.init.normal_(module.classifier.weight, 0, 0.5)
    save_file(module.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": "test_efficientnet",
        "num_classes": 4,
        "pretrained_cfg": {
            "input_size": [3, 64, 64],
            "interpolation": "bicubic",
            "crop_pct": 0.9,
            "crop_mode": "center",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "num_classes": 4,
            "classifier": "classifier",
            "license": "apache-2.0",
        },
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    found = resolve(folder)
    card = dataclasses.replace(found.card, labels=("red", "green", "blue", "white"))
    return seal(dataclasses.replace(found, card=card), photographs, out=folder.with_name("network.signet"))
