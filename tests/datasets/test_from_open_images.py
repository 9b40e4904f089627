"""Open Images: tables of fractions, labels and images by identifier."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.datasets import from_open_images, open_dataset
from signet.errors import BadDataset

HEAD = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf"


def write(folder, rows, images=("a",), name="train-annotations-bbox.csv"):
    folder.mkdir(exist_ok=True)
    for image in images:
        PillowImage.new("RGB", (40, 20)).save(folder / f"{image}.jpg")
    (folder / name).write_text("\n".join([HEAD, *rows]))
    return folder


def test_groups_and_labels(tmp_path):
    write(tmp_path, ["a,/m/2,0.1,0.5,0.1,0.6,0", "a,/m/10,0,1,0,1,1"])
    data = open_dataset(tmp_path)
    assert (data.format, data.task, data.labels) == ("open-images", "detect", ("/m/2", "/m/10"))
    np.testing.assert_allclose(data[0].truth.xyxy, [[4, 2, 20, 12], [0, 0, 40, 20]])
    assert data[0].truth.crowd.tolist() == [False, True]
    assert data[0].split == "train"
    assert open_dataset(tmp_path / "train-annotations-bbox.csv").fingerprint == data.fingerprint


def test_the_rules(tmp_path):
    rows = ["a,/m/1,0.1,0.5,0.1,0.6,0"] * 2
    rows += ["gone,/m/1,0,1,0,1,0", "../x,/m/1,0,1,0,1,0", "a,/m/1,x,1,0,1,0", "a,,0,1,0,1,0", "a,/m/1,0"]
    rows += ["a,/m/1,0.9,0.2,0.1,0.5,0", "a,/m/1,0.1,3,0.1,0.5,0", ",/m/1,0,1,0,1,0"]
    data = from_open_images(write(tmp_path, rows))
    np.testing.assert_allclose(data[0].truth.xyxy, [[4, 2, 20, 12], [8, 2, 36, 10]])
    assert [note.split(",")[0] for note in data.notes] == [
        "1 images are listed but do not exist",
        "1 names lead out of the dataset's folder (absolute",
        "1 objects have a label that the dataset does not name",
        "3 annotations are not of the form that their format has",
        "1 boxes have values outside 0 to 1",
        "1 boxes have left and right",
        "1 objects repeat another one of their image in all that is said",
    ]


def test_pixels_are_refused(tmp_path):
    write(tmp_path, [f"a,/m/1,{left},30,2,12,0" for left in range(9)])
    with pytest.raises(BadDataset, match=r"outside in 9 of 9 boxes: a\.jpg has 0, 2, 30, 12"):
        from_open_images(tmp_path)


def test_sides_declared_as_corners_are_refused(tmp_path):
    write(tmp_path, [f"a,/m/1,0.{place}5,0.2,0.{place}5,0.2,0" for place in range(2, 8)] * 2)
    with pytest.raises(BadDataset, match="got numbers that look like left, top, width, height"):
        from_open_images(tmp_path)


def test_what_is_no_table(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n")
    with pytest.raises(BadDataset, match="expected a table of boxes"):
        from_open_images(tmp_path)
