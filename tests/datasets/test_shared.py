"""The shared datasets open by themselves, with the counts that their README states."""

from __future__ import annotations

import json

import numpy as np
import pytest

from signet.datasets import open_dataset
from signet.masks import Mask


def test_bccd_is_pascal_voc(shared):
    data = open_dataset(shared / "data" / "bccd")
    assert (data.format, data.task) == ("voc", "detect")
    assert data.split_counts == {"train": 205, "val": 87, "test": 72}
    assert data.labels == ("Platelets", "RBC", "WBC")
    assert len(data.notes) == 1
    boxes = data[0].truth
    assert boxes.source.endswith("BloodImage_00000.jpg")
    assert boxes.xyxy[0].tolist() == [259, 176, 491, 376]
    assert boxes.size == data[0].image.size == (480, 640)


def test_coco_tiny_is_coco(shared):
    data = open_dataset(shared / "data" / "coco_tiny")
    assert (data.format, data.task, len(data.labels)) == ("coco", "instances", 80)
    counts = {"train": (80, 705, 6), "val": (80, 815, 11)}
    names = (shared / "weights" / "labels" / "coco80.txt").read_text().split("\n")
    assert list(data.labels) == [name for name in names if name]
    for split, expected in counts.items():
        part = data.select(split)
        objects = [entry.annotation for entry in part.entries]
        assert (len(part), sum(map(len, objects)), sum(int(o.crowd.sum()) for o in objects)) == expected
        assert (part.class_counts > 0).all()
    assert len(data.notes) == 1


def test_coco_tiny_is_what_pycocotools_reads(shared):
    coco = pytest.importorskip("pycocotools.mask")
    folder = shared / "data" / "coco_tiny"
    stated = json.loads((folder / "annotations/instances_val2017.json").read_text())
    categories = {row["id"]: row["name"] for row in stated["categories"]}
    images = {row["id"]: row for row in stated["images"]}
    by_name = {sample.path.name: sample.truth for sample in open_dataset(folder).select("val")}
    places = dict.fromkeys(by_name, 0)
    for row in stated["annotations"]:
        image = images[row["image_id"]]
        truth, place = by_name[image["file_name"]], places[image["file_name"]]
        places[image["file_name"]] += 1
        left, top, width, height = row["bbox"]
        assert truth.boxes.xyxy[place].tolist() == [left, top, left + width, top + height]
        assert truth.boxes.labels[place] == categories[row["category_id"]]
        assert truth.boxes.areas[place] == row["area"]
        assert bool(truth.boxes.crowd[place]) == bool(row["iscrowd"])
        shape = row["segmentation"]
        if isinstance(shape, list):
            runs = coco.merge(coco.frPyObjects(shape, image["height"], image["width"]))
        else:
            runs = coco.frPyObjects(shape, image["height"], image["width"])
        assert truth.masks[place] == Mask.from_coco(runs)
    assert sum(places.values()) == 815


def test_nuclei_200_is_coco_with_splits_of_its_own(shared):
    data = open_dataset(shared / "data" / "nuclei_200")
    assert (data.format, data.task, data.labels) == ("coco", "instances", ("nucleus",))
    assert data.split_counts == {"train": 140, "val": 60}
    assert sum(len(entry.annotation) for entry in data.entries) == 5621
    assert len(data.notes) == 1
    truth = data[0].truth
    np.testing.assert_array_equal([mask.area for mask in truth.masks], truth.boxes.areas)
    np.testing.assert_array_equal([mask.bounds for mask in truth.masks], truth.boxes.xyxy)


def test_camvid_small_is_label_images(shared):
    data = open_dataset(shared / "data" / "camvid_small")
    assert (data.format, data.task, len(data.labels)) == ("masks", "segment", 11)
    assert data.split_counts == {"train": 60, "test": 30}
    assert data.labels[0] == "sky"
    assert "The value 11, one above the last name, is read as unlabelled." in data.notes
    truth = data[0].truth
    assert truth.size == data[0].image.size == (360, 480)
    assert truth.indices.min() == -1
    assert truth.background is None
