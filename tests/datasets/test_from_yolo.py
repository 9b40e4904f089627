"""YOLO: layouts, lines, and numbers that are no fractions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.datasets import from_coco, from_yolo, open_dataset
from signet.datasets.to_coco import to_coco
from signet.datasets.to_yolo import to_yolo
from signet.errors import BadDataset, BadRequest

LINE = "0 0.5 0.5 0.2 0.4\n"
OUTLINE = "1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n"


def write(folder, name, labels, *, images="images", texts="labels"):
    """A picture of 20 x 40 and its file of labels (None for none)."""
    stem = name.rsplit(".", 1)[0]
    file = folder / images / name
    file.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", (40, 20)).save(file)
    if labels is not None:
        text = folder / texts / f"{stem}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(labels)
    return folder


def test_without_settings(tmp_path):
    write(tmp_path, "a.png", LINE)
    write(tmp_path, "b.png", None)
    write(tmp_path, "c.png", "")
    data = open_dataset(tmp_path)
    assert (data.format, data.labels, data.indices_given) == ("yolo", ("class 0",), True)
    np.testing.assert_allclose(data[0].truth.xyxy, [[16, 6, 24, 14]])
    assert [len(sample.truth) for sample in data] == [1, 0, 0]
    assert data.notes[1] == "1 images have no file of labels, and count as images without an object: b.png."
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert open_dataset(tmp_path).labels == ("cat", "dog")


@pytest.mark.parametrize(
    ("images", "texts"), [("images/{}", "labels/{}"), ("{}/images", "{}/labels"), ("{}", "{}")]
)
def test_the_places_of_splits(tmp_path, images, texts):
    for split in ("train", "valid"):
        write(tmp_path, f"{split}.png", LINE, images=images.format(split), texts=texts.format(split))
    data = from_yolo(tmp_path)
    assert data.split_counts == {"train": 1, "val": 1}
    assert all(len(sample.truth) == 1 for sample in data)


def test_settings_with_lists_and_a_base(tmp_path):
    write(tmp_path, "a.png", LINE, images="set/images/x", texts="set/labels/x")
    write(tmp_path, "b.png", LINE, images="set/images/x", texts="set/labels/x")
    (tmp_path / "set" / "train.txt").write_text("./images/x/a.png\n\nimages/x/gone.png\n../../x.png\n")
    (tmp_path / "data.yaml").write_text("path: set\ntrain: train.txt\nval: [images/x]\nnames: [cat, dog]\n")
    data = open_dataset(tmp_path)
    assert data.split_counts == {"train": 1, "val": 1}
    assert [note.split(",")[0] for note in data.notes[1:]] == [
        "1 images are listed but do not exist",
        "1 names lead out of the dataset's folder (absolute",
        "1 images are listed more than once",
    ]
    assert open_dataset(tmp_path / "data.yaml").fingerprint == data.fingerprint


def test_outlines(tmp_path):
    write(tmp_path, "a.png", OUTLINE)
    data = from_yolo(tmp_path)
    assert data.task == "instances"
    truth = data[0].truth
    np.testing.assert_allclose(truth.boxes.xyxy, [[4, 2, 20, 10]])
    assert truth.masks[0].bounds.tolist() == [4, 2, 20, 10]
    np.testing.assert_allclose(truth.boxes.areas, [128])
    again = from_yolo(to_yolo(data, tmp_path / "out").folder)
    assert again[0].truth.masks == truth.masks
    write(tmp_path, "b.png", LINE)
    assert from_yolo(tmp_path).task == "detect"
    assert from_yolo(tmp_path, task="instances").notes[0].startswith("1 objects have a box but no mask")


def test_a_line_that_is_wrong_is_counted(tmp_path):
    wrong = ["0 0.5 0.5", "x 0.5 0.5 0.1 0.1", "0.5 0.5 0.5 0.1 0.1", "0 0.5 0.5 nan 0.1", "-1 .5 .5 .1 .1"]
    write(tmp_path, "a.png", LINE + "\n".join([*wrong, "0 .1 .1 .1 .1 .9", "2 .5 .5 .1 .1", "0 .5 .5 0 .1"]))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    data = from_yolo(tmp_path)
    assert len(data[0].truth) == 1
    assert [note.split(",")[0] for note in data.notes] == [
        "1 objects have a label that the dataset does not name",
        "6 annotations are not of the form that their format has",
        "1 boxes have no area within their image (zero",
    ]


def test_a_few_numbers_outside_are_left_out_and_many_are_refused(tmp_path):
    write(tmp_path, "a.png", LINE * 2 + "0 1.4 0.5 0.2 0.2\n0 1.0005 0.5 0.4 0.4\n")
    data = from_yolo(tmp_path)
    assert [note.split(",")[0] for note in data.notes] == [
        "1 boxes have values outside 0 to 1",
        "1 boxes reach beyond their image by more than half a pixel",
        "1 objects repeat another one of their image in all that is said",
    ]
    write(tmp_path, "a.png", "0 412 203 55 80\n" * 3 + LINE + "0 31 7 9 9\n")
    with pytest.raises(BadDataset, match=r"from 0 to 1, got numbers outside in 4 of 5 boxes: a.png has 412, "
                       r"203, 55, 80\. They look like pixels: divide"):  # fmt: skip
        from_yolo(tmp_path)


def test_one_line_of_pixels_alone_is_refused(tmp_path):
    write(tmp_path, "a.png", "0 412 203 55 80\n")
    with pytest.raises(BadDataset, match="outside in 1 of 1 boxes"):
        from_yolo(tmp_path)


@pytest.mark.parametrize(
    ("kind", "words"), [("xyxy", "left, top, right, bottom"), ("xywh", "left, top, width")]
)
def test_corners_declared_as_centres_are_refused(tmp_path, kind, words):
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 0.5, (60, 2))
    sides = rng.uniform(0.2, 0.5, (60, 2))
    rows = np.hstack([low, low + sides if kind == "xyxy" else sides])
    write(tmp_path, "a.png", "".join("0 {:.4f} {:.4f} {:.4f} {:.4f}\n".format(*row) for row in rows))
    with pytest.raises(BadDataset, match=f"centre x, .* got numbers that look like {words}"):
        from_yolo(tmp_path)


def test_what_is_no_yolo_folder(tmp_path):
    with pytest.raises(BadDataset, match="expected a folder with images and labels, got no folder"):
        from_yolo(tmp_path / "none")
    write(tmp_path, "a.png", None)
    with pytest.raises(BadDataset, match="expected a text file of labels for each image"):
        from_yolo(tmp_path)
    with pytest.raises(BadRequest, match="expected 'detect' or 'instances'"):
        from_yolo(tmp_path, task="classify")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: !!python/object/apply:os.system ['true']", "the YAML cannot be read"),
        ("a: &a [1, 2]\nb: *a", "without aliases"),
        ("a: " + "[" * 40 + "]" * 40, "at most 12 levels"),
        ("- 1", "expected keys with values, got a list"),
        ("a: b: c", "the YAML cannot be read"),
        ("names: 3", "expected label names as a list"),
        ("names: {x: cat}", "expected label names as a list"),
        ("names: {-4: cat}", "expected label numbers from 0 on"),
        ("nc: 3\nnames: [cat, dog]", "`nc` says, which is 3, got 2"),
        ("train: [3]\nnames: [cat]", "expected 'train' to be a folder, got 3"),
        ("#" * (5 << 20), "expected at most"),
    ],
)
def test_hostile_settings(tmp_path, text, words):
    write(tmp_path, "a.png", LINE)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(BadDataset, match=words):
        open_dataset(tmp_path)


def test_settings_cannot_lead_out(tmp_path):
    write(tmp_path / "other", "x.png", LINE)
    write(tmp_path / "data", "a.png", LINE)
    other = tmp_path / "other/images"
    (tmp_path / "data/linked").symlink_to(other)
    (tmp_path / "data/data.yaml").write_text(
        f"train: {other}\nval: ../other/images\ntest: linked\nnames: [cat]\n"
    )
    with pytest.raises(BadDataset, match="none that can be used"):
        from_yolo(tmp_path / "data")


def test_what_yolo_cannot_hold_is_said(tmp_path):
    write(tmp_path / "one", "a.png", OUTLINE + OUTLINE.replace("0.5", "0.7"))
    data = from_yolo(tmp_path / "one")
    document = to_coco(data, tmp_path / "coco").folder / "annotations/instances.json"
    text = document.read_text().replace('"iscrowd": 0', '"iscrowd": 1', 1)
    document.write_text(text)
    done = to_yolo(from_coco(tmp_path / "coco"), tmp_path / "two")
    assert (done.objects, done.notes) == (
        1,
        ("1 crowd objects were left out: YOLO's files cannot say crowd.",),
    )
    with pytest.raises(BadRequest, match=r"expected the splits train, val and test .* got extra"):
        to_yolo(data.with_splits(["extra"]), tmp_path / "three")
    assert not (tmp_path / "three").exists()
