"""Small data sets of drawn shapes, made once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw

NAMES = ("disc", "square", "stripes")


def draw(name: str, seed: int) -> PillowImage.Image:
    """One noisy picture of a shape, 40 x 36 pixels."""
    random = np.random.default_rng([seed, NAMES.index(name)])
    noise = random.integers(0, 90, (36, 40, 3), np.uint8)
    picture = PillowImage.fromarray(noise)
    pen = ImageDraw.Draw(picture)
    left, top = (int(place) for place in random.integers(2, 12, 2))
    colour = tuple(int(value) for value in random.integers(120, 255, 3))
    match name:
        case "disc":
            pen.ellipse((left, top, left + 22, top + 20), fill=colour)
        case "square":
            pen.rectangle((left, top, left + 20, top + 20), fill=colour)
        case _:
            for row in range(top, 34, 6):
                pen.line((0, row, 40, row), fill=colour, width=3)
    return picture


@pytest.fixture(scope="session")
def make_shapes() -> Callable[..., Path]:
    """`make_shapes(folder, {"train": 8, "test": 4}, start=0)`: pictures of each class; "" is no split."""

    def make(folder: Path, counts: dict[str, int], start: int = 0) -> Path:
        seed = start
        for split, count in counts.items():
            for name in NAMES:
                place = folder / split / name
                place.mkdir(parents=True, exist_ok=True)
                for number in range(count):
                    draw(name, seed + number).save(place / f"{number:03}.png")
            seed += count
        return folder

    return make


@pytest.fixture(scope="session")
def shapes(make_shapes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures to learn from, 30 to test. Not to be changed."""
    return make_shapes(tmp_path_factory.mktemp("shapes"), {"train": 20, "test": 10})


@pytest.fixture(scope="session")
def unsplit(make_shapes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures without splits. Not to be changed."""
    return make_shapes(tmp_path_factory.mktemp("unsplit"), {"": 20})


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained folder of timm's smallest ResNet, with random weights."""
    return _pretrained(tmp_path_factory, "test_resnet", 96, {"first_conv": "conv1", "classifier": "fc"})


@pytest.fixture(scope="session")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likewise of timm's smallest vision transformer."""
    stated = {"first_conv": "patch_embed.proj", "classifier": "head", "fixed_input_size": True}
    return _pretrained(tmp_path_factory, "test_vit", 64, stated)


def _pretrained(factory: pytest.TempPathFactory, name: str, width: int, stated: dict[str, object]) -> Path:
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    from safetensors.torch import save_file

    folder = factory.mktemp("models") / f"{name}.none"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(name, pretrained=False, num_classes=5)
    save_file(module.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": name,
        "num_classes": 5,
        "num_features": width,
        "pretrained_cfg": {
            "tag": "none",
            "input_size": [3, 160, 160],
            "pool_size": [5, 5],
            "crop_pct": 0.95,
            "crop_mode": "center",
            "interpolation": "bicubic",
            "fixed_input_size": False,
            "num_classes": 5,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            **stated,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 60 pictures to learn from and 30 to test, of one or two of three labels. Not to be changed.

    A disc stands at the left, a square at the right, and a picture may be red.
    """
    folder = tmp_path_factory.mktemp("tagged")
    rows = ["file,label,split"]
    for number in range(90):
        random = np.random.default_rng([7, number])
        labels = [("disc",), ("square",), ("red",), ("disc", "red"), ("disc", "square")][number % 5]
        pixels = random.integers(0, 90, (36, 48, 3), np.uint8)
        if "red" in labels:
            pixels[..., 0] += 110
        picture = PillowImage.fromarray(pixels)
        pen = ImageDraw.Draw(picture)
        top, colour = int(random.integers(2, 14)), (230, 230, int(random.integers(120, 255)))
        if "disc" in labels:
            pen.ellipse((3, top, 21, top + 18), fill=colour)
        if "square" in labels:
            pen.rectangle((26, top, 44, top + 18), fill=colour)
        picture.save(folder / f"{number:03}.png")
        rows.append(f"{number:03}.png,{'|'.join(labels)},{'train' if number < 60 else 'test'}")
    (folder / "index.csv").write_text("\n".join(rows))
    return folder
