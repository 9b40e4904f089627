"""Label images: layouts, tables of names, and values that nothing names."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.datasets import from_masks, open_dataset
from signet.datasets.values import read_names
from signet.errors import BadDataset


def write(folder, name, values, *, images="images", masks="masks", mask_name=None, size=None):
    """A picture and its label image; `values` is an array, or one value for all of 6 x 8 pixels."""
    array = np.full((6, 8), values, np.uint8) if np.isscalar(values) else np.asarray(values, np.uint8)
    (folder / images).mkdir(parents=True, exist_ok=True)
    (folder / masks).mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", size or (array.shape[1], array.shape[0])).save(folder / images / f"{name}.jpg")
    PillowImage.fromarray(array).save(folder / masks / f"{mask_name or name}.png")
    return folder


@pytest.mark.parametrize(
    ("images", "masks", "split"),
    [
        ("images", "masks", None),
        ("images/train", "masks/train", "train"),
        ("images/validation", "annotations/validation", "val"),
        ("train/images", "train/masks", "train"),
        ("train", "trainannot", "train"),
        ("test", "test_masks", "test"),
        ("imgs", "gt", None),
    ],
)
def test_the_places_of_label_images(tmp_path, images, masks, split):
    write(tmp_path, "a", 1, images=images, masks=masks, mask_name="a_mask")
    data = open_dataset(tmp_path)
    assert (data.format, data.task, data.entries[0].split) == ("masks", "segment", split)
    assert data[0].truth.present == (1,)


def test_names_that_nobody_states(tmp_path):
    write(tmp_path, "a", 2)
    data = from_masks(tmp_path)
    assert data.labels == ("class 0", "class 1", "class 2")
    assert data.indices_given
    assert data.notes == ("Nothing names the values; labels are called class 0 to class 2.",)
    assert from_masks(tmp_path, labels=("sky", "sea", "land")).labels[2] == "land"


def test_a_mask_of_two_values(tmp_path):
    write(tmp_path, "a", np.where(np.eye(6) > 0, 255, 0))
    data = from_masks(tmp_path)
    assert data.labels == ("background", "foreground")
    assert data[0].truth.background == 0
    np.testing.assert_array_equal(data[0].truth.indices, np.eye(6))
    assert data.notes == ("The values 0 and 255 are read as background and foreground.",)


def test_the_value_that_is_unlabelled(tmp_path):
    write(tmp_path, "a", np.arange(6)[:, None].repeat(6, 1))
    data = from_masks(tmp_path, labels=("a", "b", "c", "d", "e", "f"), unlabelled=3)
    assert data[0].truth.indices[:, 0].tolist() == [0, 1, 2, -1, 3, 4]
    assert data.labels == ("a", "b", "c", "e", "f")


def test_a_few_unknown_values_are_left_out_and_many_are_refused(tmp_path):
    (tmp_path / "classes.txt").parent.mkdir(exist_ok=True)
    for number in range(8):
        write(tmp_path, f"good{number}", 1)
    (tmp_path / "classes.txt").write_text("sky\nsea\n")
    write(tmp_path, "bad", 77)
    data = from_masks(tmp_path)
    assert len(data) == 8
    assert data.notes == (
        "1 label images hold values that nothing names, and were left out with their images: bad.png.",
    )
    for number in range(6):
        write(tmp_path, f"worse{number}", 60 + number)
    with pytest.raises(BadDataset, match=r"expected label images of the values 0, 1, 255, got 60, 61, 62, "
                       r"63, 64 and more in 7 of 15\. Name these values"):  # fmt: skip
        open_dataset(tmp_path)


def test_one_unknown_value_alone_is_refused(tmp_path):
    write(tmp_path, "a", 77)
    with pytest.raises(BadDataset, match="got 77 in 1 of 1"):
        from_masks(tmp_path, labels=("sky", "sea"))


def test_the_rules(tmp_path):
    write(tmp_path, "a", 0)
    write(tmp_path, "size", 0, size=(9, 9))
    write(tmp_path, "alone", 0)
    (tmp_path / "images/alone.jpg").unlink()
    write(tmp_path, "none", 0)
    (tmp_path / "masks/none.png").unlink()
    write(tmp_path, "lossy", 0)
    PillowImage.new("L", (8, 6)).save(tmp_path / "masks/lossy.png", "JPEG")
    write(tmp_path, "broken", 0)
    (tmp_path / "masks/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    data = from_masks(tmp_path, labels=("sky",))
    assert [path.name for path in data.paths] == ["a.jpg"]
    assert [note.split(",")[0] for note in data.notes] == [
        "2 files cannot be read as images",
        "1 images are not of the size that their annotations state",
        "1 images have no label image",
        "1 label images have no image",
    ]


def test_lists_of_pairs(tmp_path):
    write(tmp_path, "a", 0, images="x", masks="y")
    (tmp_path / "train.txt").write_text("/x/a.jpg y/a.png\n\none\nx/gone.jpg y/a.png\n../x.jpg y/a.png\n")
    data = open_dataset(tmp_path)
    assert (data.format, data.split_counts) == ("masks", {"train": 1})
    assert len(data.notes) == 5


def test_a_picture_stored_turned_with_labels_as_stored(tmp_path):
    write(tmp_path, "a", np.arange(48).reshape(6, 8) % 3)
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    PillowImage.new("RGB", (8, 6)).save(tmp_path / "images/a.jpg", exif=exif)
    truth = from_masks(tmp_path)[0].truth
    assert truth.size == (8, 6)
    np.testing.assert_array_equal(truth.indices, np.rot90(np.arange(48).reshape(6, 8) % 3, -1))


def test_sixteen_bits(tmp_path):
    write(tmp_path, "a", 0)
    PillowImage.fromarray(np.full((6, 8), 300, np.uint16)).save(tmp_path / "masks/a.png")
    assert from_masks(tmp_path)[0].truth.present == (300,)


def test_colours_without_a_table_are_refused(tmp_path):
    write(tmp_path, "a", 0)
    PillowImage.new("RGB", (8, 6), (1, 2, 3)).save(tmp_path / "masks/a.png")
    with pytest.raises(BadDataset, match=r"expected a table of colours .* The colours are \(1, 2, 3\)"):
        from_masks(tmp_path)
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nroad,9,9,9\n")
    with pytest.raises(BadDataset, match=r"of the values \(9, 9, 9\), got \(1, 2, 3\) in 1 of 1"):
        from_masks(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "labels", "colours"),
    [
        ("classes.txt", "sky\nsea\n", {0: "sky", 1: "sea"}, {}),
        ("labelmap.txt", "# a:b:c:d\nsky:0,0,9::\nsea:1,2,3::\n", {0: "sky", 1: "sea"},
         {0: (0, 0, 9), 1: (1, 2, 3)}),
        ("label_colors.txt", "64 128 64\tAnimal\n192 0 128\tArch way\n", {0: "Animal", 1: "Arch way"},
         {0: (64, 128, 64), 1: (192, 0, 128)}),
        ("classes.csv", "value;label\n4;sky\n9;sea\n", {4: "sky", 9: "sea"}, {}),
        ("class_dict.csv", "name, red, green, blue\nsky, 1, 2, 3\n", {0: "sky"}, {0: (1, 2, 3)}),
    ],
)  # fmt: skip
def test_tables(tmp_path, name, text, labels, colours):
    (tmp_path / name).write_text(text)
    found = read_names(tmp_path)
    assert (found.labels, found.colours) == (labels, colours)


@pytest.mark.parametrize(
    "text",
    [
        "colour\nred\n",
        "name,r,g,b\nsky,1,2,999\n",
        "name,value\nsky,x\n",
        'name\n"sky\n',
        "name,r,g,b\nsky,1\n",
    ],
)
def test_broken_tables(tmp_path, text):
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(BadDataset, match=r"classes\.csv"):
        read_names(tmp_path)


def test_the_fingerprint_covers_the_labels_of_pixels(tmp_path):
    write(tmp_path, "a", [[0, 1], [2, 2]])
    first = from_masks(tmp_path).fingerprint
    assert from_masks(tmp_path).fingerprint == first
    write(tmp_path, "a", [[0, 1], [2, 1]])
    assert from_masks(tmp_path).fingerprint != first


def test_what_is_no_folder_of_label_images(tmp_path):
    with pytest.raises(BadDataset, match="got no folder"):
        from_masks(tmp_path / "none")
    with pytest.raises(BadDataset, match="expected pictures with label images of the same names"):
        from_masks(tmp_path)
