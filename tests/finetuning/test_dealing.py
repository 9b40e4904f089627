"""Dealing images to learning, deciding and measuring: what a dataset's own splits leave over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.datasets import from_coco
from signet.errors import BadDataset
from signet.finetuning.dealing import deal
from signet.progress import silent
from signet.recipes import Recipe


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (("val",), "only those of its own split 'val', which decide"),
        (("val", "test"), "only those of its own splits 'val' and 'test', which decide"),
    ],
)
def test_a_dataset_whose_splits_leave_nothing_to_learn_from_is_told_so(
    tmp_path: Path, splits: tuple[str, ...], said: str
) -> None:
    images, objects = [], []
    for place in range(6):
        pixels = np.random.default_rng(place).integers(0, 255, (20, 30, 3), np.uint8)
        PillowImage.fromarray(pixels).save(tmp_path / f"{place}.png")
        split = splits[place % len(splits)]
        images.append({"id": place, "file_name": f"{place}.png", "width": 30, "height": 20, "split": split})
        objects.append({"image_id": place, "category_id": 1, "bbox": [2, 2, 9, 9]})
    document = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "thing"}]}
    (tmp_path / "instances.json").write_text(json.dumps(document))
    with pytest.raises(BadDataset, match=said) as raised:
        deal(from_coco(tmp_path), Recipe(), silent)
    assert "Add a split 'train'" in str(raised.value)
