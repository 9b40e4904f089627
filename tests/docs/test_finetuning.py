"""docs/finetuning.md says what the package does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

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


def test_the_recipe_is_one() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert Recipe.from_dict(tomllib.loads(block)).input_size == 384
