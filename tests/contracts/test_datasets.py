"""One dataset, by hand in every format: each opens to the same truth, and each writer gives it back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.boxes import Boxes
from signet.datasets import open_dataset
from signet.datasets.to_coco import to_coco
from signet.datasets.to_masks import to_masks
from signet.datasets.to_voc import to_voc
from signet.datasets.to_yolo import to_yolo
from signet.errors import AlreadyExists, WrongTask
from signet.instances import Instances
from signet.segments import SegmentMap

LABELS = ("cat", "dog")
SIZES = {"a.png": (40, 60), "b.jpg": (50, 30), "c.png": (20, 20)}
SPLITS = {"a.png": "train", "b.jpg": "train", "c.png": "val"}
# Upright pixels: left, top, right, bottom; label. The second picture is stored turned.
BOXES = {
    "a.png": [((3, 4, 20, 15), "dog"), ((30, 8, 60, 40), "cat")],
    "b.jpg": [((2, 5, 12, 45), "dog")],
    "c.png": [],
}


def picture(path, size, *, turned=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = size
    pixels = np.random.default_rng(height).integers(0, 255, (height, width, 3), np.uint8)
    if not turned:
        PillowImage.fromarray(pixels).save(path)
        return
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    PillowImage.fromarray(np.rot90(pixels)).save(path, exif=exif)


def pictures(folder, place):
    for name, size in SIZES.items():
        picture(folder / place(name), size, turned=name == "b.jpg")


def rectangle(box):
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


def run_lengths(box, size):
    inside = np.zeros(size, bool)
    inside[box[1] : box[3], box[0] : box[2]] = True
    flat = inside.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat.astype(int), prepend=0, append=0))
    return np.diff(edges, prepend=0, append=flat.size)[: len(edges) + 1].tolist()


def coco(folder, *, shapes=False):
    pictures(folder, lambda name: f"images/{name}")
    ids = {"cat": 7, "dog": 90}
    for split in ("train", "val"):
        names = [name for name in SIZES if SPLITS[name] == split]
        annotations = []
        for place, name in enumerate(names):
            for number, (box, label) in enumerate(BOXES[name]):
                left, top, right, bottom = box
                row = {"id": len(annotations), "image_id": place, "category_id": ids[label], "iscrowd": 0}
                row |= {"bbox": [left, top, right - left, bottom - top]}
                if shapes:
                    runs = {"size": SIZES[name], "counts": run_lengths(box, SIZES[name])}
                    row["segmentation"] = runs if number else [rectangle(box)]
                annotations.append(row)
        document = {
            "images": [
                {"id": place, "file_name": name, "height": SIZES[name][0], "width": SIZES[name][1]}
                for place, name in enumerate(names)
            ],
            "annotations": annotations,
            "categories": [{"id": ids[label], "name": label} for label in ("dog", "cat")],
        }
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / f"annotations/instances_{split}2017.json").write_text(json.dumps(document))
    return folder


def yolo(folder):
    pictures(folder, lambda name: f"images/{SPLITS[name]}/{name}")
    for name, (height, width) in SIZES.items():
        lines = []
        for (left, top, right, bottom), label in BOXES[name]:
            centre = ((left + right) / 2 / width, (top + bottom) / 2 / height)
            sides = ((right - left) / width, (bottom - top) / height)
            lines.append(
                f"{LABELS.index(label)} {centre[0]:.9f} {centre[1]:.9f} {sides[0]:.9f} {sides[1]:.9f}"
            )
        file = folder / f"labels/{SPLITS[name]}/{name.split('.')[0]}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines))
    (folder / "data.yaml").write_text(
        "train: ../images/train\nval: images/val\nnc: 2\nnames:\n  0: cat\n  1: dog\n"
    )
    return folder


def voc(folder):
    pictures(folder, lambda name: f"JPEGImages/{name}")
    for name, (height, width) in SIZES.items():
        objects = "".join(
            f"<object><name>{label}</name><difficult>0</difficult><bndbox><xmin>{box[0] + 1}</xmin>"
            f"<ymin>{box[1] + 1}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
            for box, label in BOXES[name]
        )
        file = folder / f"Annotations/{name.split('.')[0]}.xml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(
            f"<annotation><filename>{name}</filename><size><width>{width}</width><height>{height}</height>"
            f"</size>{objects}</annotation>"
        )
    sets = folder / "ImageSets/Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("a\nb\n")
    (sets / "val.txt").write_text("c\n")
    return folder


def open_images(folder):
    pictures(folder, lambda name: f"{'validation' if SPLITS[name] == 'val' else 'train'}/{name}")
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf"
    rows = [head]
    for name, (height, width) in SIZES.items():
        for (left, top, right, bottom), label in BOXES[name]:
            numbers = f"{left / width:.9f},{right / width:.9f},{top / height:.9f},{bottom / height:.9f}"
            rows.append(f"{name.split('.')[0]},x,/m/{label},1,{numbers},0,0")
    (folder / "train-annotations-bbox.csv").write_text("\n".join(rows))
    (folder / "class-descriptions-boxable.csv").write_text("/m/dog,dog\n/m/cat,cat\n")
    return folder


FORMATS = {"coco": coco, "yolo": yolo, "voc": voc, "open-images": open_images}
WRITERS = {"coco": to_coco, "yolo": to_yolo, "voc": to_voc}


def check(dataset, *, empty=True):
    assert dataset.labels == LABELS
    samples = {sample.path.name: sample for sample in dataset}
    assert set(samples) == {name for name in SIZES if BOXES[name] or empty}
    for name, sample in samples.items():
        truth = sample.truth.boxes if isinstance(sample.truth, Instances) else sample.truth
        assert isinstance(truth, Boxes)
        assert sample.split == SPLITS[name]
        assert truth.size == SIZES[name] == sample.image.size
        wanted = sorted(BOXES[name])
        order = np.lexsort(truth.xyxy.T[::-1])
        np.testing.assert_allclose(
            truth.xyxy[order], np.reshape([box for box, _ in wanted], (-1, 4)), rtol=0, atol=1e-6
        )
        assert [truth.labels[place] for place in order] == [label for _, label in wanted]
        assert (truth.scores == 1).all()
        assert not truth.crowd.any()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_opens_to_the_same_truth(name, tmp_path):
    dataset = open_dataset(FORMATS[name](tmp_path / "data"))
    assert (dataset.format, dataset.task, dataset.exclusive) == (name, "detect", False)
    assert dataset.notes[0].startswith("Read as")
    assert len(dataset.notes) == 1
    check(dataset, empty=name != "open-images")
    assert dataset.class_counts.tolist() == [1, 2]
    assert dataset.select("train").split_counts == {"train": 2}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_writer_gives_every_dataset_back(name, writer, tmp_path):
    dataset = open_dataset(FORMATS[name](tmp_path / "data"))
    done = WRITERS[writer](dataset, tmp_path / "out")
    assert (done.images, done.objects, done.notes) == (len(dataset), 3, ())
    again = open_dataset(done.folder)
    assert again.format == writer
    check(again, empty=name != "open-images")
    with pytest.raises(AlreadyExists):
        WRITERS[writer](dataset, tmp_path / "out")
    WRITERS[writer](dataset, tmp_path / "out", overwrite=True)


def test_masks_as_outlines_and_as_run_lengths(tmp_path):
    dataset = open_dataset(coco(tmp_path / "data", shapes=True))
    assert dataset.task == "instances"
    check(dataset)
    done = to_coco(dataset, tmp_path / "out")
    for one, two in zip(dataset, open_dataset(done.folder), strict=True):
        assert one.truth.masks == two.truth.masks
        for mask, box in zip(one.truth.masks, one.truth.boxes.xyxy, strict=True):
            assert mask.bounds.tolist() == box.tolist()
    boxes = dataset.as_task("detect")
    assert boxes.task == "detect"
    check(boxes)
    check(open_dataset(to_yolo(boxes, tmp_path / "yolo").folder))
    with pytest.raises(WrongTask, match=r"expected a dataset for the task 'instances', got one of boxes"):
        boxes.as_task("instances")
    with pytest.raises(WrongTask, match="of the task segment to write label images"):
        to_masks(dataset, tmp_path / "masks")


def test_the_fingerprint_covers_what_is_said(tmp_path):
    first, second = open_dataset(coco(tmp_path / "one")), open_dataset(coco(tmp_path / "two"))
    assert first.fingerprint == second.fingerprint
    document = json.loads((tmp_path / "two/annotations/instances_train2017.json").read_text())
    document["annotations"][0]["bbox"][0] += 1
    (tmp_path / "two/annotations/instances_train2017.json").write_text(json.dumps(document))
    assert open_dataset(tmp_path / "two").fingerprint != first.fingerprint
    assert open_dataset(coco(tmp_path / "three", shapes=True)).fingerprint != first.fingerprint


# Labelled pixels: the values as stored, for each way to store them.
MAPS = {
    name: np.fromfunction(lambda y, x: (x // 7 + y // 9) % 3, size, dtype=int).astype(np.uint8)
    for name, size in SIZES.items()
}
NAMES = ("background", "road", "tree")
COLOURS = np.array([(0, 0, 0), (128, 64, 128), (0, 200, 10)], np.uint8)


def stored(kind, values):
    """A label image in which the value 2 of the top left pixel is nobody's."""
    if kind == "colours":
        image = COLOURS[values].copy()
        image[0, 0] = 255
        return PillowImage.fromarray(image)
    plain = values.copy()
    plain[0, 0] = 255
    image = PillowImage.fromarray(plain)
    if kind == "indexed":
        image = image.copy()
        image = PillowImage.frombytes("P", image.size, image.tobytes())
        image.putpalette(COLOURS.tobytes().ljust(768, b"\xff"))
    return image


@pytest.mark.parametrize("kind", ["grey", "indexed", "colours", "voc"])
def test_labelled_pixels_in_every_form(kind, tmp_path):
    folder = tmp_path / "data"
    images, masks = ("JPEGImages", "SegmentationClass") if kind == "voc" else ("images", "masks")
    inner = "" if kind == "voc" else "{}/"
    pictures(folder, lambda name: f"{images}/{inner.format(SPLITS[name])}{name}")
    for name, values in MAPS.items():
        file = folder / masks / inner.format(SPLITS[name]) / f"{name.split('.')[0]}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        stored("indexed" if kind == "voc" else kind, values).save(file)
    if kind == "colours":
        rows = [f"{name},{r},{g},{b}" for name, (r, g, b) in zip(NAMES, COLOURS.tolist(), strict=True)]
        (folder / "class_dict.csv").write_text("\n".join(["name,r,g,b", *rows, "void,255,255,255"]))
    else:
        (folder / "classes.txt").write_text("\n".join(NAMES))
    if kind == "voc":
        (folder / "ImageSets/Segmentation").mkdir(parents=True)
        (folder / "ImageSets/Segmentation/train.txt").write_text("a\nb\n")
        (folder / "ImageSets/Segmentation/val.txt").write_text("c\n")
    dataset = open_dataset(folder)
    assert dataset.format == ("voc" if kind == "voc" else "masks")
    assert len(dataset.notes) == 1
    done = to_masks(dataset, tmp_path / "out")
    for opened in (dataset, open_dataset(done.folder)):
        assert (opened.task, opened.labels) == ("segment", NAMES)
        assert opened.class_counts.tolist() == [3, 3, 3]
        for sample in opened:
            assert isinstance(sample.truth, SegmentMap)
            wanted = MAPS[sample.path.name].astype(int)
            wanted[0, 0] = -1
            np.testing.assert_array_equal(sample.truth.indices, wanted)
            assert sample.truth.background == 0
            assert sample.split == SPLITS[sample.path.name]
            assert sample.truth.size == sample.image.size
