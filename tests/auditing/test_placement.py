"""Boxes that were not mirrored with their images are found, split by split."""

import json

import numpy as np
import pytest
from PIL import Image

from signet.auditing import audit
from signet.auditing.placement import LEAST
from signet.datasets import open_dataset

SIDE = 64


def dataset(folder, mirrored, count=LEAST):
    """Noisy pictures with a bright square left of the middle, in COCO's form, for each split."""
    generator = np.random.default_rng(0)
    (folder / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        (folder / split).mkdir()
        images, boxes = [], []
        for number in range(count):
            pixels = generator.integers(0, 90, (SIDE, SIDE, 3), np.uint8)
            left, top = generator.integers(2, 14), generator.integers(2, 44)
            pixels[top : top + 16, left : left + 16] += 150
            shown = pixels[:, ::-1] if mirrored == split else pixels
            Image.fromarray(shown).save(folder / split / f"{split}{number}.png")
            images.append({"id": number, "file_name": f"{split}{number}.png", "width": SIDE, "height": SIDE})
            box = [int(left), int(top), 16, 16]
            boxes.append({"id": number, "image_id": number, "category_id": 1, "bbox": box, "area": 256})
        stated = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "square"}]}
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(stated))
    return open_dataset(folder)


@pytest.mark.parametrize("mirrored", ["train", "val"])
def test_a_split_that_was_mirrored_without_its_boxes_is_severe(tmp_path, mirrored):
    (found,) = audit(dataset(tmp_path, mirrored), model=None).of("misplaced boxes")
    assert found.severity == "severe"
    assert found.details == {
        "where": "mirrored left to right",
        "split": mirrored,
        "better": LEAST,
        "count": LEAST,
    }
    assert f"The boxes of {mirrored} lie better mirrored left to right" in found.message
    assert "draw a few" in found.fix


@pytest.mark.parametrize(("mirrored", "count"), [(None, LEAST), ("train", LEAST - 1)])
def test_boxes_that_lie_right_and_too_few_images_raise_no_alarm(tmp_path, mirrored, count):
    assert not audit(dataset(tmp_path, mirrored, count), model=None).of("misplaced boxes")
