"""Pascal VOC: where pixels are counted from, what difficult means, and hostile XML."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.datasets import from_voc, open_dataset
from signet.datasets.to_voc import to_voc
from signet.errors import BadDataset, BadRequest, WrongTask


def item(xmin, ymin, xmax, ymax, name="cat", difficult=0):
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{xmin}</xmin>"
        f"<ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
    )


def write(folder, *items, stem="a", filename=None, size="<size><width>40</width><height>20</height></size>"):
    for inner in ("JPEGImages", "Annotations"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", (40, 20)).save(folder / f"JPEGImages/{stem}.jpg")
    (folder / f"Annotations/{stem}.xml").write_text(
        f"<annotation><filename>{filename or stem + '.jpg'}</filename>{size}{''.join(items)}</annotation>"
    )
    return folder


def test_pixels_count_from_one(tmp_path):
    data = from_voc(write(tmp_path, item(1, 1, 40, 20), item(3.5, 4, 10, 9, "dog", 1)))
    truth = data[0].truth
    assert truth.xyxy.tolist() == [[0, 0, 40, 20], [2.5, 3, 10, 9]]
    assert truth.crowd.tolist() == [False, True]
    assert data.labels == ("cat", "dog")
    assert data.notes == ("1 difficult objects count neither as found nor as missed.",)
    again = from_voc(to_voc(data, tmp_path / "out").folder)[0].truth
    assert again.xyxy.tolist() == truth.xyxy.tolist()
    assert again.crowd.tolist() == truth.crowd.tolist()


def test_pixels_that_count_from_zero_are_said(tmp_path):
    data = from_voc(write(tmp_path, item(0, 0, 40, 20), item(0, 4, 10, 9), item(1, 4, 10, 9)))
    assert data[0].truth.xyxy.tolist() == [[0, 0, 40, 20], [0, 4, 10, 9], [1, 4, 10, 9]]
    assert data.notes == ("Corners are counted from 0: 2 boxes begin at 0, where Pascal VOC counts from 1.",)


def test_the_rules(tmp_path):
    wrong = [item(30, 2, 11, 12), item("x", 1, 2, 3), item(5, 5, 9, 9, ""), item(60, 5, 70, 9)]
    write(tmp_path, item(1, 1, 20, 10), *wrong)
    write(tmp_path, stem="gone")
    (tmp_path / "JPEGImages/gone.jpg").unlink()
    write(tmp_path, stem="out", filename="../../x.jpg")
    write(tmp_path, stem="size", size="<size><width>9</width><height>9</height></size>")
    write(tmp_path, item(1, 1, 5, 5), stem="nosize", size="<size><width>0</width></size>")
    (tmp_path / "Annotations/broken.xml").write_text("<annotation>")
    data = open_dataset(tmp_path)
    assert [path.name for path in data.paths] == ["a.jpg", "nosize.jpg"]
    assert data[0].truth.xyxy.tolist() == [[0, 0, 20, 10], [10, 1, 30, 12]]
    assert [note.split(",")[0] for note in data.notes[1:]] == [
        "1 images are listed but do not exist",
        "1 names lead out of the dataset's folder (absolute",
        "1 objects have a label that the dataset does not name",
        "2 annotations are not of the form that their format has",
        "1 boxes have left and right",
        "1 boxes have no area within their image (zero",
        "1 images are not of the size that their annotations state",
    ]


def test_sides_declared_as_corners_are_refused(tmp_path):
    rng = np.random.default_rng(2)
    rows = [(*rng.integers(3, 25, 1), *rng.integers(3, 10, 1), *rng.integers(3, 12, 1), 9) for _ in range(30)]
    write(tmp_path, *(item(*row) for row in rows))
    with pytest.raises(BadDataset, match=r"expected boxes as left, top, right, bottom, got numbers that look "
                       r"like left, top, width, height: read as expected, \d+ of 30"):  # fmt: skip
        from_voc(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>',
        "<annotation>" + "<a>" * 200_000,
        '<?xml version="1.0" encoding="none"?><annotation/>',
        "\0",
    ],
)
def test_hostile_xml_is_left_out(tmp_path, text):
    write(tmp_path, item(1, 1, 5, 5))
    (tmp_path / "Annotations/b.xml").write_text(text)
    data = from_voc(tmp_path)
    assert len(data) == 1
    assert data.notes == (
        "1 annotations are not of the form that their format has, and were left out: b.xml.",
    )


def test_xml_beside_images_in_splits(tmp_path):
    for split in ("train", "test"):
        write(tmp_path, item(1, 1, 5, 5), stem=split)
        (tmp_path / split).mkdir()
        for file in (f"JPEGImages/{split}.jpg", f"Annotations/{split}.xml"):
            (tmp_path / file).rename(tmp_path / split / file.split("/")[1])
    (tmp_path / "JPEGImages").rmdir()
    (tmp_path / "Annotations").rmdir()
    data = open_dataset(tmp_path)
    assert (data.format, data.split_counts) == ("voc", {"train": 1, "test": 1})


def test_label_images_beside_xml_are_read_when_they_are_asked_for(tmp_path):
    for stem in "abc":
        write(tmp_path, item(1, 1, 20, 10), stem=stem)
    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets/Main").mkdir()
    values = np.zeros((20, 40), np.uint8)
    values[:10, :20], values[10:, 20:] = 8, 255
    for stem, split in (("a", "train"), ("b", "val")):
        PillowImage.fromarray(values, "L").save(tmp_path / f"SegmentationClass/{stem}.png")
        (tmp_path / f"ImageSets/Segmentation/{split}.txt").write_text(f"{stem}\n")
    (tmp_path / "ImageSets/Main/test.txt").write_text("a\nb\nc\n")
    boxes = open_dataset(tmp_path)
    assert (boxes.task, len(boxes), boxes.split_counts) == ("detect", 3, {"test": 3})
    assert "The label images in SegmentationClass are not read: the format 'voc-segments'" in boxes.notes[-1]
    assert from_voc(tmp_path, task="detect").notes == ()
    maps = open_dataset(tmp_path, "voc-segments")
    assert maps.notes[0] == "Read as the label images of a Pascal VOC dataset: the format was given."
    for data in (maps, from_voc(tmp_path, task="segment")):
        assert (data.task, data.format, data.split_counts) == ("segment", "voc", {"train": 1, "val": 1})
        assert data.labels[8] == "cat"
        indices = data[0].truth.indices
        assert [indices[0, 0], indices[0, 39], indices[19, 39]] == [8, 0, -1]


def test_what_is_no_voc_folder(tmp_path):
    with pytest.raises(BadDataset, match="expected the folder SegmentationClass, and there is none"):
        from_voc(write(tmp_path / "boxes", item(1, 1, 5, 5)), task="segment")
    with pytest.raises(BadDataset, match="expected the folder SegmentationClass, and there is none"):
        open_dataset(tmp_path, "voc-segments")
    with pytest.raises(BadDataset, match="got no folder"):
        from_voc(tmp_path / "none")
    with pytest.raises(
        BadDataset, match="expected the folder Annotations or SegmentationClass, and there is none"
    ):
        from_voc(tmp_path)
    with pytest.raises(BadDataset, match="expected XML files"):
        from_voc(tmp_path, task="detect")
    with pytest.raises(BadRequest, match="expected 'detect' or 'segment'"):
        from_voc(tmp_path, task="instances")
    (tmp_path / "c").mkdir()
    PillowImage.new("RGB", (4, 4)).save(tmp_path / "c/a.png")
    with pytest.raises(WrongTask, match="expected a dataset of the task detect to write Pascal VOC's XML"):
        to_voc(open_dataset(tmp_path), tmp_path / "out")
