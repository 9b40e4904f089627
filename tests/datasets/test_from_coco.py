"""COCO: what is wrong is counted, named and decided; what is another thing is refused in words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.datasets import from_coco, open_dataset
from signet.errors import BadDataset, BadInput, BadRequest

SQUARE = [[2, 2, 8, 2, 8, 8, 2, 8]]


def picture(folder, name, size=(20, 30), orientation=None):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    exif = PillowImage.Exif()
    if orientation:
        exif[0x0112] = orientation
    PillowImage.new("RGB", size[::-1]).save(folder / name, exif=exif)


def image(number=1, name="a.jpg", **more):
    return {"id": number, "file_name": name, "height": 20, "width": 30, **more}


def annotation(bbox=(2, 2, 6, 6), image_id=1, category_id=1, **more):
    return {"image_id": image_id, "category_id": category_id, "bbox": list(bbox), **more}


def write(folder, annotations, images=None, categories=None, name="instances.json"):
    document = {
        "images": [image()] if images is None else images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "thing"}] if categories is None else categories,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(document))
    return folder


@pytest.fixture
def folder(tmp_path):
    picture(tmp_path, "a.jpg")
    return tmp_path


def boxes_of(folder):
    return [box for sample in from_coco(folder) for box in sample.truth.xyxy.tolist()]


@pytest.mark.parametrize(
    ("bbox", "left", "note"),
    [
        ((2, 3, 4, 5), [[2, 3, 6, 8]], None),
        ((-3, 3, 10, 5), [[0, 3, 7, 8]], "1 boxes reach beyond their image"),
        ((25, 15, 5.4, 5.4), [[25, 15, 30.4, 20.4]], None),
        ((25, 15, 9, 9), [[25, 15, 30, 20]], "1 boxes reach beyond their image"),
        ((5, 5, 0, 5), [], "1 boxes have no area"),
        ((5, 5, -3, 5), [], "1 boxes have no area"),
        ((40, 5, 3, 5), [], "1 boxes have no area"),
        (("2", 3, 4, 5), [], "1 annotations are not of the form"),
        ((2, 3, 4), [], "1 annotations are not of the form"),
        ((2, 3, True, 5), [], "1 annotations are not of the form"),
        ((float("nan"), 3, 4, 5), [], "1 annotations are not of the form"),
        ((10**400, 3, 4, 5), [], "1 annotations are not of the form"),
    ],
)
def test_the_rule_for_a_box(folder, bbox, left, note):
    write(folder, [annotation(bbox)])
    assert boxes_of(folder) == left
    notes = from_coco(folder).notes
    assert len(notes) == (note is not None)
    if note:
        assert notes[0].startswith(note)
        assert notes[0].endswith(": a.jpg.")


@pytest.mark.parametrize(
    ("row", "note"),
    [
        (annotation(category_id=5), "1 objects have a label that the dataset does not name"),
        (annotation(category_id=[1]), "1 objects have a label that the dataset does not name"),
        (annotation(image_id=9), "1 annotations belong to no image"),
        (annotation(image_id={}), "1 annotations belong to no image"),
        (annotation(segmentation={"size": [5, 5], "counts": [25]}), "1 objects have a mask that cannot"),
        (annotation(segmentation={"size": [20, 30], "counts": "~~"}), "1 objects have a mask that cannot"),
        (annotation(segmentation=[[1, 1, 2]]), "1 objects have a mask that cannot"),
        (annotation(segmentation=[[1, 1, 2, "x", 3, 3]]), "1 objects have a mask that cannot"),
        (annotation(segmentation=[[1, 1, 2, 1e300, 3, 3]]), "1 objects have a mask that cannot"),
        (annotation(segmentation=7), "1 objects have a mask that cannot"),
        (annotation(segmentation=SQUARE), "1 objects repeat another one"),
    ],
)
def test_the_rule_for_an_object(folder, row, note):
    write(folder, [annotation(segmentation=SQUARE), row])
    data = from_coco(folder)
    assert [len(sample.truth) for sample in data] == [1]
    assert data.task == "instances"
    assert [words[: len(note)] for words in data.notes] == [note]


def test_objects_of_one_box_and_two_masks_are_two(folder):
    other = [[2, 2, 8, 2, 8, 8]]
    write(folder, [annotation(segmentation=SQUARE), annotation(segmentation=other)])
    assert len(from_coco(folder)[0].truth) == 2


def test_missing_and_leaving_files_are_left_out(folder, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    picture(outside, "secret.jpg")
    (folder / "link.jpg").symlink_to(outside / "secret.jpg")
    (folder / "broken.jpg").write_bytes(b"no image")
    names = ["a.jpg", "gone.jpg", "../x.jpg", str(outside / "secret.jpg"), "link.jpg", "broken.jpg", "a.jpg"]
    names += ["C:\\x.jpg", "..\\x.jpg"]
    images = [image(number, name) for number, name in enumerate(names)]
    write(folder, [annotation(image_id=number) for number in range(len(names))], images)
    data = from_coco(folder)
    assert [path.name for path in data.paths] == ["a.jpg"]
    assert len(data[0].truth) == 1
    assert [note.split(" ", 1)[0] for note in data.notes] == ["1", "1", "5", "1"]
    assert "do not exist" in data.notes[0]
    assert "cannot be read as images" in data.notes[1]
    assert "lead out of the dataset's folder" in data.notes[2]
    assert "listed more than once" in data.notes[3]


def test_nothing_left_is_said(folder):
    write(folder, [], [image(name="gone.jpg")])
    with pytest.raises(BadDataset, match=r"got none that can be used\. 1 images are listed but do not exist"):
        from_coco(folder)


def test_files_share_labels_by_name(tmp_path):
    for split, number in (("train", 3), ("val", 8)):
        picture(tmp_path / "images" / split, f"{split}.jpg")
        categories = [{"id": number, "name": "dog"}, {"id": 40, "name": split}]
        images = [image(name=f"{split}.jpg")]
        write(tmp_path / "annotations", [annotation(category_id=number)], images, categories, f"{split}.json")
    data = open_dataset(tmp_path)
    assert data.labels == ("dog", "train", "val")
    assert data.split_counts == {"train": 1, "val": 1}
    assert all(sample.truth.labels == ("dog",) for sample in data)


def test_one_file_in_each_split(tmp_path):
    for split in ("train", "valid"):
        picture(tmp_path / split, f"{split}.jpg")
        write(tmp_path / split, [annotation()], [image(name=f"{split}.jpg")], name="_annotations.coco.json")
    assert open_dataset(tmp_path).split_counts == {"train": 1, "val": 1}


def test_the_stated_size_says_which_way_up(folder):
    picture(folder, "turned.jpg", (30, 20), orientation=6)  # upright: 20 high, 30 wide
    images = [
        image(1, "turned.jpg"),
        image(2, "stored.jpg", height=30, width=20),
        image(3, "other.jpg", height=7),
    ]
    for name in ("stored.jpg", "other.jpg"):
        picture(folder, name, (30, 20), orientation=6)
    square = [[0, 0, 4, 0, 4, 10, 0, 10]]
    runs = {"size": [30, 20], "counts": [0, 10, 20, 10, 20, 10, 20, 10, 500]}
    rows = [annotation((0, 0, 10, 4), 1, segmentation=[[0, 0, 10, 0, 10, 4, 0, 4]])]
    rows += [
        annotation((0, 0, 4, 10), 2, segmentation=square),
        annotation((0, 0, 4, 10), 2, segmentation=runs),
    ]
    write(folder, [*rows, annotation(image_id=3)], images)
    data = from_coco(folder)
    assert [sample.truth.boxes.size for sample in data] == [(20, 30), (20, 30)]
    assert data[0].truth.boxes.xyxy.tolist() == [[0, 0, 10, 4]]
    # Orientation 6: the stored top is the right side of the upright picture.
    assert data[1].truth.boxes.xyxy.tolist() == [[20, 0, 30, 4]] * 2
    for mask in data[1].truth.masks:
        assert mask.bounds.tolist() == [20, 0, 30, 4]
        assert mask.area == 40
    assert [note.split(":")[0].split(" ", 1)[1][:18] for note in data.notes] == [
        "images are stored ",
        "images are not of ",
    ]


def test_corners_declared_as_sides_are_refused(folder):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 10, (40, 2))
    high = low + rng.uniform(3, 9, (40, 2))
    rows = [annotation(box) for box in np.hstack([low, high]).tolist()]
    write(folder, rows)
    with pytest.raises(BadDataset, match=r"expected boxes as left, top, width, height, got numbers that look "
                       r"like left, top, right, bottom: .* of 40 boxes leave"):  # fmt: skip
        from_coco(folder)


def test_fractions_declared_as_pixels_are_refused(folder):
    write(folder, [annotation((0.1, 0.1 * n / 9, 0.5, 0.5)) for n in range(9)])
    with pytest.raises(BadDataset, match="expected boxes in pixels, got 9 of which no number is above 1"):
        from_coco(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "expected a JSON object, got a list"),
        ("{", "expected JSON in UTF-8"),
        ("[" * 100_000, "expected JSON in UTF-8"),
        ('{"images": 3, "categories": []}', "'images' to be a list of objects, got a int"),
        ('{"images": [3], "categories": []}', "'images' to be a list of objects, got a list"),
        ('{"images": [], "categories": []}', "expected categories with an id and a name, got none"),
        ('{"images": [], "categories": [{"id": 1}]}', "expected categories with an id and a name"),
        ('{"images": []}', "'categories' to be a list of objects, got no such key"),
    ],
)
def test_what_is_no_coco_file(tmp_path, text, words):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BadDataset, match=words):
        open_dataset(tmp_path / "x.json")


def test_folders_without_one(tmp_path):
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(BadDataset, match="expected a COCO file"):
        from_coco(tmp_path)


def test_boxes_only_or_masks_only(folder):
    write(folder, [annotation(segmentation=SQUARE), annotation((1, 1, 3, 3)), annotation((5, 5, 3, 3))])
    assert from_coco(folder).task == "detect"
    assert len(from_coco(folder)[0].truth) == 3
    masks = from_coco(folder, task="instances")
    assert len(masks[0].truth.masks) == 1
    assert masks.notes[0].startswith("2 objects have a box but no mask")
    with pytest.raises(BadRequest, match="expected 'detect' or 'instances'"):
        from_coco(folder, task="segment")


def test_a_box_that_is_not_stated_is_that_of_its_mask(folder):
    runs = {"size": [20, 30], "counts": [21, 5, 574]}
    rows = [{"image_id": 1, "category_id": 1, "segmentation": shape} for shape in (SQUARE, runs)]
    write(folder, rows)
    truth = from_coco(folder)[0].truth
    assert truth.boxes.xyxy.tolist() == [[2, 2, 8, 8], [1, 1, 2, 6]]
    assert truth.boxes.areas.tolist() == [36, 5]


def test_a_file_that_vanishes_later_is_an_error_in_words(folder):
    write(folder, [annotation()])
    data = from_coco(folder)
    (folder / "a.jpg").unlink()
    assert len(data[0].truth) == 1
    with pytest.raises(BadInput, match="there is no such file"):
        _ = data[0].image


def test_masks_that_too_few_objects_have_are_not_read_and_counted(folder):
    write(folder, [annotation(segmentation=SQUARE), annotation((1, 1, 3, 3)), annotation((9, 9, 3, 3))])
    dataset = from_coco(folder)
    assert dataset.task == "detect"
    note = "1 objects have a mask, which is not read, since too many others have none: a.jpg."
    assert note in dataset.notes
    assert note not in from_coco(folder, task="detect").notes


def test_categories_that_are_told_twice_are_counted_and_the_first_counts(folder):
    categories = [
        {"id": 4, "name": "cat"},
        {"id": 4, "name": "dog"},
        {"id": 7, "name": "cat"},
        {"id": 9, "name": "owl"},
    ]
    objects = [annotation(category_id=4), annotation((1, 1, 3, 3), category_id=7)]
    dataset = from_coco(write(folder, objects, categories=categories))
    assert dataset.labels == ("cat", "owl")
    assert dataset[0].truth.labels == ("cat", "cat")
    assert dataset.notes[-1] == (
        "2 categories have the name or the identifier of an earlier one, and count as that: dog (4), cat (7)."
    )
