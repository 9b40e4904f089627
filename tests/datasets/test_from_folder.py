"""Folders of classes."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from signet.datasets import from_folder
from signet.errors import BadDataset, BadInput, BadRequest, UnknownName


def _touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not read here")
    return folder


def test_classes_in_natural_order(tmp_path):
    data = from_folder(_touch(tmp_path, "10/a.jpg", "2/b.png", "B/c.JPG", "a/deep/er/d.gif", "a/1.jpg"))
    assert data.labels == ("2", "10", "a", "B")
    assert [(name, *entry.classes) for name, entry in zip(data.names, data.entries, strict=True)] == [
        ("2/b.png", 0),
        ("10/a.jpg", 1),
        ("a/1.jpg", 2),
        ("a/deep/er/d.gif", 2),
        ("B/c.JPG", 3),
    ]
    assert data.splits == ()
    assert data.notes == ()
    assert data.format == "folder"
    assert data.class_counts.tolist() == [1, 1, 2, 1]
    assert data.targets.tolist() == [0, 1, 2, 2, 3]
    assert data[0].truth.best == "2"


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "VALID", "Testing"), ("train", "dev", "test")]
)
def test_splits(tmp_path, names):
    _touch(tmp_path, *(f"{name}/{label}/{i}.jpg" for name in names for label in "ab" for i in range(2)))
    data = from_folder(tmp_path)
    assert data.splits == ("train", "val", "test")
    assert data.split_counts == {"train": 4, "val": 4, "test": 4}
    validation = data.select("validation")
    assert len(validation) == 4
    assert validation.labels == ("a", "b")
    assert {sample.split for sample in validation} == {"val"}
    with pytest.raises(UnknownName, match=r"No split named 'tset'\. Did you mean 'test'"):
        data.select("tset")


def test_labels_that_differ_between_splits_are_named(tmp_path):
    _touch(tmp_path, "train/a/1.jpg", "train/Cat/1.jpg", "test/a/1.jpg", "test/cat/1.jpg", "test/new/1.jpg")
    data = from_folder(tmp_path)
    assert data.labels == ("a", "Cat", "cat", "new")
    said = " ".join(data.notes)
    assert "2 of 4 classes have no image in train: cat, new." in said
    assert "1 of 4 classes have no image in test: Cat." in said
    assert "differ only in upper and lower case are kept apart: Cat, cat" in said


def test_what_is_left_out_is_said(tmp_path):
    _touch(tmp_path, "a/1.jpg", "b/1.jpg", "c/notes.txt", "stray.jpg", ".git/x.jpg", "__MACOSX/a/1.jpg")
    data = from_folder(tmp_path)
    assert data.labels == ("a", "b")
    assert data.notes[0] == "1 folders in which no image is found are no classes: c."
    assert "1 images beside the class folders" in data.notes[1]
    assert "stray.jpg" in data.notes[1]


def test_one_name_in_two_unicode_forms_is_one_class(tmp_path):
    for split, form in (("train", "NFC"), ("test", "NFD")):
        _touch(tmp_path, f"{split}/{unicodedata.normalize(form, 'Bärlauch')}/1.jpg")
    data = from_folder(tmp_path)
    assert data.labels == (unicodedata.normalize("NFC", "Bärlauch"),)
    assert data.notes == ()


def test_a_class_named_train(tmp_path):
    _touch(tmp_path, "train/1.jpg", "car/1.jpg", "plane/1.jpg")
    assert from_folder(tmp_path).labels == ("car", "plane", "train")
    _touch(tmp_path, "steam/train/steam/1.jpg", "steam/car/1.jpg")
    with pytest.raises(BadDataset, match="ask for layout='classes'"):
        from_folder(tmp_path / "steam")
    assert from_folder(tmp_path / "steam", layout="classes").labels == ("car", "train")
    only = from_folder(tmp_path / "steam", layout="splits")
    assert only.labels == ("steam",)
    assert "left out: car" in only.notes[0]


def test_two_folders_for_one_split(tmp_path):
    _touch(tmp_path, "train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg")
    with pytest.raises(BadDataset, match="one folder for the split 'val'"):
        from_folder(tmp_path)


def test_no_dataset(tmp_path):
    with pytest.raises(BadDataset, match="there is no such folder"):
        from_folder(tmp_path / "none")
    with pytest.raises(BadDataset, match="no image at all"):
        from_folder(tmp_path)
    _touch(tmp_path, "1.jpg", "2.jpg")
    with pytest.raises(BadDataset, match=r"got 2 images and no such folder\. Sort the images"):
        from_folder(tmp_path)
    with pytest.raises(BadDataset, match="got a file"):
        from_folder(tmp_path / "1.jpg")
    with pytest.raises(BadRequest, match="layout"):
        from_folder(tmp_path, layout="split")
    with pytest.raises(BadDataset, match="expected folders named train"):
        from_folder(_touch(tmp_path, "a/1.jpg"), layout="splits")


def test_hostile_names_are_classes_but_do_not_act_in_messages(tmp_path):
    _touch(tmp_path, "\x1b[31mred/1.jpg", "two\nlines/1.jpg", "<b>/1.jpg", "\x1b[0m/no_image.txt")
    data = from_folder(tmp_path)
    assert set(data.labels) == {"\x1b[31mred", "two\nlines", "<b>"}
    assert all(note.isprintable() for note in data.notes)


def test_links_do_not_loop(tmp_path):
    _touch(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to(tmp_path / "b")
    assert from_folder(tmp_path).class_counts.tolist() == [1, 1, 1]


def test_samples_read_when_asked(tmp_path, hostile):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(hostile.encoded(hostile.quadrants(), "PNG"))
    _touch(tmp_path, "a/2.png")
    good, bad = from_folder(tmp_path)
    assert good.image.size == (hostile.HEIGHT, hostile.WIDTH)
    assert good.truth.source == good.source == str(tmp_path / "a" / "1.png")
    with pytest.raises(BadInput, match=r"2\.png"):
        bad.image  # noqa: B018 - reading is the point


def test_fingerprint(tmp_path):
    one = _touch(tmp_path / "one", "a/1.jpg", "b/2.jpg")
    other = _touch(tmp_path / "other", "b/2.jpg", "a/1.jpg")
    data = from_folder(one)
    assert data.fingerprint == from_folder(other).fingerprint
    assert data.fingerprint == data.subset([1, 0]).fingerprint
    assert data.fingerprint != data.subset([0]).fingerprint
    assert data.fingerprint_of(["x", "y"]) != data.fingerprint_of(["y", "x"])
    (other / "a" / "1.jpg").write_bytes(b"longer than it was before")
    assert data.fingerprint != from_folder(other).fingerprint
    assert data.fingerprint != data.with_splits(["train", "val"]).fingerprint


def test_ten_classes_of_small_pictures(shared):
    data = from_folder(shared / "data" / "cifar10_small")
    assert data.split_counts == {"train": 4200, "test": 1000}
    assert data.labels[:2] == ("airplane", "automobile")
    assert np.all(data.select("train").class_counts == 420)
    assert data.notes == ()
