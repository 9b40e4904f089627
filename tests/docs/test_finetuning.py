"""docs/finetuning.md says what the package does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from signet.cli.finetune_options import HeadName
from signet.finetuning import detectors, segmenters
from signet.finetuning.adaptations import FROZEN_STAGES
from signet.recipes import Recipe

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "finetuning.md").read_text("utf-8")


def test_every_head_is_in_the_table() -> None:
    for head in HeadName:
        if head is not HeadName.auto:
            assert f"`{head.value}`" in PAGE


def test_the_settings_are_those_of_the_package() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert set(table) <= set(Recipe().to_dict())
    yolo, faster, mask = (detectors.PACES[name] for name in ("yolo", "faster-rcnn", "mask-rcnn"))
    assert faster == mask
    assert (
        f"about {yolo.images:,} images in all with YOLO, {faster.images:,} with an R-CNN" in table["epochs"]
    )
    assert f"{yolo.least} to {yolo.most} passes" in table["epochs"]
    assert table["batch"] == f"{yolo.batch} with YOLO, {faster.batch} with an R-CNN"
    assert table["patience"].startswith(f"{yolo.patience} epochs")
    assert (yolo.mosaic, faster.mosaic) == (0.5, 0.0)
    assert table["ema"].startswith(f"{yolo.ema} with YOLO")
    assert f"first {FROZEN_STAGES} " in table["frozen_stages"]
    assert segmenters.PACE.batch == 4


def test_the_levels_of_augmentation_are_those_of_the_package() -> None:
    pytest.importorskip("torch")
    from signet.training.variation import STRENGTHS

    strong = STRENGTHS["strong"]
    four = (strong.randaugment, strong.erasing, strong.mixup, strong.cutmix)
    assert "{:g}, {:g}, {:g} and {:g}".format(*four) in PAGE
    for name in ("light", "medium", "strong"):
        assert f"`{name}` (crops from {100 * STRENGTHS[name].area:.0f} %" in PAGE


def test_the_recipes_are_some() -> None:
    read = [
        Recipe.from_dict(tomllib.loads(block)) for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    ]
    assert any(recipe.input_size == 384 for recipe in read)
    assert any(recipe.augmentation == "strong" for recipe in read)
