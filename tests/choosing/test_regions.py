"""Objects and labelled pixels as pictures of one label each."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from signet.choosing import regions
from signet.datasets import open_dataset
from signet.decoding import read
from signet.errors import BadDataset


@pytest.fixture
def boxes(tmp_path):
    """Two pictures with four objects: one crowd, one too small."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "coco"
    (folder / "images").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        pixels = generator.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name)
    rows = [
        (1, [10, 10, 20, 30], 1, 0),
        (1, [50, 5, 30, 20], 2, 0),
        (2, [0, 0, 40, 40], 1, 1),
        (2, [5, 5, 4, 4], 2, 0),
        (2, [30, 30, 30, 30], 2, 0),
    ]
    stated = {
        "images": [
            {"id": k, "file_name": f"{n}.png", "height": 60, "width": 80} for k, n in ((1, "a"), (2, "b"))
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {
                "id": place,
                "image_id": image,
                "bbox": box,
                "category_id": label,
                "iscrowd": crowd,
                "area": box[2] * box[3],
                "segmentation": {"size": [60, 80], "counts": [0, 4800]} if crowd else [],
            }
            for place, (image, box, label, crowd) in enumerate(rows, 1)
        ],
    }
    (folder / "annotations.json").write_text(json.dumps(stated))
    return open_dataset(folder / "annotations.json")


def test_objects_become_squares_of_one_label_and_those_of_one_image_one_group(boxes, tmp_path):
    found = regions.regions_of(boxes, tmp_path / "cut")
    assert found.dataset.targets.tolist() == [0, 1, 1]
    assert found.dataset.exclusive
    groups = found.dataset.groups
    assert groups[0] == groups[1] != groups[2]
    assert "3 objects cut out of 2 images" in found.words
    assert "2 were left out" in found.words


def test_pictures_are_the_pixels_of_their_squares_and_are_written_once(boxes, tmp_path):
    found = regions.regions_of(boxes, tmp_path / "cut")
    found.write([0, 2])
    paths = found.dataset.paths
    assert [path.is_file() for path in paths] == [True, False, True]
    for place in (0, 2):
        left, top, right, bottom = found.squares[place].tolist()
        whole = read(found.sources[place]).pixels
        assert np.array_equal(read(paths[place]).pixels, whole[top:bottom, left:right])
    stamp = paths[0].stat().st_mtime_ns
    found.write([0, 1])
    assert paths[0].stat().st_mtime_ns == stamp
    assert paths[1].is_file()


def test_the_square_holds_the_box():
    assert regions._square(np.array([10.0, 10, 30, 40]), (60, 80)) == (3, 8, 36, 42)


@given(
    st.floats(0, 90),
    st.floats(0, 50),
    st.floats(0.5, 100),
    st.floats(0.5, 60),
    st.integers(1, 60),
    st.integers(1, 100),
)
def test_every_square_lies_in_its_image(left, top, wide, tall, height, width):
    box = np.array([min(left, width), min(top, height), min(left + wide, width), min(top + tall, height)])
    x1, y1, x2, y2 = regions._square(box, (height, width))
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height


def test_the_largest_piece_of_each_label_is_cut_out(tmp_path):
    folder = tmp_path / "masks"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / "images" / "a.png")
    labels = np.zeros((40, 50), np.uint8)
    labels[5:25, 5:25] = 1
    labels[30:34, 30:34] = 1
    Image.fromarray(labels).save(folder / "masks" / "a.png")
    (folder / "classes.txt").write_text("ground\nhouse\n")
    found = regions.regions_of(open_dataset(folder), tmp_path / "cut")
    house = found.dataset.targets.tolist().index(1)
    left, top, right, bottom = found.squares[house].tolist()
    assert (left, top) == (4, 4)
    assert right in (26, 27)
    assert bottom in (26, 27)


def test_a_dataset_without_an_object_that_is_large_enough_is_refused(boxes, tmp_path, monkeypatch):
    monkeypatch.setattr(regions, "LEAST_SIDE", 500)
    with pytest.raises(BadDataset, match="objects of at least 500 pixels"):
        regions.regions_of(boxes, tmp_path)
